"""Settings of the work that the platform is asked to do; what is provisioned follows from them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from planning import quotas
from planning.workload import Shape, Workload
from stages.settings_fields import Group

# The defaults stand in planning, once.
_USUAL = Workload()


class WorkloadSettings(Group):
    """How many images come and how, and what their senders are promised."""

    images_per_day: Annotated[
        int, Field(ge=1, le=10**12, description="images on an ordinary day, on all paths")
    ] = _USUAL.images_per_day
    peak_factor: Annotated[
        float, Field(ge=1, le=1000, description="the busiest minute, beside the mean of the day")
    ] = _USUAL.peak_factor
    rise_minutes: Annotated[
        float, Field(gt=0, le=1440, description="how long load takes to rise from its mean to its peak")
    ] = _USUAL.rise_minutes
    peak_minutes: Annotated[float, Field(gt=0, le=1440, description="how long the peak of a day lasts")] = (
        _USUAL.peak_minutes
    )
    daily_shape: Annotated[
        Shape, Field(description="`flat`, or `daytime`: a working day in UTC, quiet at night")
    ] = _USUAL.daily_shape
    simultaneous: Annotated[
        int | None,
        Field(
            ge=0,
            description="images that are sent in the same instant; without it, 60 for each million a day",
        ),
    ] = _USUAL.simultaneous
    image_kb: Annotated[float, Field(gt=0, le=5120, description="size of an ordinary image")] = (
        _USUAL.image_kb
    )
    largest_megapixels: Annotated[
        float, Field(gt=0, le=50, description="the largest image that must be answered; the rules allow 50")
    ] = _USUAL.largest_megapixels
    burst_share: Annotated[
        float, Field(ge=0, le=1, description="what goes through the stream instead of being waited for")
    ] = _USUAL.burst_share
    model_ms: Annotated[
        float,
        Field(
            gt=0,
            le=60_000,
            description="the model's work for an image on one vCPU; a model of your own needs its own figure",
        ),
    ] = _USUAL.model_ms
    latency_p99_ms: Annotated[
        float, Field(gt=0, le=29_000, description="the goal: 99 of 100 answers come within this time")
    ] = _USUAL.latency_p99_ms
    availability_percent: Annotated[
        float, Field(ge=90, lt=100, description="the goal: this share of requests is answered")
    ] = _USUAL.availability_percent
    stream_delay_seconds: Annotated[
        float, Field(gt=0, le=86_400, description="the goal: no image waits longer in the stream")
    ] = _USUAL.stream_delay_seconds
    quotas: Annotated[
        dict[str, Annotated[float, Field(gt=0)]],
        Field(description="quotas that AWS has raised for the account, by the name that synthesis gave them"),
    ] = Field(default_factory=dict)

    @field_validator("quotas")
    @classmethod
    def _quotas_are_known(cls, value: dict[str, float]) -> dict[str, float]:
        known = {each.key for each in quotas.ALL}
        unknown = sorted(set(value) - known)
        if unknown:
            raise ValueError(f"{', '.join(unknown)} is no quota here; there are {', '.join(sorted(known))}")
        return value

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> WorkloadSettings:
        self.workload()
        return self

    def workload(self) -> Workload:
        """The workload, for planning."""
        fields: dict[str, Any] = self.model_dump(exclude={"quotas"})
        return Workload(**fields)
