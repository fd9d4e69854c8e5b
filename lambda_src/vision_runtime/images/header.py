"""Tells the format of an image by its first bytes and checks its structure without decoding a pixel."""

from __future__ import annotations

from dataclasses import dataclass

from vision_runtime.images import jpeg, png, webp
from vision_runtime.images.rules import ImageFault, ImageLimits, ImageRejected, check_size
from vision_runtime.images.structure import Structure, check_decoder_bytes

ACCEPTED = "JPEG, PNG or WebP"

# Named so that a sender learns what was sent; none of these is ever handed to a decoder.
KNOWN_BUT_REFUSED = (
    (0, b"GIF8", "GIF"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"%PDF", "PDF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypavif", "AVIF"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
)


@dataclass(frozen=True)
class Header:
    """What an accepted file says about itself: Pillow's name of the format, and its structure."""

    format: str
    structure: Structure


def inspect(data: bytes, limits: ImageLimits) -> Header:
    """Check bytes, magic, structure, metadata, sides and memory, in that order. Raises ImageRejected."""
    if not data:
        raise ImageRejected(ImageFault.EMPTY, f"there are no bytes; send a {ACCEPTED} image")
    if len(data) > limits.max_bytes:
        raise ImageRejected(
            ImageFault.TOO_MANY_BYTES,
            f"the image has {len(data)} bytes; at most {limits.max_bytes} are accepted",
        )
    name, found = _structure(data, limits)
    check_size(found.width, found.height, limits)
    check_decoder_bytes(found.decoder_bytes, found.width, found.height, limits)
    return Header(name, found)


def _structure(data: bytes, limits: ImageLimits) -> tuple[str, Structure]:
    if data.startswith(jpeg.MAGIC):
        return "JPEG", jpeg.check(data, limits)
    if data.startswith(png.MAGIC):
        return "PNG", png.check(data, limits)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP", webp.check(data, limits)
    for offset, magic, name in KNOWN_BUT_REFUSED:
        if data.startswith(magic, offset):
            raise ImageRejected(
                ImageFault.UNSUPPORTED_FORMAT, f"this is a {name} file; send a {ACCEPTED} image"
            )
    raise ImageRejected(ImageFault.NOT_AN_IMAGE, f"the first bytes are not those of a {ACCEPTED} image")
