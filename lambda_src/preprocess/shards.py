"""Packs prepared images into tar shards (NUMBER.png, NUMBER.cls): the same images make the same bytes."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass

BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True)
class Prepared:
    """An image at the model's input size, its number in its split, and the index of its class."""

    number: int
    png: bytes
    class_index: int


def entry(image: Prepared) -> bytes:
    """The members of one image; whatever stands before or after them in the shard."""
    return _member(f"{image.number:08d}.png", image.png) + _member(
        f"{image.number:08d}.cls", str(image.class_index).encode()
    )


def end(length: int) -> bytes:
    """What follows `length` bytes of entries: two empty blocks at least, up to a whole record."""
    return bytes(2 * BLOCK + -(length + 2 * BLOCK) % tarfile.RECORDSIZE)


def pack(images: Iterable[Prepared]) -> bytes:
    """A whole shard."""
    entries = b"".join(map(entry, images))
    return entries + end(len(entries))


def _member(name: str, content: bytes) -> bytes:
    # A new TarInfo has no owner and the time 0: nothing of this machine or moment gets in.
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % BLOCK)
