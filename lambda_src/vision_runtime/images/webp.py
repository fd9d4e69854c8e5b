"""Checks the structure of a WebP file: whole container, one still picture, bounded metadata."""

from __future__ import annotations

import struct

from vision_runtime.images.rules import ImageFault, ImageLimits, ImageRejected, check_metadata

LOSSY, LOSSLESS, EXTENDED, ALPHA = b"VP8 ", b"VP8L", b"VP8X", b"ALPH"
ANIMATION = {b"ANIM", b"ANMF"}
ANIMATION_FLAG = 0x02
MAX_CHUNKS = 1024


def check(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """The sides (px) of a WebP whose structure keeps the rules. Raises ImageRejected."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise _truncated()
    position, metadata = 12, len(data) - end
    canvas: tuple[int, int] | None = None
    picture: tuple[int, int] | None = None
    for _ in range(MAX_CHUNKS):
        if position >= end:
            break
        if position + 8 > end:
            raise _truncated()
        kind, length = struct.unpack_from("<4sI", data, position)
        payload = data[position + 8 : position + 8 + min(length, 10)]
        if position + 8 + length > end:
            raise _truncated()
        if kind in ANIMATION or (kind == EXTENDED and payload[:1] and payload[0] & ANIMATION_FLAG):
            raise ImageRejected(ImageFault.ANIMATED, "the WebP is animated; send a single picture")
        if kind == EXTENDED:
            canvas = _extended_size(payload)
        elif kind in (LOSSY, LOSSLESS):
            if picture is not None:
                raise ImageRejected(ImageFault.CORRUPT, "the WebP holds more than one picture")
            picture = _lossy_size(payload) if kind == LOSSY else _lossless_size(payload)
        elif kind != ALPHA:
            metadata += length
        position += 8 + length + length % 2  # chunks are padded to even lengths
    else:
        raise ImageRejected(ImageFault.CORRUPT, f"the WebP has more than {MAX_CHUNKS} chunks")
    check_metadata(metadata, limits)
    if picture is None or (canvas is not None and canvas != picture):
        raise ImageRejected(ImageFault.CORRUPT, "the WebP has no picture of the size that it declares")
    return picture


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
