"""The function's configuration, read once when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from vision_runtime import environment
from vision_runtime.spec import ModelSpec


@dataclass(frozen=True)
class Config:
    """Where labels and predictions lie, how long a label waits, and how accuracy is measured.

    `confidence` is that of the intervals; `window_days` is what the sweep measures, today included.
    """

    feedback_table: str
    lineage_table: str
    spec: ModelSpec
    wait: timedelta
    window_days: int
    confidence: float
    metrics_namespace: str
    service: str

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Config:
        """Raises ConfigurationError or SpecError naming the variable."""
        return cls(
            feedback_table=environment.text(variables, "FEEDBACK_TABLE"),
            lineage_table=environment.text(variables, "LINEAGE_TABLE"),
            spec=ModelSpec.from_environment(variables),
            wait=timedelta(days=environment.positive(variables, "LABEL_WAIT_DAYS", 14)),
            window_days=environment.positive(variables, "ACCURACY_DAYS", 7),
            confidence=environment.share(variables, "ACCURACY_CONFIDENCE", "0.95"),
            metrics_namespace=environment.text(variables, "POWERTOOLS_METRICS_NAMESPACE"),
            service=environment.text(variables, "POWERTOOLS_SERVICE_NAME"),
        )
