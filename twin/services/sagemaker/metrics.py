"""Algorithm metrics: numbers that regular expressions find in the log of a training job."""

import re
from collections.abc import Callable
from typing import Any

from twin import glue
from twin.json_service import ServiceError
from twin.services.sagemaker.records import Record, now

NAMESPACE = "/aws/sagemaker/TrainingJobs"


class MetricReader:
    """Reads the lines of one job."""

    def __init__(
        self,
        definitions: list[dict[str, str]],
        job_name: str,
        listener: Callable[[str, float], None] | None = None,
    ) -> None:
        """`definitions` are `MetricDefinitions`; raises `ServiceError` for one that is no expression.

        `listener` is told the name and value of every metric that is read.
        """
        self._job_name, self._listener = job_name, listener
        self._expressions = [(one["Name"], _compiled(one)) for one in definitions]
        self._last: dict[str, Record] = {}

    def read(self, lines: list[str]) -> bool:
        """Record every metric in `lines`; returns whether there was one."""
        found = False
        for line in lines:
            for name, expression in self._expressions:
                match = expression.search(line)
                value = _number(match) if match else None
                if value is not None:
                    found = True
                    self._last[name] = {"MetricName": name, "Value": value, "Timestamp": now()}
                    glue.record_metric(NAMESPACE, name, value, "None", {"TrainingJobName": self._job_name})
                    if self._listener is not None:
                        self._listener(name, value)
        return found

    def final(self) -> list[dict[str, Any]]:
        """Return the last value of every metric, as `FinalMetricDataList`."""
        return [self._last[name] for name, _ in self._expressions if name in self._last]


def _compiled(definition: dict[str, str]) -> re.Pattern[str]:
    try:
        return re.compile(definition["Regex"])
    except re.error as fault:
        raise ServiceError(
            "ValidationException",
            f"The regular expression of metric {definition['Name']!r} cannot be read: {fault}",
        ) from fault


def _number(match: re.Match[str]) -> float | None:
    try:
        return float(match[1])
    except (IndexError, TypeError, ValueError):
        return None
