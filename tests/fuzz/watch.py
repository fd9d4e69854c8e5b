"""Puts one file through the image rules and tells what came of it: outcome, CPU time, memory at its peak.

CPU time is the process's own, so that a busy machine does not matter. Memory is the growth of the resident
set to its peak, which the kernel keeps (`VmHWM`) and forgets on request; where it does not (other than
Linux), memory is not watched.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vision_runtime.images import ImageLimits, ImageRejected, prepare
from vision_runtime.redaction import Region
from vision_runtime.spec import InputSpec

MOST_SECONDS, MOST_BYTES = 1.0, 128_000_000
# The rules' own deadline is by the clock, which a busy machine runs out.
UNHURRIED = ImageLimits(decode_seconds=60.0)
GREY, COLOUR = InputSpec(28, 28, 1), InputSpec(224, 224, 3)
ACCEPTED = "accepted"
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Seen:
    """`outcome` is `accepted` or the fault's name; `peak` is in bytes, 0 where it cannot be told.

    `decoded` says whether the file came as far as to a decoder.
    """

    outcome: str
    seconds: float
    peak: int
    decoded: bool

    @property
    def too_much(self) -> bool:
        """Whether it took more than an image may."""
        return self.seconds > MOST_SECONDS or self.peak > MOST_BYTES


class Corner:
    """A detector that finds something in every image: what is blurred goes through the rules as well."""

    def find(self, image: Image.Image) -> list[Region]:
        """The upper left quarter."""
        return [Region("face", 0.0, 0.0, 0.5, 0.5)]


def see(data: bytes, spec: InputSpec = COLOUR, *, redact: bool = False) -> Seen:
    """Raises whatever is not a refusal, and AssertionError when the result is not what was promised."""
    before = _resident()
    started = time.process_time()
    outcome, decoded = ACCEPTED, True
    try:
        made = prepare(data, spec, UNHURRIED, Corner() if redact else None)
    except ImageRejected as refusal:
        outcome, decoded = str(refusal.fault), "cannot be decoded" in refusal.detail
        assert refusal.detail, f"{outcome} says nothing"
    else:
        assert len(made.pixels) == spec.byte_count, "not as many pixels as the model takes"
    seconds = time.process_time() - started
    return Seen(outcome, seconds, max(0, _peak() - before) if before else 0, decoded)


def watches_memory() -> bool:
    """Whether peaks can be told here."""
    return _resident() > 0


def _resident() -> int:
    """The resident set in bytes, from where on the peak is counted anew; 0 where that cannot be told."""
    try:
        descriptor = os.open(_RESET, os.O_WRONLY)
        try:
            os.write(descriptor, b"5")
        finally:
            os.close(descriptor)
        return _field("VmRSS")
    except OSError:
        return 0


def _peak() -> int:
    return _field("VmHWM")


def _field(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0
