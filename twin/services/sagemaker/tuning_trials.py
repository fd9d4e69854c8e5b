"""The trials of a tuning job as its record keeps them, and as SageMaker shows them."""

from collections.abc import Iterable
from typing import Any

from twin.services.sagemaker.records import Record, Shelf

# In the record of a tuning job: its trials, oldest first. No operation shows it as such.
TRIALS = "_trials"
ENDED = ("Completed", "Failed", "Stopped")


def objective_of(record: Record) -> tuple[str, float]:
    """Return the name of a tuning job's metric, and the factor that makes small values good."""
    objective = record["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    return objective["MetricName"], 1.0 if objective["Type"] == "Minimize" else -1.0


def best_of(record: Record) -> Record | None:
    """Return the best trial of a tuning job, the earliest where several are; None when none has a value."""
    _, factor = objective_of(record)
    judged = [trial for trial in record[TRIALS] if trial["objective_status"] == "Succeeded"]
    return min(judged, key=lambda trial: factor * trial["value"], default=None)


def summary(record: Record, trial: Record, jobs: Shelf, *, with_tuning_job: bool = False) -> Record:
    """Return a trial as ListTrainingJobsForHyperParameterTuningJob and the best training job show it."""
    name, _ = objective_of(record)
    job = jobs.find(trial["name"]) or trial["job"]
    shown: dict[str, Any] = {
        member: job[member]
        for member in (
            "TrainingJobName",
            "TrainingJobArn",
            "CreationTime",
            "TrainingStartTime",
            "TrainingEndTime",
            "TrainingJobStatus",
            "FailureReason",
        )
        if member in job
    }
    shown |= {"TunedHyperParameters": trial["values"], "ObjectiveStatus": trial["objective_status"]}
    if trial["value"] is not None:
        kind = record["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["Type"]
        metric = {"Type": kind, "MetricName": name, "Value": trial["value"]}
        shown["FinalHyperParameterTuningJobObjectiveMetric"] = metric
    if with_tuning_job:
        shown["TuningJobName"] = record["HyperParameterTuningJobName"]
    return shown


def counters(trials: Iterable[Record], statuses: dict[str, str]) -> dict[str, dict[str, int]]:
    """Return the two sets of counters of a tuning job; `statuses` are those of its training jobs, by name."""
    by_status: dict[str, int] = {"Completed": 0, "InProgress": 0, "Stopped": 0}
    by_status |= {"RetryableError": 0, "NonRetryableError": 0}
    by_objective: dict[str, int] = {"Succeeded": 0, "Pending": 0, "Failed": 0}
    names = {"Stopping": "InProgress", "Failed": "NonRetryableError"}
    for trial in trials:
        status = statuses[trial["name"]]
        by_status[names.get(status, status)] += 1
        by_objective[trial["objective_status"]] += 1
    return {"TrainingJobStatusCounters": by_status, "ObjectiveStatusCounters": by_objective}
