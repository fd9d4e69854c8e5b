"""Blurs what a detector finds in an image: faces and text, when the settings say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

# px of the longer side of the copy that detectors get: a face across 4 % of it has the 60 px they need.
EXAMINED_SIDE = 1600
MARGIN = 0.15  # of a region's sides, added on each: detectors cut hair, chins and outer letters off
# A region keeps so many colours along a side, however large it is: too few to know a face or read a word.
KEPT = 3


class NotExamined(Exception):
    """A detector cannot vouch for this very image, now or later; the message says why."""


@dataclass(frozen=True)
class Region:
    """Something found: its kind, and where it is in the upright image, as shares of the image's sides."""

    kind: str
    left: float
    top: float
    width: float
    height: float


class Detector(Protocol):
    """Finds what must not be kept."""

    def find(self, image: Image.Image) -> Sequence[Region]:
        """The regions to blur in `image`, which is upright, RGB and without metadata.

        Raises NotExamined for an image that will never do; anything else means that the detector failed,
        and that the image may be tried again.
        """
        ...


def blur(image: Image.Image, regions: Iterable[Region]) -> Image.Image:
    """`image` with the regions made unrecognisable; what lies outside them stays the same to the bit."""
    blurred = image.copy()
    for region in regions:
        box = _box(region, image.size)
        if box is not None:
            part = image.crop(box)
            coarse = part.resize((min(KEPT, part.width), min(KEPT, part.height)), Image.Resampling.BOX)
            blurred.paste(coarse.resize(part.size, Image.Resampling.BILINEAR), box)
    return blurred


def _box(region: Region, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The region with its margin in whole pixels, rounded outwards; None when it lies outside the image."""
    edges: list[tuple[int, int]] = []
    for start, length, side in (
        (region.left, region.width, size[0]),
        (region.top, region.height, size[1]),
    ):
        first = max(0, int((start - MARGIN * length) * side))
        end = min(side, int((start + (1 + MARGIN) * length) * side) + 1)
        if first >= end:
            return None
        edges.append((first, end))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom
