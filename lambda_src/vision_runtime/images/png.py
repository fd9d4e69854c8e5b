"""Checks the structure of a PNG file: legal header, no animation, bounded metadata, an end chunk."""

from __future__ import annotations

import struct
import zlib

from vision_runtime.images.rules import ImageFault, ImageLimits, ImageRejected, check_metadata
from vision_runtime.images.structure import Structure

MAGIC = b"\x89PNG\r\n\x1a\n"

BIT_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}  # by colour type
PALETTE_COLOUR = 3
PICTURE = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
DATA = {b"IDAT", b"IEND"}
ANIMATION = {b"acTL", b"fcTL", b"fdAT"}
# In the usual 8 KiB data chunks this is 128 MB. Each costs steps of the interpreter, here and in Pillow.
MAX_CHUNKS = 16_384
# Bytes a pixel while it is decoded and shrunk, by colour type; measured with Pillow. Those with alpha are
# multiplied with it for shrinking, which is a second copy.
PIXEL_BYTES = {0: 2, 2: 4, 3: 5, 4: 8, 6: 8}
GREY_16_BIT_BYTES = 6
# With a colour key, which makes them pictures with alpha: in both forms, and multiplied.
KEYED_BYTES = {0: 9, 2: 12, 3: 9}
XMP_KEYWORD, RAW_EXIF = b"XML:com.adobe.xmp", (b"Raw profile type exif", b"Raw profile type APP1")


def check(data: bytes, limits: ImageLimits) -> Structure:
    """The structure of a PNG that keeps the rules. Raises ImageRejected."""
    position, metadata = len(MAGIC), 0
    seen: set[bytes] = set()
    carried: dict[str, bytes] = {}
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
        payload = data[position + 8 : position + 8 + length] if kind not in DATA else b""
        if not seen:
            width, height, depth, colour = _header(kind, payload)
        seen.add(kind)
        if kind not in PICTURE:
            metadata += _metadata(kind, payload, carried, limits.max_metadata_bytes - metadata)
            check_metadata(metadata, limits)
        position += 12 + length
        if kind == b"IEND":
            check_metadata(metadata + len(data) - position, limits)
            _check_parts(seen, depth, colour)
            weight = _pixel_bytes(depth, colour, keyed=b"tRNS" in seen)
            return Structure(width, height, width * height * weight, data, **carried)
    raise ImageRejected(ImageFault.CORRUPT, f"the PNG has more than {MAX_CHUNKS} chunks")


def _pixel_bytes(depth: int, colour: int, *, keyed: bool) -> int:
    if keyed and colour in KEYED_BYTES:
        return KEYED_BYTES[colour]
    return GREY_16_BIT_BYTES if (depth, colour) == (16, 0) else PIXEL_BYTES[colour]


def _metadata(kind: bytes, payload: bytes, carried: dict[str, bytes], left: int) -> int:
    """How many bytes a chunk of metadata has, unpacked; what tells the orientation is put into `carried`."""
    if kind == b"eXIf":
        carried.setdefault("exif", payload)
        return len(payload)
    keyword, _, rest = payload.partition(b"\0")
    if kind in (b"zTXt", b"iCCP"):
        text = _unpacked(rest[1:], left)
    elif kind == b"iTXt":
        packed, (_, _, text) = rest[:1] == b"\1", (rest[2:].partition(b"\0"))
        text = text.partition(b"\0")[2]
        text = _unpacked(text, left) if packed else text
    else:
        text = rest
    if kind == b"iTXt" and keyword == XMP_KEYWORD:
        carried.setdefault("xmp", text)
    elif keyword in RAW_EXIF and (exif := _from_hex(text)):
        carried.setdefault("exif", exif)
    return max(len(payload), len(text))


def _unpacked(packed: bytes, left: int) -> bytes:
    """What was packed, up to one byte more than is left of the limit; nothing where it is broken."""
    try:
        return zlib.decompressobj().decompress(packed, max(1, left + 1))
    except zlib.error:
        return b""


def _from_hex(text: bytes) -> bytes:
    """EXIF as ImageMagick writes it into a text: an empty line, its kind, its length, then hex digits."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""


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
