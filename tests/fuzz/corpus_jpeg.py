"""JPEG files, good, odd and hostile."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

from tests.fuzz.kinds import Kind, exif_of_many_entries, kind, profile_of_many_elements, truncations
from tests.lambda_src import odd_images as odd

_FRAME, _SCAN, _TABLES, _CODES = 0xC0, 0xDA, 0xDB, 0xC4
Segments = list[tuple[int, bytes]]


def kinds(*, heavy: bool) -> Iterator[Kind]:
    """All of them; those that take a while only with `heavy`."""
    yield from _good()
    yield from _broken()
    yield from _carrying()
    if heavy:
        yield from _bombs()


def segment(marker: int, payload: bytes) -> tuple[int, bytes]:
    """A segment with its length."""
    return marker, bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload


def _small(**options: object) -> bytes:
    return odd.saved(odd.gradient(40, 32), "JPEG", **options)


def _good() -> Iterator[Kind]:
    for name, options in {
        "baseline": {},
        "without subsampling": {"subsampling": 0},
        "4:2:2": {"subsampling": 1},
        "progressive": {"progressive": True},
        "best quality": {"quality": 100},
        "worst quality": {"quality": 1},
        "optimised": {"optimize": True},
        "restart markers": {"restart_marker_blocks": 2},
        "RGB kept": {"keep_rgb": True, "subsampling": 0},
    }.items():
        yield kind(f"JPEG, {name}", "accepted", _small(**options))
    for mode in ("L", "CMYK"):
        for progressive in (False, True):
            data = odd.saved(odd.gradient(40, 32, mode), "JPEG", progressive=progressive)
            yield kind(f"JPEG, {mode}, progressive {progressive}", "accepted", data)
    for turned in range(1, 9):
        data = odd.with_orientation(odd.gradient(24, 40), turned, "JPEG")
        yield kind(f"JPEG, orientation {turned}", "accepted", data)
    yield kind("JPEG, one strip", "accepted", odd.saved(odd.gradient(3000, 8), "JPEG"))
    yield kind(
        "JPEG, CMYK with its profile",
        "accepted",
        odd.saved(odd.gradient(40, 32, "CMYK"), "JPEG", icc_profile=odd.cmyk_profile()),
    )
    yield kind("JPEG, too small", "too-small", odd.saved(Image.new("L", (7, 40)), "JPEG"))


def _broken() -> Iterator[Kind]:
    for name, data in {"JPEG": _small(), "progressive JPEG": _small(progressive=True)}.items():
        yield from truncations(name, data)
    whole = odd.jpeg_segments(_small())
    frame = next(content for marker, content in whole if marker == _FRAME)

    def with_frame(name: str, expected: str, content: bytes) -> Kind:
        return kind(f"JPEG, {name}", expected, _replaced(whole, _FRAME, content))

    yield with_frame("no frame", "corrupt", b"")
    yield with_frame("two frames", "corrupt", frame * 2)
    yield with_frame("12 bits", "unsupported-feature", frame[:4] + b"\x0c" + frame[5:])
    yield with_frame("open height", "unsupported-feature", frame[:5] + bytes(2) + frame[7:])
    yield with_frame("no width", "too-small", frame[:7] + bytes(2) + frame[9:])
    yield with_frame("two components", "corrupt", frame[:9] + b"\x02" + frame[10:])
    yield with_frame("sampling 0", "corrupt", frame[:11] + b"\x00" + frame[12:])
    yield with_frame("sampling 15", "corrupt", frame[:11] + b"\xff" + frame[12:])
    yield with_frame("sampling 4 x 4", "accepted corrupt", frame[:11] + b"\x44" + frame[12:])
    yield with_frame("table that is not there", "accepted corrupt", frame[:12] + b"\x03" + frame[13:])
    yield with_frame(
        "larger than its data", "accepted corrupt", frame[:5] + struct.pack(">HH", 500, 900) + frame[9:]
    )
    yield with_frame("60,000 px", "too-large", frame[:5] + struct.pack(">HH", 60_000, 60_000) + frame[9:])
    for marker in (0xC3, 0xC5, 0xC9, 0xCA, 0xCF):
        yield with_frame(f"coding {marker:X}", "unsupported-feature", bytes((0xFF, marker)) + frame[2:])
    yield with_frame("said to be progressive", "accepted corrupt", b"\xff\xc2" + frame[2:])
    yield kind("JPEG, no scan", "corrupt", _replaced(whole, _SCAN, b""))
    yield kind("JPEG, no quantisation", "corrupt accepted", _replaced(whole, _TABLES, b""))
    yield kind("JPEG, no codes", "corrupt accepted", _replaced(whole, _CODES, b""))
    codes = segment(_CODES, b"\x00" + b"\xff" * 16 + bytes(255))[1]
    yield kind("JPEG, impossible codes", "corrupt accepted", _replaced(whole, _CODES, codes))
    yield kind("JPEG, no end", "truncated", odd.joined(whole[:-1]))
    yield kind("JPEG, two beginnings", "corrupt", b"\xff\xd8" + odd.joined(whole))
    yield kind(
        "JPEG, rubbish between segments", "corrupt", odd.joined([*whole[:2], (0, b"rubbish"), *whole[2:]])
    )
    yield kind(
        "JPEG, a segment of no length", "corrupt", odd.joined([whole[0], (0, b"\xff\xe1\0\0"), *whole[1:]])
    )
    scan = next(content for marker, content in whole if marker == _SCAN)
    yield kind("JPEG, an empty scan", "accepted corrupt", _replaced(whole, _SCAN, scan[:14]))
    yield kind(
        "JPEG, wild restarts", "accepted corrupt", _replaced(whole, _SCAN, scan + b"\xff\xd5\xff\xd0" * 500)
    )
    yield kind("JPEG, a scan of a component that is not there", "accepted corrupt",
               _replaced(whole, _SCAN, scan[:5] + b"\x77" + scan[6:]))  # fmt: skip


def _carrying() -> Iterator[Kind]:
    whole = odd.jpeg_segments(_small())

    def carrying(name: str, expected: str, *extra: tuple[int, bytes]) -> Kind:
        return kind(f"JPEG with {name}", expected, odd.joined([whole[0], *extra, *whole[1:]]))

    yield carrying("much EXIF", "accepted", segment(0xE1, exif_of_many_entries(2000, 40_000)[:65_000]))
    yield carrying(
        "EXIF in a circle",
        "accepted",
        segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x01\0" + bytes(12) + b"\x08\0\0\0"),
    )
    yield carrying("broken EXIF", "accepted", segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"))
    yield carrying("many pictures declared", "accepted",
                   segment(0xE2, b"MPF\0" + exif_of_many_entries(2000, 40_000)[6:65_000]))  # fmt: skip
    yield carrying("Photoshop's resources", "accepted", segment(0xED, b"Photoshop 3.0\0" + b"8BIM" * 10_000))
    yield carrying("a broken profile", "accepted", segment(0xE2, b"ICC_PROFILE\0\x01\x01" + b"rubbish" * 40))
    yield carrying(
        "half a profile", "accepted", segment(0xE2, b"ICC_PROFILE\0\x01\x09" + odd.swapped_profile())
    )
    endless = profile_of_many_elements(7000)
    yield carrying(
        "a profile of 7,000 elements", "accepted", segment(0xE2, b"ICC_PROFILE\0\x01\x01" + endless[:65_000])
    )
    yield carrying("3 MB of comments", "accepted", *[segment(0xFE, b"x" * 65_000)] * 48)
    yield carrying("thousands of segments", "corrupt", *[segment(0xFE, b"")] * 5000)
    yield carrying("3 MB of fill bytes", "accepted", (0, b"\xff" * 3_000_000))
    yield kind("JPEG with a preview behind it", "accepted", _small() + _small())


def _bombs() -> Iterator[Kind]:
    yield kind("JPEG, 33 scans", "too-many-scans", odd.many_scans(33))
    yield kind("JPEG, 5,000 scans", "too-many-scans", odd.many_scans(5000))
    for width, height in ((7000, 7000), (20_000, 2_400), (2_400, 20_000)):
        whole = _of_one_colour(width, height)
        yield kind(f"JPEG, {width} x {height}", "accepted", whole)
    yield kind("JPEG, a strip that nothing scales", "accepted", _of_one_colour(20_000, 650))
    large = _of_one_colour(6100, 6100, progressive=True)
    yield kind("JPEG, 37 MP, progressive", "accepted too-many-pixels", large)
    whole = odd.jpeg_segments(large)
    scans = [each for each in whole if each[0] == _SCAN]
    yield kind("JPEG, 37 MP, 32 scans", "accepted too-many-pixels",
               odd.joined([*whole[:-1], *[scans[-1]] * (32 - len(scans)), whole[-1]]))  # fmt: skip
    too_large = _of_one_colour(7000, 7000, progressive=True, subsampling=0)
    yield kind("JPEG, 49 MP, progressive", "too-many-pixels", too_large)
    yield kind("JPEG, 51 MP", "too-many-pixels", _of_one_colour(7200, 7200))


def _of_one_colour(width: int, height: int, **options: object) -> bytes:
    return odd.saved(Image.new("RGB", (width, height), (90, 120, 30)), "JPEG", **options)


def _replaced(segments: Segments, marker: int, new: bytes) -> bytes:
    """With all segments of one kind exchanged for `new`."""
    return odd.joined([(each, new if each == marker else content) for each, content in segments])
