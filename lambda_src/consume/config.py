"""The consumer's configuration, read once when the function starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vision_runtime import environment
from vision_runtime.hosting import most_bytes
from vision_runtime.images import ImageLimits
from vision_runtime.images.rules import MEBIBYTE
from vision_runtime.spec import ModelSpec

SMOKE_RETENTION_DAYS = 1  # what a smoke test leaves behind is worthless the next day


@dataclass(frozen=True)
class Line:
    """One of the two model lines: the endpoint that answers, and for how many days what is remembered."""

    name: str
    endpoint: str
    prediction_days: int
    result_days: int


@dataclass(frozen=True)
class Config:
    """Who answers, where images come from and results go, and how much is done at once.

    An answer with less confidence than `low_confidence` counts as uncertain; alarms look at that count every
    `metrics_period_seconds`. `micro_batch` images go to the endpoint in one request. A batch that the
    endpoint does not answer is given back after a pause of at most `longest_pause_seconds`.
    """

    lines: dict[str, Line]
    uploads_bucket: str
    results_table: str
    lineage_table: str
    delivery_stream: str
    spec: ModelSpec
    limits: ImageLimits
    micro_batch: int
    low_confidence: float
    metrics_period_seconds: int
    longest_pause_seconds: int

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Config:
        """Raises ConfigurationError or SpecError naming the variable."""
        spec = ModelSpec.from_environment(variables)
        champion = Line(
            "champion",
            environment.text(variables, "CHAMPION_ENDPOINT"),
            environment.positive(variables, "PREDICTION_RETENTION_DAYS", 90),
            environment.positive(variables, "RESULT_RETENTION_DAYS", 7),
        )
        smoke_endpoint = environment.text(variables, "SMOKE_ENDPOINT")
        smoke = Line("smoke", smoke_endpoint, SMOKE_RETENTION_DAYS, SMOKE_RETENTION_DAYS)
        return cls(
            lines={line.name: line for line in (champion, smoke)},
            uploads_bucket=environment.text(variables, "UPLOADS_BUCKET"),
            results_table=environment.text(variables, "RESULTS_TABLE"),
            lineage_table=environment.text(variables, "LINEAGE_TABLE"),
            delivery_stream=environment.text(variables, "DELIVERY_STREAM"),
            spec=spec,
            limits=ImageLimits(max_bytes=environment.positive(variables, "MAX_IMAGE_MB", 20) * MEBIBYTE),
            micro_batch=min(
                environment.positive(variables, "MICRO_BATCH", 16),
                most_bytes(variables) // spec.input.byte_count,
            ),
            low_confidence=environment.share(variables, "LOW_CONFIDENCE", "0.5"),
            metrics_period_seconds=environment.positive(variables, "METRICS_PERIOD_SECONDS", 60),
            longest_pause_seconds=environment.positive(variables, "LONGEST_PAUSE_SECONDS", 20),
        )
