"""WebP files, good, odd and hostile."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

from tests.fuzz.kinds import Kind, exif_of_many_entries, kind, truncations
from tests.lambda_src import odd_images as odd


def kinds(*, heavy: bool) -> Iterator[Kind]:
    """All of them; those that take a while only with `heavy`."""
    yield from _good()
    yield from _broken()
    if heavy:
        yield from _bombs()


def container(*chunks: tuple[bytes, bytes]) -> bytes:
    """A RIFF container of these chunks, each padded to an even length."""
    body = b"".join(
        name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _good() -> Iterator[Kind]:
    for mode in ("RGB", "RGBA", "L"):
        for lossless in (False, True):
            data = odd.saved(odd.gradient(40, 32, mode), "WEBP", lossless=lossless)
            yield kind(f"WebP, {mode}, lossless {lossless}", "accepted", data)
    for method in (0, 6):
        data = odd.saved(odd.gradient(40, 32), "WEBP", method=method, quality=1)
        yield kind(f"WebP, method {method}", "accepted", data)
    for turned in range(1, 9):
        data = odd.with_orientation(odd.gradient(24, 40), turned, "WEBP")
        yield kind(f"WebP, orientation {turned}", "accepted", data)
    profiled = odd.saved(odd.gradient(24, 40), "WEBP", icc_profile=odd.swapped_profile())
    yield kind("WebP with a profile", "accepted", profiled)
    much = odd.saved(odd.gradient(24, 40), "WEBP", exif=exif_of_many_entries(3000, 500_000))
    yield kind("WebP with much EXIF", "accepted", much)
    yield kind("WebP, too small", "too-small", odd.saved(Image.new("L", (40, 7)), "WEBP"))


def _broken() -> Iterator[Kind]:
    lossy = odd.saved(odd.gradient(24, 20), "WEBP")
    lossless = odd.saved(odd.gradient(24, 20, "RGBA"), "WEBP", lossless=True)
    extended = odd.with_orientation(odd.gradient(24, 20), 6, "WEBP")
    for name, data in {"WebP": lossy, "lossless WebP": lossless, "extended WebP": extended}.items():
        yield from truncations(name, data)
    for size, expected in ((0, "corrupt"), (4, "corrupt"), (11, "truncated"), (10**6, "truncated")):
        wrong = lossy[:4] + struct.pack("<I", size) + lossy[8:]
        yield kind(f"WebP that says it has {size} bytes", expected, wrong)
    picture = lossy[20 : 20 + struct.unpack_from("<I", lossy, 16)[0]]
    yield kind("WebP, nothing in it", "corrupt", container())
    yield kind("WebP, two pictures", "corrupt", container((b"VP8 ", picture), (b"VP8 ", picture)))
    yield kind(
        "WebP, no key frame", "corrupt", container((b"VP8 ", b"\x01" + picture[1:3] + bytes(3) + picture[6:]))
    )
    yield kind("WebP, no signature", "corrupt", container((b"VP8L", b"\0" + bytes(40))))
    yield kind("WebP, rubbish for a picture", "corrupt", container((b"VP8 ", picture[:10] + b"rubbish" * 30)))
    canvas = struct.pack("<I", 0) + (99).to_bytes(3, "little") + (99).to_bytes(3, "little")
    yield kind("WebP, another canvas", "corrupt", container((b"VP8X", canvas), (b"VP8 ", picture)))
    fits = struct.pack("<I", 0x10) + (23).to_bytes(3, "little") + (19).to_bytes(3, "little")
    yield kind(
        "WebP, broken alpha",
        "accepted corrupt",
        container((b"VP8X", fits), (b"ALPH", b"\x01rubbish"), (b"VP8 ", picture)),
    )
    yield kind("WebP, a canvas too short", "corrupt", container((b"VP8X", b"\0"), (b"VP8 ", picture)))
    yield kind(
        "WebP, unknown chunks",
        "accepted",
        container((b"VP8X", bytes(4) + fits[4:]), (b"VP8 ", picture), *[(b"what", b"x")] * 900),
    )
    yield kind(
        "WebP, thousands of chunks", "corrupt", container(*[(b"what", b"")] * 5000, (b"VP8 ", picture))
    )
    yield kind("WebP, animated", "animated", odd.animated("WEBP"))
    flag = struct.pack("<I", 2) + fits[4:]
    yield kind("WebP, said to be animated", "animated", container((b"VP8X", flag), (b"VP8 ", picture)))


def _bombs() -> Iterator[Kind]:
    for side, expected in ((2700, "accepted"), (3500, "too-many-pixels"), (7000, "too-many-pixels")):
        picture = Image.new("RGB", (side, side))
        lossless = odd.saved(picture, "WEBP", lossless=True, method=0)
        yield kind(f"WebP, lossless, {side} px", expected, lossless)
        lossy = odd.saved(picture, "WEBP", quality=1, method=0)
        yield kind(f"WebP, {side} px", expected, lossy)
    clear = Image.new("RGBA", (2400, 2400), (90, 80, 70, 60))
    yield kind("WebP, with alpha, 2400 px", "accepted", odd.saved(clear, "WEBP", method=0))
    data = odd.saved(clear, "WEBP", lossless=True, method=0)
    yield kind("WebP, lossless with alpha, 2400 px", "accepted", data)
    strip = odd.saved(Image.new("RGB", (16_383, 440)), "WEBP", lossless=True, method=0)
    yield kind("WebP, a strip", "accepted", strip)
