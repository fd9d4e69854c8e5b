"""Damages image files in the ways in which hostile and broken ones differ from good ones.

Blind changes rarely get past a checksum or a length. So files are also taken apart into their segments or
chunks, which are dropped, repeated, exchanged, cut and lied about, and joined with the sums right or wrong.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# What numbers in headers are set to: nothing, little, borders of types, more than any file has.
_NUMBERS = (
    0,
    1,
    2,
    7,
    8,
    15,
    127,
    128,
    255,
    256,
    4095,
    20_000,
    20_001,
    32_767,
    65_535,
    2**24,
    2**31 - 1,
    2**32 - 1,
)
_LONGEST = 64 * 1024
# Share of files that are left without their first bytes, where these were damaged.
_LOST_MAGIC = 0.15
Parts = list[bytes]


def mutated(dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One damaged file; the same for the same state of `dice`."""
    seed = data = dice.choice(seeds)
    for _ in range(dice.choice((1, 1, 1, 1, 2, 2, 3, 6))):
        data = dice.choice(_WAYS)(dice, data, seeds)
        if not data:
            return data
    return (data if dice.random() < _LOST_MAGIC else _with_magic(data, seed))[:_LONGEST]


def _with_magic(data: bytes, seed: bytes) -> bytes:
    """With the file's first bytes and a container's right size: without them no more of it is looked at."""
    if seed.startswith(b"RIFF") and len(data) >= 12:
        return b"RIFF" + struct.pack("<I", len(data) - 8) + b"WEBP" + data[12:]
    length = 8 if seed.startswith(_PNG_MAGIC) else 3 if seed.startswith(b"\xff\xd8\xff") else 0
    return seed[:length] + data[length:]


def _flip(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Some bits."""
    changed = bytearray(data)
    for _each in range(dice.choice((1, 1, 2, 4, 16))):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _set(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A number of 1, 2 or 4 bytes, in either order, mostly near the beginning where headers are."""
    size, order = dice.choice((1, 2, 2, 4)), dice.choice(("big", "little"))
    reach = len(data) if dice.random() < 0.3 else min(len(data), 64)
    place = dice.randrange(reach)
    number = dice.choice(_NUMBERS) % (1 << 8 * size)
    return data[:place] + number.to_bytes(size, order) + data[place + size :]


def _cut(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """The end, or a piece within."""
    start = dice.randrange(len(data))
    return data[:start] if dice.random() < 0.4 else data[:start] + data[start + dice.randint(1, 40) :]


def _insert(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Bytes of the file's own, zeros, ones, or anything."""
    place, length = dice.randrange(len(data) + 1), dice.choice((1, 2, 8, 100, 2000))
    start = dice.randrange(len(data))
    piece = dice.choice(
        (data[start : start + length], bytes(length), b"\xff" * length, dice.randbytes(length))
    )
    return data[:place] + piece + data[place:]


def _splice(dice: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """The beginning of this file and the end of another."""
    other = dice.choice(seeds)
    return data[: dice.randrange(len(data))] + other[dice.randrange(len(other)) :]


def _rearrange(dice: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """The parts of the file, in another order or number, or with some of another file's."""
    head, parts, join = _apart(data)
    if not parts:
        return _flip(dice, data, seeds)
    place = dice.randrange(len(parts))
    match dice.randrange(6):
        case 0:
            del parts[place]
        case 1:
            parts[place:place] = [parts[place]] * dice.choice((1, 2, 40))
        case 2:
            other = dice.randrange(len(parts))
            parts[place], parts[other] = parts[other], parts[place]
        case 3:
            _, foreign, _ = _apart(dice.choice(seeds))
            parts[place:place] = dice.sample(foreign, min(len(foreign), 2))
        case 4:
            parts[place] = _resized(dice, parts[place])
        case _:
            parts[place] = _flip(dice, parts[place], seeds)
    return join(head, parts, dice.random() < 0.8)


def _repack(dice: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """A PNG's packed rows, unpacked, damaged and packed again: its decoder sees what its checks cannot."""
    if not data.startswith(_PNG_MAGIC):
        return _rearrange(dice, data, seeds)
    head, parts, join = _apart(data)
    for place, part in enumerate(parts):
        if part[4:8] == b"IDAT":
            try:
                rows = zlib.decompressobj().decompress(part[8:], _LONGEST)
            except zlib.error:
                return data
            if rows:
                damaged = dice.choice((_flip, _cut, _insert, _set))(dice, rows, seeds)
                parts[place] = bytes(4) + b"IDAT" + zlib.compress(damaged, 1)
    return join(head, parts, True)


_WAYS: tuple[Callable[[random.Random, bytes, Sequence[bytes]], bytes], ...] = (
    _flip, _flip, _set, _set, _set, _cut, _insert, _splice, _rearrange, _rearrange, _rearrange, _repack,
)  # fmt: skip


def _resized(dice: random.Random, part: bytes) -> bytes:
    """A part cut or lengthened."""
    if dice.random() < 0.5:
        return part[: dice.randrange(len(part) + 1)]
    return part + dice.choice((bytes(1), bytes(300), dice.randbytes(30)))


Join = Callable[[bytes, Parts, bool], bytes]


def _apart(data: bytes) -> tuple[bytes, Parts, Join]:
    """A file's first bytes, its parts, and how they are joined; without parts for what is no image."""
    if data.startswith(_PNG_MAGIC):
        return _PNG_MAGIC, _chunks(data, 8, ">I4s", 12), _join_png
    if data.startswith(b"RIFF"):
        return data[:12], _chunks(data, 12, "<4sI", 8), _join_riff
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd8", _segments(data), lambda head, parts, _: head + b"".join(parts)
    return data, [], lambda head, parts, _: head + b"".join(parts)


def _chunks(data: bytes, start: int, form: str, around: int) -> Parts:
    """Chunks as they stand, without a PNG's sums."""
    parts: Parts = []
    while start + 8 <= len(data) and len(parts) < 200:
        fields = struct.unpack_from(form, data, start)
        length = min(next(each for each in fields if isinstance(each, int)), len(data))
        parts.append(data[start : start + 8 + length])
        start += around + length + (length % 2 if around == 8 else 0)
    return parts


def _segments(data: bytes) -> Parts:
    """What lies between markers; coded data stays with its scan."""
    parts: Parts = []
    start = 2
    while start < len(data) and len(parts) < 200:
        end = data.find(b"\xff", start + 2)
        while 0 <= end < len(data) - 1 and data[end + 1] in (0, 0xFF, *range(0xD0, 0xD8)):
            end = data.find(b"\xff", end + 1)
        end = len(data) if end < 0 else end
        parts.append(data[start:end])
        start = end
    return parts


def _join_png(head: bytes, parts: Parts, right: bool) -> bytes:
    made = [head]
    for part in parts:
        named, content = part[4:8], part[8:]
        length = struct.pack(">I", len(content)) if right else part[:4]
        made += [length, named, content, struct.pack(">I", zlib.crc32(named + content) if right else 0)]
    return b"".join(made)


def _join_riff(head: bytes, parts: Parts, right: bool) -> bytes:
    if not right:
        return head + b"".join(parts)
    body = b"".join(
        part[:4] + struct.pack("<I", len(part[8:])) + part[8:] + bytes(len(part[8:]) % 2)
        for part in parts
        if len(part) >= 8
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + head[8:12] + body
