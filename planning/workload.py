"""What the platform is asked to do: images a day, how they come, and how quickly they must be answered."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from planning.explained import Input
from planning.measured import RESNET18_MS

SECONDS_A_DAY = 86_400
# Images that callers send in the same instant, such as cameras behind one trigger, for a million a day.
_TOGETHER_PER_MILLION = 60
Shape = Literal["flat", "daytime"]
# Load of each hour (UTC) beside the mean; the peak comes on top of it.
_SHAPES: dict[str, tuple[float, ...]] = {
    "flat": (1.0,) * 24,
    "daytime": (0.4,) * 6 + (0.8, 1.2, 1.6) + (1.8,) * 8 + (1.4, 1.0, 0.8) + (0.6, 0.6, 0.4, 0.4),
}


class WorkloadError(ValueError):
    """A workload contradicts itself; the message names the field and the cure."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A day's work, and what its callers may expect. Times are in the unit of their name."""

    images_per_day: int = 500_000
    # The busiest minute beside the mean of the day.
    peak_factor: float = 10.0
    # How quickly load rises from the mean to the peak.
    rise_minutes: float = 30.0
    # How long the peak lasts, once a day.
    peak_minutes: float = 15.0
    daily_shape: Shape = "daytime"
    # Sent in the same instant; None: in proportion to the images of a day.
    simultaneous: int | None = None
    image_kb: float = 300.0
    largest_megapixels: float = 50.0
    # What does not wait for its answer: submitted, uploaded, or put into the stream.
    burst_share: float = 0.2
    # The model's work for an image, on one vCPU.
    model_ms: float = RESNET18_MS.value
    # Of 100 answers of the synchronous path, 99 come within this time.
    latency_p99_ms: float = 1000.0
    availability_percent: float = 99.9
    # How long an image may wait in the stream.
    stream_delay_seconds: float = 180.0

    def __post_init__(self) -> None:
        """Raises WorkloadError."""
        for name in ("images_per_day", "rise_minutes", "peak_minutes", "image_kb", "model_ms"):
            if getattr(self, name) <= 0:
                raise WorkloadError(f"{name}: must be more than 0 (it is {getattr(self, name)})")
        if self.peak_factor < 1:
            raise WorkloadError(f"peak_factor: a peak is at least the mean, 1 (it is {self.peak_factor})")
        if not 0 <= self.burst_share <= 1:
            raise WorkloadError(f"burst_share: must be from 0 to 1 (it is {self.burst_share})")
        if not 0 < self.availability_percent < 100:
            raise WorkloadError(
                f"availability_percent: must be below 100 (it is {self.availability_percent})"
            )
        if self.simultaneous is not None and self.simultaneous < 0:
            raise WorkloadError(f"simultaneous: must be at least 0 (it is {self.simultaneous})")
        if self.latency_p99_ms < self.model_ms:
            raise WorkloadError(
                f"latency_p99_ms: {self.latency_p99_ms:g} ms is less than the model alone takes "
                f"(model_ms is {self.model_ms:g}): raise the goal, or make the model faster"
            )

    @property
    def mean_per_second(self) -> float:
        """Images a second, over the day."""
        return self.images_per_day / SECONDS_A_DAY

    @property
    def peak_per_second(self) -> float:
        """Images a second in the busiest minute, on all paths."""
        return self.mean_per_second * self.peak_factor

    @property
    def sync_peak_per_second(self) -> float:
        """Of them, those whose callers wait."""
        return self.peak_per_second * (1 - self.burst_share)

    @property
    def burst_peak_per_second(self) -> float:
        """Of them, those that go through the stream."""
        return self.peak_per_second * self.burst_share

    @property
    def together(self) -> int:
        """Images that arrive in the same instant."""
        if self.simultaneous is not None:
            return self.simultaneous
        return max(1, round(self.images_per_day / 1e6 * _TOGETHER_PER_MILLION))

    @property
    def hours(self) -> tuple[float, ...]:
        """Images a second in each hour of the day (UTC), without the peak."""
        shape = _SHAPES[self.daily_shape]
        mean = sum(shape) / len(shape)
        return tuple(self.mean_per_second * each / mean for each in shape)

    @property
    def growth_per_second_each_second(self) -> float:
        """How steeply load rises towards its peak: images a second, more each second."""
        return (self.peak_per_second - self.mean_per_second) / (self.rise_minutes * 60)

    def given(self, name: str, unit: str = "") -> Input:
        """A field as an input of an explained number."""
        if name not in {each.name for each in fields(self)}:
            raise KeyError(name)
        value = self.together if name == "simultaneous" else getattr(self, name)
        return Input(name=name.replace("_", " "), value=value, unit=unit, source=f"setting workload.{name}")

    def sync_peak_input(self) -> Input:
        """What of the peak comes by the synchronous path, to be shown beside a formula."""
        return Input(
            name="peak of the synchronous path",
            value=round(self.sync_peak_per_second, 1),
            unit="images/s",
            source="peak x (1 - workload.burst_share)",
        )

    def peak_input(self) -> Input:
        """The peak as an input of an explained number."""
        return Input(
            name="peak",
            value=round(self.peak_per_second, 1),
            unit="images/s",
            source=f"settings workload.images_per_day ({self.images_per_day:,}) and "
            f"workload.peak_factor ({self.peak_factor:g})",
        )


def images(text: str) -> int:
    """``500k``, ``50M`` or ``1B`` as a number of images. Raises WorkloadError."""
    factor = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9}.get(text[-1:].lower(), 1)
    try:
        number = float(text[:-1] if factor != 1 else text.replace(",", "").replace("_", "")) * factor
    except ValueError:
        number = 0.0
    if number < 1 or number > 1e12:
        raise WorkloadError(f"{text!r} is no number of images a day; write 500k, 50M or 1B")
    return int(number)


def short(images: int) -> str:
    """500000 as 500k, as `images` reads it."""
    for factor, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if images >= factor:
            return f"{images / factor:.3g}{letter}"
    return str(images)
