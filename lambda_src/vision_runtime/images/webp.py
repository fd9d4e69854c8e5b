"""Checks the structure of a WebP file: whole container, one still picture, bounded metadata."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from vision_runtime.images.rules import ImageFault, ImageLimits, ImageRejected, check_metadata
from vision_runtime.images.structure import Structure

LOSSY, LOSSLESS, EXTENDED, ALPHA = b"VP8 ", b"VP8L", b"VP8X", b"ALPH"
ANIMATION = {b"ANIM", b"ANMF"}
ANIMATION_FLAG = 0x02
MAX_CHUNKS = 1024
# Of the decoder's two canvases, the picture that it hands over, and Pillow's own; pictures with alpha are
# multiplied with it for shrinking, which is one more.
PIXEL_BYTES, PIXEL_BYTES_WITH_ALPHA = 16, 20
ALPHA_FLAG, LOSSLESS_ALPHA_BIT = 0x10, 1 << 28
CARRIED = {b"EXIF": "exif", b"XMP ": "xmp"}


@dataclass
class _Reading:
    """What has been found so far."""

    metadata: int
    canvas: tuple[int, int] | None = None
    picture: tuple[int, int] | None = None
    alpha: bool = False
    carried: dict[str, bytes] = field(default_factory=dict[str, bytes])


def check(data: bytes, limits: ImageLimits) -> Structure:
    """The structure of a WebP that keeps the rules. Raises ImageRejected."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise _truncated()
    position = 12
    found = _Reading(metadata=len(data) - end)
    for _ in range(MAX_CHUNKS):
        if position >= end:
            break
        if position + 8 > end:
            raise _truncated()
        kind, length = struct.unpack_from("<4sI", data, position)
        if position + 8 + length > end:
            raise _truncated()
        _note(found, kind, data[position + 8 : position + 8 + length])
        position += 8 + length + length % 2  # chunks are padded to even lengths
    else:
        raise ImageRejected(ImageFault.CORRUPT, f"the WebP has more than {MAX_CHUNKS} chunks")
    check_metadata(found.metadata, limits)
    if found.picture is None or found.canvas not in (None, found.picture):
        raise ImageRejected(ImageFault.CORRUPT, "the WebP has no picture of the size that it declares")
    width, height = found.picture
    weight = PIXEL_BYTES_WITH_ALPHA if found.alpha else PIXEL_BYTES
    return Structure(width, height, width * height * weight, data, **found.carried)


def _note(found: _Reading, kind: bytes, payload: bytes) -> None:
    """Take one chunk in. Raises ImageRejected."""
    if kind in ANIMATION or (kind == EXTENDED and payload[:1] and payload[0] & ANIMATION_FLAG):
        raise ImageRejected(ImageFault.ANIMATED, "the WebP is animated; send a single picture")
    if kind == EXTENDED:
        found.canvas = _extended_size(payload)
        found.alpha |= bool(payload[0] & ALPHA_FLAG)
    elif kind in (LOSSY, LOSSLESS):
        if found.picture is not None:
            raise ImageRejected(ImageFault.CORRUPT, "the WebP holds more than one picture")
        found.picture = _lossy_size(payload) if kind == LOSSY else _lossless_size(payload)
        found.alpha |= kind == LOSSLESS and bool(int.from_bytes(payload[1:5], "little") & LOSSLESS_ALPHA_BIT)
    elif kind == ALPHA:
        found.alpha = True
    else:
        found.metadata += len(payload)
        if kind in CARRIED:
            found.carried.setdefault(CARRIED[kind], payload)


def _extended_size(payload: bytes) -> tuple[int, int]:
    if len(payload) < 10:
        raise ImageRejected(ImageFault.CORRUPT, "the WebP's extended header is too short")
    return int.from_bytes(payload[4:7], "little") + 1, int.from_bytes(payload[7:10], "little") + 1


def _lossy_size(payload: bytes) -> tuple[int, int]:
    if len(payload) < 10 or payload[3:6] != b"\x9d\x01\x2a":
        raise ImageRejected(ImageFault.CORRUPT, "the WebP's picture does not begin with a key frame")
    width, height = struct.unpack_from("<HH", payload, 6)
    return width & 0x3FFF, height & 0x3FFF  # the upper two bits ask for scaling


def _lossless_size(payload: bytes) -> tuple[int, int]:
    if len(payload) < 5 or payload[0] != 0x2F:
        raise ImageRejected(ImageFault.CORRUPT, "the WebP's lossless picture has no signature")
    bits = int.from_bytes(payload[1:5], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _truncated() -> ImageRejected:
    return ImageRejected(
        ImageFault.TRUNCATED, "the WebP breaks off before its declared end; send the whole file"
    )
