"""Finds a run in CloudWatch's metrics: what it asked of the platform, and how its training went."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from smoke_tests.budget import Budget
from smoke_tests.faults import CheckFailed

# Metrics from log lines take CloudWatch a minute or two.
SETTLES_WITHIN = 300.0
_PERIOD_SECONDS = 60
_SMOKE = {"service": "predict", "line": "smoke"}
TRAINING_NAMESPACE, PLATFORM_NAMESPACE = "/aws/sagemaker/TrainingJobs", "Vision"
# The best that an epoch reached.
TRAINING_METRICS = {"train:loss": "Minimum", "train:accuracy": "Maximum"}
_TOGETHER = {"Sum": sum, "Minimum": min, "Maximum": max}


@dataclass(frozen=True)
class Query:
    """One metric, and the statistic of it that is asked for."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str


@dataclass(frozen=True)
class FoundMetric:
    """One value of a metric since the run began."""

    namespace: str
    name: str
    statistic: str
    value: float


def of_requests(
    cloudwatch: Any, *, answered: int, refused: int, since: datetime, budget: Budget
) -> list[FoundMetric]:
    """The platform's own counts of the run's requests; raises CheckFailed when they are too low."""
    expected = {"Predictions": answered, "RejectedRequests": refused}
    queries = [Query(PLATFORM_NAMESPACE, name, _SMOKE, "Sum") for name in expected]
    found: list[FoundMetric] = []
    for _ in budget.polls("looking for the metrics of the requests", at_most=SETTLES_WITHIN):
        found = read(cloudwatch, queries, since)
        values = {one.name: one.value for one in found}
        # A run of a minute ago may share the first period: more than expected is no fault.
        if all(values.get(name, 0) >= least for name, least in expected.items()):
            return found
    said = ", ".join(f"{name} {least}" for name, least in expected.items())
    counted = ", ".join(f"{one.name} {one.value:g}" for one in found) or "nothing"
    raise CheckFailed(f"metrics of {PLATFORM_NAMESPACE} count {counted} since the run began, not {said}")


def of_training(cloudwatch: Any, job: str, since: datetime, budget: Budget) -> list[FoundMetric]:
    """The numbers that SageMaker read in the job's log; raises CheckFailed naming those that are missing."""
    where = {"TrainingJobName": job}
    queries = [Query(TRAINING_NAMESPACE, name, where, best) for name, best in TRAINING_METRICS.items()]
    found: list[FoundMetric] = []
    for _ in budget.polls("looking for the metrics of the training job", at_most=SETTLES_WITHIN):
        found = read(cloudwatch, queries, since)
        if len(found) == len(queries):
            return found
    missing = set(TRAINING_METRICS) - {one.name for one in found}
    raise CheckFailed(f"{TRAINING_NAMESPACE} has no {', '.join(sorted(missing))} of {job}")


def read(cloudwatch: Any, queries: list[Query], since: datetime) -> list[FoundMetric]:
    """The statistic of each metric since `since`; a metric without data is left out."""
    answer = cloudwatch.get_metric_data(
        StartTime=since.replace(second=0, microsecond=0),
        EndTime=datetime.now(UTC) + timedelta(seconds=_PERIOD_SECONDS),
        MetricDataQueries=[_asked(number, query) for number, query in enumerate(queries)],
    )
    values: dict[str, list[float]] = {}
    for result in answer["MetricDataResults"]:
        values.setdefault(result["Id"], []).extend(result["Values"])
    return [
        FoundMetric(query.namespace, query.name, query.statistic, _TOGETHER[query.statistic](numbers))
        for number, query in enumerate(queries)
        if (numbers := values.get(f"q{number}"))
    ]


def _asked(number: int, query: Query) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in query.dimensions.items()]
    metric = {"Namespace": query.namespace, "MetricName": query.name, "Dimensions": dimensions}
    stat = {"Metric": metric, "Period": _PERIOD_SECONDS, "Stat": query.statistic}
    return {"Id": f"q{number}", "MetricStat": stat}
