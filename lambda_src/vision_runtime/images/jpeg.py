"""Checks the structure of a JPEG file: one frame, few scans, bounded metadata, an end marker.

What decoders have no use for - metadata, fill bytes, what follows the end - is left out of what they get:
they walk through fill bytes one by one, and read more of metadata than the picture needs.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from vision_runtime.images.rules import ImageFault, ImageLimits, ImageRejected, check_metadata
from vision_runtime.images.structure import Structure

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

PROGRESSIVE = 0xC2
# What says how colours are to be read; all else in application segments is metadata.
COLOUR_SEGMENTS = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
MAX_SAMPLING = 4
BLOCK_SIDE, COEFFICIENT_BYTES = 8, 2
# Fill bytes before a marker.
FILL = re.compile(rb"\xff*")
# Inside a scan 0xFF is followed by 0x00 (stuffing), a restart marker or more 0xFF (fill); all else ends it.
NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True)
class _Frame:
    """The picture as its header declares it; `coefficient_bytes` is all of it, unpacked, not transformed."""

    width: int
    height: int
    components: int
    progressive: bool
    coefficient_bytes: int


@dataclass
class _Reading:
    """What has been found so far."""

    frame: _Frame | None = None
    scans: int = 0
    metadata: int = 0
    # Decoders keep the whole picture, where it comes in several scans.
    kept_whole: bool = False
    exif: bytes = b""
    xmp: bytes = b""
    parts: list[bytes] = field(default_factory=lambda: [b"\xff\xd8"])


def check(data: bytes, limits: ImageLimits) -> Structure:
    """The structure of a JPEG that keeps the rules. Raises ImageRejected."""
    found = _Reading()
    position = 2
    for _ in range(MAX_SEGMENTS):
        marker, position = _marker(data, position)
        if marker == END:
            return _finished(found, len(data) - position, limits)
        if marker == START:
            raise ImageRejected(ImageFault.CORRUPT, "the JPEG holds a second start marker")
        if marker in WITHOUT_LENGTH:
            continue
        end = _segment_end(data, position)
        if marker == SCAN:
            _begin_scan(found, data[position + 2 : end], limits)
            end = _scan_end(data, end)
        elif marker in HUFFMAN_FRAMES:
            if found.frame is not None:
                raise ImageRejected(ImageFault.CORRUPT, "the JPEG declares more than one frame")
            found.frame = _frame(data[position + 2 : end], marker)
        elif marker in OTHER_FRAMES:
            raise ImageRejected(
                ImageFault.UNSUPPORTED_FEATURE,
                "the JPEG is lossless, hierarchical or arithmetic-coded; save it as baseline or progressive",
            )
        if marker in APPLICATION or marker == COMMENT:
            found.metadata += end - position
            _note_metadata(found, marker, data[position + 2 : end])
        if not (marker in APPLICATION or marker == COMMENT) or data.startswith(
            COLOUR_SEGMENTS.get(marker, b"\xff\xff"), position + 2
        ):
            found.parts += [bytes((0xFF, marker)), data[position:end]]
        position = end
    raise ImageRejected(ImageFault.CORRUPT, f"the JPEG has more than {MAX_SEGMENTS} segments")


def _finished(found: _Reading, behind: int, limits: ImageLimits) -> Structure:
    """The structure, at the end marker; so many bytes follow it."""
    if found.frame is None or found.scans == 0:
        raise ImageRejected(ImageFault.CORRUPT, "the JPEG ends without a picture")
    check_metadata(found.metadata + behind, limits)
    return Structure(
        width=found.frame.width,
        height=found.frame.height,
        decoder_bytes=found.frame.coefficient_bytes if found.kept_whole else 0,
        data=b"".join([*found.parts, b"\xff\xd9"]),
        exif=found.exif,
        xmp=found.xmp,
    )


def _note_metadata(found: _Reading, marker: int, payload: bytes) -> None:
    if marker != APPLICATION[1]:
        return
    if payload.startswith(EXIF):
        found.exif = found.exif or payload
    elif payload.startswith(XMP):
        found.xmp = found.xmp or payload


def _begin_scan(found: _Reading, payload: bytes, limits: ImageLimits) -> None:
    found.scans += 1
    if found.frame is None:
        raise ImageRejected(ImageFault.CORRUPT, "a scan of the JPEG comes before its frame")
    if found.scans > limits.max_scans:
        raise ImageRejected(
            ImageFault.TOO_MANY_SCANS,
            f"the JPEG has more than {limits.max_scans} scans; save it again with a usual encoder",
        )
    holds_all = payload[:1] == bytes((found.frame.components,))
    found.kept_whole |= found.frame.progressive or found.scans > 1 or not holds_all


def _marker(data: bytes, position: int) -> tuple[int, int]:
    """The marker at `position` (fill bytes skipped) and the position behind it."""
    filled = FILL.match(data, position)
    end = filled.end() if filled else position
    if end >= len(data):
        raise _truncated()
    if end == position:
        raise ImageRejected(ImageFault.CORRUPT, f"there is no JPEG marker at byte {position}")
    return data[end], end + 1


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


def _frame(payload: bytes, marker: int) -> _Frame:
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
    sampling = [(each >> 4, each & 15) for each in payload[7 : 6 + 3 * components : 3]]
    if not all(1 <= side <= MAX_SAMPLING for each in sampling for side in each):
        raise ImageRejected(ImageFault.CORRUPT, "the JPEG's components have impossible sampling factors")
    whole = _coefficient_bytes(width, height, sampling)
    return _Frame(width, height, components, marker == PROGRESSIVE, whole)


def _coefficient_bytes(width: int, height: int, sampling: list[tuple[int, int]]) -> int:
    """What all coefficients take: each component in whole blocks, rounded up to whole units of coding."""
    across, down = max(h for h, _ in sampling), max(v for _, v in sampling)
    units = -(-width // (BLOCK_SIDE * across)) * -(-height // (BLOCK_SIDE * down))
    blocks = units * sum(h * v for h, v in sampling)
    return blocks * BLOCK_SIDE * BLOCK_SIDE * COEFFICIENT_BYTES


def _truncated() -> ImageRejected:
    return ImageRejected(
        ImageFault.TRUNCATED, "the JPEG breaks off before its end marker; send the whole file"
    )
