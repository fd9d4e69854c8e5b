"""Settings of the burst path: the stream, its consumer, and how long a record is tried."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from stages.settings_fields import Group


class StreamingSettings(Group):
    """The stream of claim checks, the function that works through it, and the alarms on both."""

    # Shards of the stream (1 MB or 1,000 records a second each); without a number it is on demand.
    shards: Annotated[int, Field(ge=1, le=10_000)] | None = None
    # For so long records can be replayed: people must redrive what failed before it is over.
    retention_hours: Annotated[int, Field(ge=24, le=8760)] = 168
    # Records that the function gets at once, and how long it is waited for so many.
    batch_size: Annotated[int, Field(ge=1, le=1000)] = 100
    batching_window_seconds: Annotated[int, Field(ge=0, le=300)] = 1
    # Batches of one shard that are worked on at once; records of one key stay in order.
    parallelization_factor: Annotated[int, Field(ge=1, le=10)] = 2
    # Images in one request to the endpoint.
    micro_batch: Annotated[int, Field(ge=1, le=100)] = 16
    # A record is tried so often and so long; then it is left to the queue for failures.
    max_attempts: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_age_hours: Annotated[int, Field(ge=1, le=168)] = 6
    # The consumer gives a batch back after a pause while the endpoint is in trouble: at most so long.
    longest_pause_seconds: Annotated[int, Field(ge=1, le=300)] = 20
    memory_mb: Annotated[int, Field(ge=256, le=10240)] = 768
    timeout_seconds: Annotated[int, Field(ge=30, le=900)] = 60
    # As `api.reserved_concurrency`; each shard takes `parallelization_factor` places.
    reserved_concurrency: Annotated[int, Field(ge=0)] = 20
    max_image_mb: Annotated[int, Field(ge=1, le=100)] = 20
    # Results become one file of the lake when so many MB have come, or so many seconds have passed.
    buffer_mb: Annotated[int, Field(ge=64, le=128)] = 128
    buffer_seconds: Annotated[int, Field(ge=60, le=900)] = 300
    # How old the oldest unread record may be; without a number: three batches that took all their time.
    iterator_age_seconds: Annotated[int, Field(ge=1)] | None = None
    # How many writes the stream may refuse, and batches may end early, in a period of the alarms.
    refused_writes: Annotated[int, Field(ge=1)] = 1
    early_ends: Annotated[int, Field(ge=1)] = 10

    @property
    def iterator_age_limit_seconds(self) -> int:
        """From which age of the oldest unread record on people are told."""
        return self.iterator_age_seconds or 3 * (self.timeout_seconds + self.batching_window_seconds)

    @model_validator(mode="after")
    def _failures_can_be_replayed(self) -> StreamingSettings:
        if self.retention_hours < self.max_age_hours + 24:
            raise ValueError(
                f"retention_hours ({self.retention_hours}) must leave a day to redrive what was given up "
                f"after max_age_hours ({self.max_age_hours}): give at least {self.max_age_hours + 24}"
            )
        return self

    @model_validator(mode="after")
    def _a_pause_fits_into_the_functions_time(self) -> StreamingSettings:
        if self.longest_pause_seconds > self.timeout_seconds - 10:
            raise ValueError(
                f"longest_pause_seconds ({self.longest_pause_seconds}) must end 10 s before "
                f"timeout_seconds ({self.timeout_seconds})"
            )
        return self
