"""Reads single files out of a zip in S3 by ranges: a whole assembly (90 MB) is not moved for a template."""

import io
import os
import threading
import zipfile
from collections import OrderedDict
from typing import Any

from twin.archives import ArchiveError

_BLOCK_BYTES = 512 * 1024
# A pipeline's actions read one assembly, one after the other: its table of contents is fetched once.
_MOST_BLOCKS = 32


class _Blocks:
    """Parts of objects that were read last, by the object's content and where they begin."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, content: str, start: int) -> bytes | None:
        with self._lock:
            if (content, start) in self._kept:
                self._kept.move_to_end((content, start))
            return self._kept.get((content, start))

    def keep(self, content: str, start: int, block: bytes) -> None:
        with self._lock:
            self._kept[content, start] = block
            while len(self._kept) > _MOST_BLOCKS:
                self._kept.popitem(last=False)


_blocks = _Blocks()


class _Object(io.RawIOBase):
    """An object in S3 as a seekable file."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        super().__init__()
        self._client, self._place = client, {"Bucket": bucket, "Key": key}
        # Who may not read the object is refused here, whatever is known of it.
        head = client.head_object(**self._place)
        self._size, self._content = int(head["ContentLength"]), f"{bucket}/{key} {head['ETag']}"
        self._at = 0

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
        block = _blocks.get(self._content, start)
        if block is None:
            span = f"bytes={start}-{min(start + _BLOCK_BYTES, self._size) - 1}"
            block = self._client.get_object(**self._place, Range=span)["Body"].read()
            _blocks.keep(self._content, start, block)
        body = block[self._at - start :][: len(buffer)]
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
