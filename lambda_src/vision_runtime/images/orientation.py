"""How a picture is to be turned: the one thing that is read of a file's metadata.

Read here and not by a library for EXIF: such a library reads all entries, of which a hostile file has tens of
thousands that each refer to the same megabytes, and writes a warning for every one that is wrong.
"""

from __future__ import annotations

import re
import struct

AS_STORED = 1
ORIENTATION_TAG = 0x0112
TURNED = range(2, 9)
# By the types that a whole number may have: short, as EXIF asks for, and long.
_VALUES = {3: "H", 4: "I"}
_ORDERS = {b"II": "<", b"MM": ">"}
_TIFF = 42
# Cameras write some dozens.
_MOST_ENTRIES = 1000
_ENTRY_BYTES = 12
_IN_XMP = re.compile(rb"""tiff:Orientation(?:=["']|>)([1-8])""")


def orientation(exif: bytes, xmp: bytes) -> int:
    """The EXIF orientation, from 1 (as stored) to 8: of EXIF, or else of XMP. What is broken says nothing."""
    found = _of_exif(exif.removeprefix(b"Exif\0\0"))
    if found is None and (written := _IN_XMP.search(xmp)):
        found = int(written[1])
    return found if found is not None and found in TURNED else AS_STORED


def _of_exif(tiff: bytes) -> int | None:
    """The tag of the first directory; None where there is none that can be read."""
    order = _ORDERS.get(tiff[:2])
    if order is None:
        return None
    try:
        magic, first = struct.unpack_from(f"{order}HI", tiff, 2)
        if magic != _TIFF:
            return None
        (count,) = struct.unpack_from(f"{order}H", tiff, first)
        for number in range(min(count, _MOST_ENTRIES)):
            place = first + 2 + _ENTRY_BYTES * number
            tag, kind, values = struct.unpack_from(f"{order}HHI", tiff, place)
            if tag == ORIENTATION_TAG and kind in _VALUES and values == 1:
                (value,) = struct.unpack_from(f"{order}{_VALUES[kind]}", tiff, place + 8)
                return int(value)
    except struct.error:
        return None
    return None
