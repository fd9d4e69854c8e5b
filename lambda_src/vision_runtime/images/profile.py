"""Takes out of a colour profile what could keep the colour engine busy for minutes."""

from __future__ import annotations

import struct

_TAG_COUNT_PLACE, _TAG_BYTES = 128, 12
# More are an error to the colour engine.
_MOST_TAGS = 100
# Tables of any number of processing elements (ICC.1:2022, 10.16), all of which are applied to every colour: a
# profile of a kilobyte can, unpacked, name a hundred thousand. Those that photos carry have tables of four
# steps as well, which are used instead.
_ENDLESS = (b"D2B", b"B2D")
_UNKNOWN = b"none"


def harmless(profile: bytes) -> bytes:
    """The same profile without tables of endless elements; what is no profile is left as it is."""
    try:
        (count,) = struct.unpack_from(">I", profile, _TAG_COUNT_PLACE)
    except struct.error:
        return profile
    made = bytearray(profile)
    for number in range(min(count, _MOST_TAGS)):
        place = _TAG_COUNT_PLACE + 4 + _TAG_BYTES * number
        if made[place : place + 3].startswith(_ENDLESS):
            made[place : place + 4] = _UNKNOWN
    return bytes(made)
