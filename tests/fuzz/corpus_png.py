"""PNG files, good, odd and hostile."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.fuzz.kinds import Kind, exif_of_many_entries, kind, profile_of_many_elements, truncations
from tests.lambda_src import odd_images as odd

_MIB = 1024 * 1024
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# The passes of an interlaced picture: first column and row, steps between them.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def kinds(*, heavy: bool) -> Iterator[Kind]:
    """All of them; those that take a while only with `heavy`."""
    yield from _good()
    yield from _broken()
    yield from _carrying()
    if heavy:
        yield from _bombs()


def png(
    width: int,
    height: int,
    depth: int,
    colour: int,
    *extra: bytes,
    interlaced: bool = False,
    fill: int = 0x5A,
    filtering: int | None = None,
) -> bytes:
    """A PNG written by hand; rows take turns with the five filters, unless one is named."""
    packer = zlib.compressobj(6)
    packed: list[bytes] = []
    for x, y, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        row = bytes((fill,)) * -(-columns * _CHANNELS[colour] * depth // 8)
        if columns > 0:
            packed += [
                packer.compress(bytes((number % 5 if filtering is None else filtering,)) + row)
                for number in range(rows)
            ]
    packed.append(packer.flush())
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    palette = [odd.chunk(b"PLTE", bytes(range(256)) * 3)] if colour == 3 else []
    body = [odd.chunk(b"IHDR", header), *palette, *extra, odd.chunk(b"IDAT", b"".join(packed))]
    return odd.PNG_MAGIC + b"".join([*body, odd.chunk(b"IEND", b"")])


def _good() -> Iterator[Kind]:
    for colour, depths in _DEPTHS.items():
        for depth in depths:
            for interlaced in (False, True):
                name = f"PNG, colour {colour}, {depth} bits{', interlaced' if interlaced else ''}"
                yield kind(name, "accepted", png(21, 18, depth, colour, interlaced=interlaced))
    for turned in range(1, 9):
        data = odd.with_orientation(odd.gradient(24, 40), turned, "PNG")
        yield kind(f"PNG, orientation {turned}", "accepted", data)
    yield kind(
        "PNG, clear colour of a palette", "accepted", png(16, 16, 8, 3, odd.chunk(b"tRNS", bytes(range(200))))
    )
    yield kind("PNG, clear grey", "accepted", png(16, 16, 8, 0, odd.chunk(b"tRNS", b"\0\x5a")))
    yield kind("PNG, clear colour", "accepted", png(16, 16, 8, 2, odd.chunk(b"tRNS", b"\0\x5a" * 3)))
    yield kind(
        "PNG, clear grey of 16 bits", "unsupported-feature", png(16, 16, 16, 0, odd.chunk(b"tRNS", b"\0\0"))
    )
    for mode in ("1", "P", "LA", "RGBA"):
        yield kind(f"PNG, {mode} by Pillow", "accepted", odd.saved(odd.gradient(30, 20, mode), "PNG"))
    yield kind("PNG, a strip", "accepted", png(20_000, 8, 1, 0))
    yield kind("PNG, too small", "too-small", png(7, 20, 8, 0))


def _broken() -> Iterator[Kind]:
    whole = png(24, 20, 8, 2)
    yield from truncations("PNG", whole)
    yield from truncations("PNG, interlaced", png(24, 20, 16, 6, interlaced=True))
    header = struct.pack(">IIBBBBB", 24, 20, 8, 2, 0, 0, 0)
    data = next(content for each, content in odd.png_chunks(whole) if each == b"IDAT")
    end = odd.chunk(b"IEND", b"")

    def made(name: str, expected: str, *chunks: bytes) -> Kind:
        return kind(f"PNG, {name}", expected, odd.PNG_MAGIC + b"".join(chunks))

    first, middle = odd.chunk(b"IHDR", header), odd.chunk(b"IDAT", data)
    yield made("no header", "corrupt", middle, end)
    yield made("header twice", "accepted corrupt", first, first, middle, end)
    yield made("header too short", "corrupt", odd.chunk(b"IHDR", header[:-1]), middle, end)
    yield made("no data", "corrupt", first, end)
    yield made("no end", "truncated", first, middle)
    yield made("data behind the end", "corrupt", first, end, middle)
    yield made("wrong checksum of the header", "corrupt", first[:-1] + b"\0", middle, end)
    yield made(
        "wrong checksum of the data", "accepted corrupt", first, middle[:-1] + bytes((middle[-1] ^ 1,)), end
    )
    yield made("broken stream", "corrupt", first, odd.chunk(b"IDAT", b"rubbish"), end)
    yield made("half a stream", "corrupt", first, odd.chunk(b"IDAT", data[: len(data) // 2]), end)
    yield made(
        "stream in pieces of a byte",
        "accepted",
        first,
        *[odd.chunk(b"IDAT", data[n : n + 1]) for n in range(len(data))],
        end,
    )
    yield made(
        "rubbish behind the stream", "accepted corrupt", first, odd.chunk(b"IDAT", data + b"rubbish" * 9), end
    )
    yield made("a chunk of no name", "corrupt", first, odd.chunk(b"\0\0\0\0", b""), middle, end)
    yield made("an unknown critical chunk", "corrupt accepted", first, odd.chunk(b"ABCD", b"1"), middle, end)
    yield made("a chunk longer than the file", "truncated", first, b"\x7f\xff\xff\xffIDAT" + data)
    yield made("Apple's own kind", "corrupt", odd.chunk(b"CgBI", b"\x50\0\x20\x02"), first, middle, end)
    for width, height, expected in (
        (0, 20, "too-small"),
        (20, 0, "too-small"),
        (2**31 - 1, 2**31 - 1, "too-large"),
    ):
        sides = struct.pack(">II", width, height) + header[8:]
        yield made(f"{width} x {height}", expected, odd.chunk(b"IHDR", sides), middle, end)
    for place, value in ((8, 3), (9, 1), (9, 5), (9, 7), (10, 1), (11, 1), (12, 2)):
        bad = bytes((*header[:place], value, *header[place + 1 :]))
        yield made(f"header byte {place} is {value}", "corrupt", odd.chunk(b"IHDR", bad), middle, end)
    yield kind("PNG, a filter that is none", "corrupt", png(24, 20, 8, 2, filtering=7))
    palette = struct.pack(">IIBBBBB", 24, 20, 8, 3, 0, 0, 0)
    rows = odd.chunk(b"IDAT", zlib.compress((b"\0" + b"\xff" * 24) * 20))
    yield made(
        "palette of one colour",
        "accepted",
        odd.chunk(b"IHDR", palette),
        odd.chunk(b"PLTE", b"abc"),
        rows,
        end,
    )
    yield made("no palette", "corrupt", odd.chunk(b"IHDR", palette), rows, end)
    yield made(
        "empty palette", "accepted corrupt", odd.chunk(b"IHDR", palette), odd.chunk(b"PLTE", b""), rows, end
    )
    yield made(
        "palette behind the data",
        "accepted corrupt",
        odd.chunk(b"IHDR", palette),
        rows,
        odd.chunk(b"PLTE", b"abc"),
        end,
    )
    yield made(
        "palette of 300 colours",
        "accepted corrupt",
        odd.chunk(b"IHDR", palette),
        odd.chunk(b"PLTE", bytes(900)),
        rows,
        end,
    )
    yield made("more clear colours than colours", "accepted corrupt", odd.chunk(b"IHDR", palette),
               odd.chunk(b"PLTE", b"abc"), odd.chunk(b"tRNS", bytes(300)), rows, end)  # fmt: skip


def _carrying() -> Iterator[Kind]:
    def carrying(name: str, expected: str, *chunks: bytes) -> Kind:
        return kind(f"PNG with {name}", expected, png(16, 16, 8, 2, *chunks))

    megabyte = zlib.compress(bytes(_MIB - 100), 9)
    yield carrying("much EXIF", "accepted", odd.chunk(b"eXIf", exif_of_many_entries(3000, 500_000)[6:]))
    raw = b"Raw profile type exif\0\nexif\n  20\n" + b"45786966" * 5
    yield carrying("EXIF in a text", "accepted", odd.chunk(b"tEXt", raw))
    yield carrying(
        "a little packed text", "accepted", *[odd.chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 5000))] * 20
    )
    yield carrying(
        "4 packed megabytes of text", "too-much-metadata", *[odd.chunk(b"zTXt", b"a\0\0" + megabyte)] * 5
    )
    yield carrying("60 of them", "too-much-metadata", *[odd.chunk(b"zTXt", b"a\0\0" + megabyte)] * 60)
    yield carrying(
        "60 of another kind", "too-much-metadata", *[odd.chunk(b"iTXt", b"a\0\1\0\0\0" + megabyte)] * 60
    )
    yield carrying(
        "a thousand profiles", "too-much-metadata", *[odd.chunk(b"iCCP", b"a\0\0" + megabyte)] * 1000
    )
    yield carrying("a broken text", "accepted corrupt", odd.chunk(b"zTXt", b"a\0\0rubbish"))
    endless = zlib.compress(profile_of_many_elements(100_000), 9)
    yield carrying("a profile of 100,000 elements", "accepted", odd.chunk(b"iCCP", b"a\0\0" + endless))
    yield carrying(
        "a broken profile", "accepted", odd.chunk(b"iCCP", b"a\0\0" + zlib.compress(b"rubbish" * 50))
    )
    yield carrying("10,000 chunks", "accepted", *[odd.chunk(b"prVt", b"")] * 10_000)
    yield carrying("60,000 chunks", "corrupt", *[odd.chunk(b"prVt", b"")] * 60_000)
    yield carrying("10,000 empty pieces of data", "accepted corrupt", *[odd.chunk(b"IDAT", b"")] * 10_000)
    yield carrying(
        "wrong sizes of known chunks",
        "accepted corrupt",
        odd.chunk(b"pHYs", b"1"),
        odd.chunk(b"gAMA", b""),
        odd.chunk(b"cHRM", b"12"),
    )
    yield kind("PNG, animated", "animated", odd.animated("PNG"))


def _bombs() -> Iterator[Kind]:
    for name, width, height, depth, colour, expected in (
        ("grey", 7000, 7000, 8, 0, "accepted"),
        ("black and white", 7000, 7000, 1, 0, "accepted"),
        ("16-bit grey", 4400, 4400, 16, 0, "accepted"),
        ("16-bit grey", 7000, 7000, 16, 0, "too-many-pixels"),
        ("colour", 5400, 5400, 8, 2, "accepted"),
        ("16-bit colour", 5400, 5400, 16, 2, "accepted"),
        ("colour", 7000, 7000, 8, 2, "too-many-pixels"),
        ("palette", 4800, 4800, 8, 3, "accepted"),
        ("palette", 7000, 7000, 8, 3, "too-many-pixels"),
        ("grey with alpha", 3800, 3800, 8, 4, "accepted"),
        ("colour with alpha", 3800, 3800, 8, 6, "accepted"),
        ("16-bit colour with alpha", 3800, 3800, 16, 6, "accepted"),
        ("colour with alpha", 5000, 5000, 8, 6, "too-many-pixels"),
        ("a strip with alpha", 20_000, 730, 8, 6, "accepted"),
        ("a strip with alpha", 730, 20_000, 8, 6, "accepted"),
    ):
        data = png(width, height, depth, colour)
        yield kind(f"PNG, {name}, {width} x {height}", expected, data)
    for colour in (0, 2, 6):
        side = {0: 7000, 2: 5400, 6: 3800}[colour]
        data = png(side, side, 8, colour, interlaced=True)
        yield kind(f"PNG, interlaced, colour {colour}, {side} px", "accepted", data)
    keyed = png(3500, 3500, 8, 3, odd.chunk(b"tRNS", bytes(256)))
    yield kind("PNG, palette with alpha, 12 MP", "accepted", keyed)
    keyed = png(3000, 3000, 8, 2, odd.chunk(b"tRNS", b"\0\x5a" * 3))
    yield kind("PNG, clear colour, 9 MP", "accepted", keyed)
    header = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    stream = b"".join(packer.compress(bytes(_MIB)) for _ in range(1000)) + packer.flush()
    data = b"".join(
        odd.chunk(each, content) for each, content in ((b"IHDR", header), (b"IDAT", stream), (b"IEND", b""))
    )
    yield kind("PNG, 16 px with a gigabyte of rows", "accepted corrupt", odd.PNG_MAGIC + data)
    yield kind("PNG, 51 MP", "too-many-pixels", odd.saved(Image.new("1", (7200, 7200)), "PNG"))
