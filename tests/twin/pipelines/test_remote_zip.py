"""Files are read out of zips in S3 by ranges: what was fetched is kept, and belongs to one content."""

import hashlib
import io
import os
import zipfile
from typing import Any

import pytest

from twin.archives import ArchiveError
from twin.services.codepipeline import remote_zip

SIZES = {"first.json": 10, "large.bin": 1_300_000, "last.json": 20}


class Store:
    """An S3 client with one object, that counts."""

    def __init__(self) -> None:
        self.contents = {name: os.urandom(size) for name, size in SIZES.items()}
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content in self.contents.items():
                archive.writestr(name, content)
        self.body, self.fetched, self.allowed = packed.getvalue(), 0, True

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if not self.allowed:
            raise PermissionError(Key)
        return {"ContentLength": len(self.body), "ETag": hashlib.md5(self.body).hexdigest()}  # noqa: S324

    def get_object(self, Bucket: str, Key: str, Range: str) -> dict[str, Any]:
        self.fetched += 1
        first, last = (int(part) for part in Range.removeprefix("bytes=").split("-"))
        return {"Body": io.BytesIO(self.body[first : last + 1])}

    def read(self, name: str) -> bytes:
        return remote_zip.read_member(self, "bucket", "key", name)


def test_every_file_is_read_as_it_is_and_each_part_is_fetched_once() -> None:
    store = Store()
    for _ in range(2):
        assert {name: store.read(name) for name in SIZES} == store.contents
    assert store.fetched == 3


def test_another_content_under_the_same_key_is_fetched_anew() -> None:
    for store in (Store(), Store()):
        assert store.read("last.json") == store.contents["last.json"]
        assert store.fetched


def test_what_is_known_is_kept_from_those_who_may_not_read_it() -> None:
    store = Store()
    store.read("last.json")
    store.allowed = False
    with pytest.raises(PermissionError):
        store.read("last.json")


def test_only_so_much_is_kept() -> None:
    for _ in range(40):
        Store().read("last.json")
    assert len(remote_zip._blocks._kept) <= remote_zip._MOST_BLOCKS


def test_what_is_not_there_is_named() -> None:
    store = Store()
    with pytest.raises(ArchiveError, match=r"no file 'absent\.json'"):
        store.read("absent.json")
    store.body = b"no zip" * 100
    with pytest.raises(ArchiveError, match="not a zip archive"):
        store.read("last.json")
