"""Reads single files out of a zip in S3 by ranges: a whole assembly (90 MB) is not moved for a template."""

import io
import os
import zipfile
from typing import Any

from twin.archives import ArchiveError

_BLOCK_BYTES = 512 * 1024  # an assembly's table of contents fits into one


class _Object(io.RawIOBase):
    """An object in S3 as a seekable file."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        super().__init__()
        self._client, self._place = client, {"Bucket": bucket, "Key": key}
        self._size = int(client.head_object(**self._place)["ContentLength"])
        self._at = 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as one block reaches; each block is fetched once."""
        start = self._at - self._at % _BLOCK_BYTES
        if self._at >= self._size:
            return 0
        if start not in self._blocks:
            span = f"bytes={start}-{min(start + _BLOCK_BYTES, self._size) - 1}"
            self._blocks[start] = self._client.get_object(**self._place, Range=span)["Body"].read()
        body = self._blocks[start][self._at - start :][: len(buffer)]
        buffer[: len(body)] = body
        self._at += len(body)
        return len(body)


def read_member(client: Any, bucket: str, key: str, name: str) -> bytes:
    """Return one file of the zip; raises `ArchiveError` when it is not there, and what the client raises."""
    file = io.BufferedReader(_Object(client, bucket, key))
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.read(name)
    except KeyError:
        raise ArchiveError(f"the artifact holds no file {name!r}") from None
    except zipfile.BadZipFile as fault:
        raise ArchiveError(f"not a zip archive: {fault}") from fault
