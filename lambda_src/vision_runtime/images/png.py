"""Checks the structure of a PNG file: legal header, no animation, bounded metadata, an end chunk."""

from __future__ import annotations

import struct

from vision_runtime.images.rules import ImageFault, ImageLimits, ImageRejected, check_metadata

MAGIC = b"\x89PNG\r\n\x1a\n"

BIT_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}  # by colour type
PALETTE_COLOUR = 3
PICTURE = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
ANIMATION = {b"acTL", b"fcTL", b"fdAT"}
# In the usual 8 KiB data chunks this is half a gigabyte. Each costs an interpreter's step here.
MAX_CHUNKS = 65_536


def check(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """The sides (px) of a PNG whose structure keeps the rules. Raises ImageRejected."""
    position, metadata = len(MAGIC), 0
    seen: set[bytes] = set()
    width = height = depth = colour = 0
    for _ in range(MAX_CHUNKS):
        if position + 12 > len(data):
            raise _truncated()
        length, kind = struct.unpack_from(">I4s", data, position)
        if not kind.isalpha():
            raise ImageRejected(ImageFault.CORRUPT, f"there is no PNG chunk at byte {position}")
        if position + 12 + length > len(data):
            raise _truncated()
        if kind in ANIMATION:
            raise ImageRejected(ImageFault.ANIMATED, "the PNG is animated; send a single picture")
        if not seen:
            width, height, depth, colour = _header(kind, data[position + 8 : position + 8 + length])
        seen.add(kind)
        if kind not in PICTURE:
            metadata += length
        position += 12 + length
        if kind == b"IEND":
            check_metadata(metadata + len(data) - position, limits)
            _check_parts(seen, depth, colour)
            return width, height
    raise ImageRejected(ImageFault.CORRUPT, f"the PNG has more than {MAX_CHUNKS} chunks")


def _header(kind: bytes, payload: bytes) -> tuple[int, int, int, int]:
    if kind != b"IHDR" or len(payload) != 13:
        raise ImageRejected(ImageFault.CORRUPT, "the PNG does not begin with its header chunk")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", payload)
    if depth not in BIT_DEPTHS.get(colour, set()) or compression or filtering or interlace > 1:
        raise ImageRejected(ImageFault.CORRUPT, "the PNG's header declares an unknown kind of picture")
    return width, height, depth, colour


def _check_parts(seen: set[bytes], depth: int, colour: int) -> None:
    if b"IDAT" not in seen or (colour == PALETTE_COLOUR and b"PLTE" not in seen):
        raise ImageRejected(ImageFault.CORRUPT, "the PNG has no picture data or no palette")
    if depth == 16 and b"tRNS" in seen:
        # Pillow keeps the 16-bit key beside pixels of 8 bits, so that it would match the wrong ones or none.
        raise ImageRejected(
            ImageFault.UNSUPPORTED_FEATURE,
            "the PNG has 16 bits a sample and a transparent colour key; save it with an alpha channel",
        )


def _truncated() -> ImageRejected:
    return ImageRejected(ImageFault.TRUNCATED, "the PNG breaks off before its end chunk; send the whole file")
