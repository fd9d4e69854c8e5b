"""Decoding and resizing one image by the image rules, against the plain Pillow that one writes at first."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from benchmarks.preprocess_images import ONE_MEGAPIXEL, TWELVE_MEGAPIXELS, photo

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lambda_src"))
from vision_runtime.images import ImageLimits, to_model_input
from vision_runtime.images.rules import MEBIBYTE
from vision_runtime.spec import InputSpec

LIMITS = ImageLimits(max_bytes=32 * MEBIBYTE)


class Case(NamedTuple):
    """Files of one size (px), and how many times as fast as plain Pillow the rules must be with them."""

    name: str
    sides: tuple[int, int]
    files: int
    target: float


CASES = (Case("12 MP", TWELVE_MEGAPIXELS, 3, 3.0), Case("1 MP", ONE_MEGAPIXEL, 6, 2.0))


@dataclass(frozen=True)
class Comparison:
    """Milliseconds of CPU an image, by three ways, for files of one size."""

    name: str
    kilobytes: float
    ours: float
    naive: float
    naive_same_filter: float
    target: float

    @property
    def ratio(self) -> float:
        """How many times as fast the image rules are as plain Pillow."""
        return self.naive / self.ours

    @property
    def met(self) -> bool:
        """Whether that is enough."""
        return self.ratio >= self.target


def compare(side: int, repeats: int) -> list[Comparison]:
    """All cases, for a model that takes RGB of `side` px.

    The ways take turns on each file, and the best of `repeats` counts for each.
    """
    return [_compare(InputSpec(side, side, 3), repeats, case) for case in CASES]


def _compare(spec: InputSpec, repeats: int, case: Case) -> Comparison:
    size = spec.width, spec.height

    def ours(data: bytes) -> None:
        to_model_input(data, spec, LIMITS)

    def naive(data: bytes) -> None:
        Image.open(io.BytesIO(data)).convert("RGB").resize(size).tobytes()

    def naive_same_filter(data: bytes) -> None:
        Image.open(io.BytesIO(data)).convert("RGB").resize(size, Image.Resampling.BILINEAR).tobytes()

    ways = (ours, naive, naive_same_filter)
    photos = [photo(*case.sides, seed) for seed in range(case.files)]
    best = dict.fromkeys(ways, 0.0)
    for data in photos:
        times: dict[Callable[[bytes], None], list[float]] = {way: [] for way in ways}
        for _ in range(repeats):
            for way in ways:
                times[way].append(_seconds(way, data))
        for way in ways:
            best[way] += 1000 * min(times[way]) / case.files
    return Comparison(
        case.name,
        sum(map(len, photos)) / case.files / 1000,
        best[ours],
        best[naive],
        best[naive_same_filter],
        case.target,
    )


def _seconds(way: Callable[[bytes], None], data: bytes) -> float:
    began = time.process_time()
    way(data)
    return time.process_time() - began
