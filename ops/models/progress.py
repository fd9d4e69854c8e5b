"""How far the work is that a state waits for: jobs, tuning's trials, batches, and an endpoint's roll-out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops.models.execution import Step
from ops.models.home import Home
from ops.models.records import Records

_OVER = ("Completed", "Failed", "Stopped")
Record = dict[str, Any]


class Progress:
    """Asks the services about the work of steps; what has been said is said once."""

    def __init__(self, home: Home, execution: str) -> None:
        """Nothing is asked yet; `execution` is the ARN of the one whose steps these are."""
        self._home, self._execution = home, execution
        self._told: set[str] = set()

    def of(self, step: Step) -> tuple[str, list[str]]:
        """How the step's work stands in a few words, and lines on what has ended since the last look.

        What cannot be asked is left out: looking on must never end what is looked at.
        """
        ask = self._question(step)
        if ask is None:
            return "", []
        try:
            now, lines = ask(step)
        except (ClientError, BotoCoreError, LookupError, ValueError):
            return "", []
        fresh = [line for line in lines if line not in self._told]
        self._told.update(fresh)
        return now, fresh

    def _question(self, step: Step) -> Callable[[Step], tuple[str, list[str]]] | None:
        if step.kind == "Map":
            return self._batches
        if "HyperParameterTuningJobArn" in step.submitted:
            return self._tuning
        if "TrainingJobArn" in step.submitted:
            return self._training
        if "ProcessingJobArn" in step.submitted:
            return self._processing
        return None

    def _batches(self, step: Step) -> tuple[str, list[str]]:
        api = self._home.client("stepfunctions")
        # A state that is tried again has a run of its own each time; the newest comes first.
        (newest, *_) = api.list_map_runs(executionArn=self._execution)["mapRuns"]
        counts = api.describe_map_run(mapRunArn=newest["mapRunArn"])["itemCounts"]
        failed = f", {counts['failed']} failed" if counts.get("failed") else ""
        done = f"{counts['succeeded']} of {counts['total']} batches{failed}"
        return done, [done] if step.exited else []

    def _training(self, step: Step) -> tuple[str, list[str]]:
        job = self._home.client("sagemaker").describe_training_job(
            TrainingJobName=_name(step.submitted["TrainingJobArn"])
        )
        lines: list[str] = []
        if job["TrainingJobStatus"] in _OVER:
            metrics = metrics_of(job)
            lines = [
                f"job {job['TrainingJobName']}: {job['TrainingJobStatus']}{f', {metrics}' if metrics else ''}"
            ]
        lines += [
            f"{each['Status']}: {each['StatusMessage']}"
            for each in job.get("SecondaryStatusTransitions", [])
            if each["Status"] in ("Interrupted", "Restarting")
        ]
        return f"{job['TrainingJobName']}: {job.get('SecondaryStatus', job['TrainingJobStatus'])}", lines

    def _processing(self, step: Step) -> tuple[str, list[str]]:
        job = self._home.client("sagemaker").describe_processing_job(
            ProcessingJobName=_name(step.submitted["ProcessingJobArn"])
        )
        return f"{job['ProcessingJobName']}: {job['ProcessingJobStatus']}", []

    def _tuning(self, step: Step) -> tuple[str, list[str]]:
        api = self._home.client("sagemaker")
        name = _name(step.submitted["HyperParameterTuningJobArn"])
        job = api.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        pages = api.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
            HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending"
        )
        trials = [each for page in pages for each in page["TrainingJobSummaries"]]
        ended = [each for each in trials if each["TrainingJobStatus"] in _OVER]
        best = job.get("BestTrainingJob", {}).get("FinalHyperParameterTuningJobObjectiveMetric")
        most = job["HyperParameterTuningJobConfig"]["ResourceLimits"].get("MaxNumberOfTrainingJobs", "?")
        now = f"{name}: {len(ended)} of {most} trials" + (f", best {best['Value']:.4f}" if best else "")
        return now, [trial_line(each) for each in ended]


def trial_line(trial: Record) -> str:
    """One trial: its objective, or why it has none, and the parameters that were tried."""
    metric = trial.get("FinalHyperParameterTuningJobObjectiveMetric")
    result = f"{metric['MetricName']} {metric['Value']:.4f}" if metric else trial["TrainingJobStatus"]
    tried = ", ".join(
        f"{key} {_short(value)}" for key, value in trial.get("TunedHyperParameters", {}).items()
    )
    return f"trial {trial['TrainingJobName']}: {result} ({tried})"


def metrics_of(job: Record) -> str:
    """The last value of each metric of a training job."""
    return ", ".join(
        f"{each['MetricName']} {each['Value']:.4f}" for each in job.get("FinalMetricDataList", [])
    )


def rollout(home: Home, line: str) -> str:
    """How the line's endpoint stands: its status, and what its variants do, while it changes."""
    if home.on_functions:
        return _share(home, line)
    try:
        told = home.client("sagemaker").describe_endpoint(EndpointName=home.endpoint(line))
    except (ClientError, BotoCoreError):
        return ""
    coming = told.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    words = [
        status.get("StatusMessage") or status["Status"]
        for variant in (coming or told.get("ProductionVariants", []))
        for status in variant.get("VariantStatus", [])
    ]
    words += [
        f"{each['CurrentInstanceCount']} of {each['DesiredInstanceCount']} new instances take requests"
        for each in coming
        if "CurrentInstanceCount" in each and "DesiredInstanceCount" in each
    ]
    more = "; ".join(dict.fromkeys(words))
    return f"endpoint {home.endpoint(line)}: {told['EndpointStatus']}{f'; {more}' if more else ''}"


def _share(home: Home, line: str) -> str:
    """Where functions serve: the share of the requests that turn to the newest model."""
    try:
        target = Records(home).target(line)
    except (ClientError, BotoCoreError):
        return ""
    if target is None:
        return ""
    return f"{home.function(line)}: {target['share']} % of the requests go to {target['deployment_id']}"


def _name(arn: str) -> str:
    return arn.rsplit("/", 1)[1]


def _short(value: str) -> str:
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value
