"""Training jobs: the control plane, and the interruption of those that run on spot capacity."""

import time
from typing import Any

from twin import config, endpoints
from twin.json_service import ServiceError
from twin.services.sagemaker import channels, checkpoints, events, roles, statuses
from twin.services.sagemaker.jobs import Job, JobBoard
from twin.services.sagemaker.listing import page
from twin.services.sagemaker.metrics import MetricReader
from twin.services.sagemaker.records import TRAINING_JOB, Record, Records, now
from twin.services.sagemaker.refusal import refuse, refuse_members, require_members
from twin.services.sagemaker.tags import Tags
from twin.services.sagemaker.toolkit import Script
from twin.services.sagemaker.training_run import Listener, TrainingRun

_REFUSED = (
    "DebugRuleConfigurations",
    "TensorBoardOutputConfig",
    "ProfilerRuleConfigurations",
    "RetryStrategy",
    "SessionChainingConfig",
    "ServerlessJobConfig",
    "MlflowConfig",
    "ModelPackageConfig",
)
_REFUSED_RESOURCES = (
    "InstanceGroups",
    "InstancePlacementConfig",
    "InstancePreferences",
    "KeepAlivePeriodInSeconds",
    "TrainingPlanArn",
)
_NO_CAPACITY_SECONDS = 1.0


class Training:
    """Operations on training jobs."""

    def __init__(self, records: Records, tags: Tags) -> None:
        """Jobs lie in `records`."""
        self._jobs, self._tags = records.shelf(TRAINING_JOB), tags
        self.board = JobBoard(TRAINING_JOB, records, tags, self._work, statuses.ending)
        self._runs: dict[str, TrainingRun] = {}
        self._listeners: dict[str, Listener] = {}
        endpoints.register("POST", "interrupt/", self.interrupt)

    def CreateTrainingJob(self, request: Record) -> Record:
        """Start a training job."""
        return {"TrainingJobArn": self.start(request)["TrainingJobArn"]}

    def start(self, request: Record, listener: Listener | None = None, **members: Any) -> Record:
        """Check a request, start its job and return the record, which has `members` besides.

        `listener` is told the name and value of every metric that the job reports.
        """
        self._jobs.require_free(request["TrainingJobName"])
        check(request)
        arn = self._jobs.arn(request["TrainingJobName"])
        roles.require(request["RoleArn"], arn)
        record = {key: value for key, value in request.items() if key != "Tags"} | members
        record |= {"TrainingJobStatus": "InProgress", "LastModifiedTime": now(), "BillableTimeInSeconds": 0}
        record |= statuses.entered(record, "Starting")
        job = self._jobs.add(request["TrainingJobName"], record)
        self._tags.set(arn, request.get("Tags"))
        events.announce(TRAINING_JOB, job, self._tags)
        if listener is not None:
            self._listeners[arn] = listener
        self.board.start(job)
        return job

    def DescribeTrainingJob(self, request: Record) -> Record:
        """Return a training job."""
        return {"StoppingCondition": {}, **self._jobs.get(request["TrainingJobName"])}

    def ListTrainingJobs(self, request: Record) -> Record:
        """Return a page of training jobs."""
        refuse_members(request, ["WarmPoolStatusEquals", "TrainingPlanArnEquals"])
        found, token = page(TRAINING_JOB, self._jobs.all(), request, status="TrainingJobStatus")
        return {"TrainingJobSummaries": found, "NextToken": token}

    def StopTrainingJob(self, request: Record) -> Record:
        """Ask a training job to stop; what it has saved by then is uploaded."""
        self.board.stop(request["TrainingJobName"])
        return {}

    def DeleteTrainingJob(self, request: Record) -> Record:
        """Delete a training job that has ended."""
        self.board.delete(request["TrainingJobName"])
        return {}

    def interrupt(self, request: endpoints.Request) -> dict[str, Any]:
        """Take the spot capacity of a job away, for ``POST /_twin/interrupt/<job>``; raises `BadRequest`.

        The query may name the `account` (alias or digits) and the `seconds` until there is capacity again.
        """
        name = request.path.partition("/")[2]
        account = request.query.get("account", "")
        try:
            seconds = float(request.query.get("seconds", _NO_CAPACITY_SECONDS))
        except ValueError as fault:
            raise endpoints.BadRequest(f"seconds is {request.query['seconds']!r}, no number") from fault
        running = self.board.running(name, config.current().accounts.get(account, account))
        if len(running) != 1:
            found = "several run: name the account" if running else "none of that name runs"
            raise endpoints.BadRequest(f"training job {name}: {found}")
        (job,) = running
        run = self._runs.get(job.arn)
        if not job.record.get("EnableManagedSpotTraining"):
            raise endpoints.BadRequest(f"training job {name} is not on spot capacity")
        if run is None or job.record["SecondaryStatus"] != "Training" or job.stopping.is_set():
            status = job.record["SecondaryStatus"]
            raise endpoints.BadRequest(f"training job {name} is in status {status}, not Training")
        run.capacity_returns_at = time.monotonic() + seconds
        job.interrupt()
        return {"interrupted": job.arn, "seconds": seconds}

    def _work(self, job: Job) -> None:
        run = TrainingRun(job, self._listeners.pop(job.arn, None))
        self._runs[job.arn] = run
        try:
            self.board.finish(job, run.perform())
        finally:
            self._runs.pop(job.arn, None)


def check(request: Record) -> None:
    """Raise `ServiceError` for what AWS or the twin does not take in a training job."""
    refuse_members(request, _REFUSED)
    require_members(request, ["AlgorithmSpecification", "ResourceConfig", "StoppingCondition"])
    spec, resources = request["AlgorithmSpecification"], request["ResourceConfig"]
    refuse_members(spec, ["AlgorithmName", "TrainingImageConfig"], "AlgorithmSpecification")
    refuse_members(resources, _REFUSED_RESOURCES, "ResourceConfig")
    require_members(spec, ["TrainingImage"], "AlgorithmSpecification")
    require_members(resources, ["InstanceType", "InstanceCount"], "ResourceConfig")
    if request["OutputDataConfig"].get("CompressionType", "GZIP") != "GZIP":
        raise refuse("OutputDataConfig.CompressionType NONE")
    _check_time(request)
    channels.check(request)
    checkpoints.check(request)
    Script(request.get("HyperParameters", {}), request.get("Environment", {})).check()
    # Read now, so that a wrong expression is refused and does not fail the job.
    MetricReader(spec.get("MetricDefinitions", []), "")


def _check_time(request: Record) -> None:
    condition = request.get("StoppingCondition", {})
    wait = condition.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining"):
        if wait is None:
            raise ServiceError(
                "ValidationException",
                "MaxWaitTimeInSeconds must be given in StoppingCondition when EnableManagedSpotTraining is "
                "set.",
            )
        if wait < condition.get("MaxRuntimeInSeconds", 86400):
            raise ServiceError(
                "ValidationException",
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
                "MaxRuntimeInSeconds.",
            )
    elif wait is not None:
        raise ServiceError(
            "ValidationException", "MaxWaitTimeInSeconds is for jobs with EnableManagedSpotTraining."
        )
