"""One file of the corpus, and helpers to make some."""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A file, what it is, and the outcomes that are right."""

    name: str
    expected: frozenset[str]
    data: bytes


def kind(name: str, expected: str, data: bytes) -> Kind:
    """`expected` names outcomes, separated by spaces."""
    return Kind(name, frozenset(expected.split()), data)


def truncations(name: str, data: bytes, parts: int = 12) -> list[Kind]:
    """The beginnings of a file."""
    places = sorted({len(data) * part // parts for part in range(1, parts)} | {len(data) - 1})
    return [
        kind(f"{name}, its first {place} bytes", "truncated corrupt not-an-image", data[:place])
        for place in places
    ]


def exif_of_many_entries(count: int, size: int, orientation: int = 1) -> bytes:
    """EXIF in which each of `count` entries refers to the same `size` bytes, the orientation at its end."""
    entries = b"".join(struct.pack("<HHII", 0x8000 + tag, 1, size, 8) for tag in range(count - 1))
    entries += struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    head = b"Exif\0\0II*\0" + struct.pack("<I", 8) + struct.pack("<H", count) + entries + bytes(4)
    return head + bytes(max(0, size + 8 - len(head)))


def profile_of_many_elements(count: int) -> bytes:
    """A colour profile with a table of `count` processing elements, which are all the same one."""
    matrix = b"matf" + bytes(4) + struct.pack(">HH9f3f", 3, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    head = b"mpet" + bytes(4) + struct.pack(">HHI", 3, 3, count)
    table = head + struct.pack(">II", len(head) + 8 * count, len(matrix)) * count + matrix
    header = struct.pack(">I4sI4s4s4s", 144 + len(table), b"lcms", 0x04400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    tags = struct.pack(">I4sII", 1, b"D2B0", 144, len(table))
    return header + bytes(128 - len(header)) + tags + table
