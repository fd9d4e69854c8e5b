"""The adapter's configuration, read once when the function starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vision_runtime import cors, environment
from vision_runtime.spec import ModelSpec

SMOKE_RETENTION_DAYS = 1  # what a smoke test leaves behind is worthless the next day


@dataclass(frozen=True)
class Line:
    """One of the two model lines: the endpoint that answers, and how long its predictions are remembered."""

    name: str
    endpoint: str
    retention_days: int


@dataclass(frozen=True)
class Config:
    """Which endpoint answers which path, what the model takes, and where predictions are recorded.

    An answer with less confidence than `low_confidence` counts as uncertain; alarms look at that count every
    `metrics_period_seconds`. Answers are remembered by Idempotency-Key for `keys_kept_seconds`. Browsers may
    read answers on pages of the `origins`.
    """

    routes: dict[str, Line]
    lineage_table: str
    keys_table: str
    keys_kept_seconds: int
    origins: frozenset[str]
    spec: ModelSpec
    low_confidence: float
    metrics_period_seconds: int

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Config:
        """Raises ConfigurationError or SpecError naming the variable."""
        days = environment.positive(variables, "PREDICTION_RETENTION_DAYS", 90)
        champion = Line("champion", environment.text(variables, "CHAMPION_ENDPOINT"), days)
        smoke = Line("smoke", environment.text(variables, "SMOKE_ENDPOINT"), SMOKE_RETENTION_DAYS)
        return cls(
            routes={"/v1/predictions": champion, "/v1/smoke/predictions": smoke},
            lineage_table=environment.text(variables, "LINEAGE_TABLE"),
            keys_table=environment.text(variables, "IDEMPOTENCY_TABLE"),
            keys_kept_seconds=environment.positive(variables, "IDEMPOTENCY_SECONDS", 86_400),
            origins=cors.allowed_origins(variables),
            spec=ModelSpec.from_environment(variables),
            low_confidence=environment.share(variables, "LOW_CONFIDENCE", "0.5"),
            metrics_period_seconds=environment.positive(variables, "METRICS_PERIOD_SECONDS", 60),
        )
