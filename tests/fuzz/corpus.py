"""Files of the kinds that a decoder's own test suite holds, made by script; each says what must come."""

from __future__ import annotations

from collections.abc import Iterator

from tests.fuzz import corpus_jpeg, corpus_png, corpus_webp
from tests.fuzz.kinds import Kind, kind
from tests.lambda_src import odd_images as odd

# Longer ones take longer, and are no more varied.
_LARGEST_SEED = 6_000
# Of ten mutations so many begin with a good file: what is broken already is refused before it is decoded.
_GOOD_TIMES = 8


def corpus(*, heavy: bool) -> Iterator[Kind]:
    """All of them, one after the other; bombs of many megapixels, which take a while, only with `heavy`."""
    yield from _others()
    for each in (corpus_jpeg, corpus_png, corpus_webp):
        yield from each.kinds(heavy=heavy)


def seeds() -> list[bytes]:
    """Small files of the corpus, good ones more often: what mutations begin with."""
    small = [each for each in corpus(heavy=False) if 0 < len(each.data) <= _LARGEST_SEED]
    good = [each.data for each in small if each.expected == {"accepted"}]
    others = [each.data for each in small if each.expected != {"accepted"}]
    share = _GOOD_TIMES / (10 - _GOOD_TIMES) * len(others) / len(good)
    return good * max(1, round(share)) + others


def _others() -> Iterator[Kind]:
    yield kind("nothing", "empty", b"")
    yield kind("one byte", "not-an-image", b"\xff")
    yield kind("a text", "not-an-image", b"seven, I think")
    yield kind("a page", "not-an-image", b"<!DOCTYPE html><html><body>404</body></html>")
    yield kind("a drawing", "not-an-image", b'<svg xmlns="http://www.w3.org/2000/svg"/>')
    yield kind("zeros", "not-an-image", bytes(4096))
    yield kind("a ZIP", "not-an-image", b"PK\x03\x04" + bytes(100))
    yield kind("an icon", "not-an-image", odd.saved(odd.gradient(32, 32), "ICO"))
    yield kind("a sound in RIFF", "not-an-image", b"RIFF\x24\x00\x00\x00WAVEfmt ")
    picture = odd.gradient(16, 16)
    for name in ("GIF", "TIFF", "BMP"):
        yield kind(name, "unsupported-format", odd.saved(picture, name))
    for name, beginning in {
        "PDF": b"%PDF-1.7\n",
        "HEIC": b"\0\0\0\x18ftypheic",
        "HEIF": b"\0\0\0\x18ftypmif1",
        "AVIF": b"\0\0\0\x18ftypavif",
        "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n",
        "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
        "TIFF of Motorola": b"MM\0*\0\0\0\x08",
    }.items():
        yield kind(name, "unsupported-format", beginning + bytes(200))
    yield kind("a movie in PNG's manner", "not-an-image", b"\x8aMNG\r\n\x1a\n" + bytes(64))
    yield kind("too many bytes", "too-many-bytes", odd.saved(picture, "PNG") + bytes(4 * 1024 * 1024))
    png, jpeg = odd.saved(picture, "PNG"), odd.saved(picture, "JPEG")
    yield kind("a JPEG behind a PNG's first bytes", "corrupt truncated", png[:8] + jpeg)
    yield kind("a PNG behind a JPEG's first bytes", "corrupt truncated", jpeg[:3] + png)
    yield kind("a PNG with a JPEG behind it", "accepted", png + jpeg)
