"""Checks the structure of a JPEG file: one frame, few scans, bounded metadata, an end marker."""

from __future__ import annotations

import re
import struct

from vision_runtime.images.rules import ImageFault, ImageLimits, ImageRejected, check_metadata

MAGIC = b"\xff\xd8\xff"

START, END, SCAN, COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
HUFFMAN_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive
OTHER_FRAMES = {
    0xC3,
    0xC5,
    0xC6,
    0xC7,
    0xC9,
    0xCA,
    0xCB,
    0xCD,
    0xCE,
    0xCF,
}  # lossless, hierarchical, arithmetic
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
APPLICATION = range(0xE0, 0xF0)
# Photos have dozens, extended XMP and big profiles some hundred. Each costs an interpreter's step here.
MAX_SEGMENTS = 4096

# Inside a scan 0xFF is followed by 0x00 (stuffing), a restart marker or more 0xFF (fill); all else ends it.
NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def check(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """The sides (px) of a JPEG whose structure keeps the rules. Raises ImageRejected."""
    size: tuple[int, int] | None = None
    scans = metadata = 0
    position = 2
    for _ in range(MAX_SEGMENTS):
        marker, position = _marker(data, position)
        if marker == END:
            if size is None or scans == 0:
                raise ImageRejected(ImageFault.CORRUPT, "the JPEG ends without a picture")
            check_metadata(metadata + len(data) - position, limits)
            return size
        if marker == START:
            raise ImageRejected(ImageFault.CORRUPT, "the JPEG holds a second start marker")
        if marker in WITHOUT_LENGTH:
            continue
        end = _segment_end(data, position)
        if marker in HUFFMAN_FRAMES:
            if size is not None:
                raise ImageRejected(ImageFault.CORRUPT, "the JPEG declares more than one frame")
            size = _frame(data[position + 2 : end])
        elif marker in OTHER_FRAMES:
            raise ImageRejected(
                ImageFault.UNSUPPORTED_FEATURE,
                "the JPEG is lossless, hierarchical or arithmetic-coded; save it as baseline or progressive",
            )
        elif marker in APPLICATION or marker == COMMENT:
            metadata += end - position
        elif marker == SCAN:
            scans += 1
            if size is None:
                raise ImageRejected(ImageFault.CORRUPT, "a scan of the JPEG comes before its frame")
            if scans > limits.max_scans:
                raise ImageRejected(
                    ImageFault.TOO_MANY_SCANS,
                    f"the JPEG has more than {limits.max_scans} scans; save it again with a usual encoder",
                )
            end = _scan_end(data, end)
        position = end
    raise ImageRejected(ImageFault.CORRUPT, f"the JPEG has more than {MAX_SEGMENTS} segments")


def _marker(data: bytes, position: int) -> tuple[int, int]:
    """The marker at `position` (fill bytes skipped) and the position behind it."""
    start = position
    while position < len(data) and data[position] == 0xFF:
        position += 1
    if position >= len(data):
        raise _truncated()
    if position == start:
        raise ImageRejected(ImageFault.CORRUPT, f"there is no JPEG marker at byte {start}")
    return data[position], position + 1


def _segment_end(data: bytes, position: int) -> int:
    if position + 2 > len(data):
        raise _truncated()
    (length,) = struct.unpack_from(">H", data, position)
    if length < 2:
        raise ImageRejected(
            ImageFault.CORRUPT, f"the JPEG segment at byte {position} has the length {length}"
        )
    if position + length > len(data):
        raise _truncated()
    return position + length


def _scan_end(data: bytes, position: int) -> int:
    found = NEXT_MARKER.search(data, position)
    if found is None:
        raise _truncated()
    return found.start()


def _frame(payload: bytes) -> tuple[int, int]:
    if len(payload) < 6:
        raise ImageRejected(ImageFault.CORRUPT, "the JPEG's frame header is too short")
    precision, height, width, components = struct.unpack_from(">BHHB", payload)
    if precision != 8:
        raise ImageRejected(
            ImageFault.UNSUPPORTED_FEATURE, f"the JPEG has {precision} bits a sample; 8 are accepted"
        )
    if components not in (1, 3, 4) or len(payload) != 6 + 3 * components:
        raise ImageRejected(ImageFault.CORRUPT, f"the JPEG declares {components} colour components")
    if height == 0:
        raise ImageRejected(
            ImageFault.UNSUPPORTED_FEATURE, "the JPEG leaves its height open (DNL); save it again"
        )
    return width, height


def _truncated() -> ImageRejected:
    return ImageRejected(
        ImageFault.TRUNCATED, "the JPEG breaks off before its end marker; send the whole file"
    )
