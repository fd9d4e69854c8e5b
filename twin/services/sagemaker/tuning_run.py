"""One tuning job at work: starts trials, listens to them, ends hopeless ones, learns, and stops."""

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from twin.json_service import ServiceError
from twin.services.sagemaker.records import Record, Shelf
from twin.services.sagemaker.training import Training
from twin.services.sagemaker.tuning_search import Proposal, Search
from twin.services.sagemaker.tuning_space import Space
from twin.services.sagemaker.tuning_stopping import StoppingRule
from twin.services.sagemaker.tuning_trials import ENDED, TRIALS, best_of, counters, objective_of

TUNED_METRIC = "_tuning_objective_metric"
_LOOK_SECONDS = 0.05
# SageMaker gives up when this many have failed and none has succeeded.
_FAILURES_TO_GIVE_UP = 5
_COPIED = (
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "Environment",
)


@dataclass
class _Trial:
    """A trial that runs: its entry in the tuning job's record, its training job, and what it has reported."""

    entry: Record
    job: Record
    proposal: Proposal
    reports: list[float] = field(default_factory=list[float])
    is_ended_early: bool = False


@dataclass(frozen=True)
class Method:
    """How a tuning job goes about its search."""

    space: Space
    search: Search
    rule: StoppingRule


def trial_request(definition: Record, name: str, values: dict[str, str], metric: str) -> Record:
    """Return the request for the training job of one trial."""
    request: dict[str, Any] = {member: definition[member] for member in _COPIED if member in definition}
    static = definition.get("StaticHyperParameters", {})
    if "CheckpointConfig" in request:  # trials must not go on from each other's checkpoints
        place = request["CheckpointConfig"]
        request["CheckpointConfig"] = {**place, "S3Uri": f"{place['S3Uri'].rstrip('/')}/{name}/"}
    return {
        **request,
        "TrainingJobName": name,
        "HyperParameters": {**static, **values, TUNED_METRIC: metric},
    }


class TuningRun:
    """The search of one tuning job."""

    def __init__(self, record: Record, shelf: Shelf, training: Training, method: Method) -> None:
        """`record` changes while the search goes on; its trials are made by `training`."""
        self._record, self._shelf, self._training = record, shelf, training
        self._space, self._search, self._rule = method.space, method.search, method.rule
        self._config: Record = record["HyperParameterTuningJobConfig"]
        self._metric, self._factor = objective_of(record)
        self._running: list[_Trial] = []
        self._seconds_used = 0
        self._is_exhausted = False
        self.stopping = threading.Event()

    def perform(self, tags: dict[str, str]) -> tuple[str, str]:
        """Search until the job is complete, stopped or hopeless; returns its final status and the reason."""
        deadline = self._deadline()
        while True:
            self._collect()
            done = self._is_complete(deadline)
            if self.stopping.is_set() or done or self._has_failed():
                self._end_all()
                break
            self._start_trials(tags)
            if not self._running:
                break
            self._end_hopeless()
            self.stopping.wait(_LOOK_SECONDS)
        if self.stopping.is_set():
            return "Stopped", ""
        if not any(trial["objective_status"] == "Succeeded" for trial in self._trials):
            return "Failed", self._words_of_failure()
        return "Completed", ""

    @property
    def _trials(self) -> list[Record]:
        return self._record[TRIALS]

    # ---- when to end

    def _deadline(self) -> float:
        limit = self._config["ResourceLimits"].get("MaxRuntimeInSeconds")
        return time.monotonic() + limit if limit else float("inf")

    def _is_complete(self, deadline: float) -> bool:
        """Whether a completion criterion other than the number of trials is met."""
        if time.monotonic() >= deadline:
            return True
        criteria = self._config.get("TuningJobCompletionCriteria", {})
        best = best_of(self._record)
        target = criteria.get("TargetObjectiveMetricValue")
        if best is not None and target is not None and self._factor * (best["value"] - target) <= 0:
            return True
        patience = criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
        if best is None or patience is None:
            return False
        since = [trial["name"] for trial in self._trials].index(best["name"]) + 1
        vain = sum(trial["objective_status"] != "Pending" for trial in self._trials[since:])
        details = {"NumberOfTrainingJobsObjectiveNotImproving": vain}
        self._shelf.change(self._record, TuningJobCompletionDetails=details)
        return vain >= patience

    def _has_failed(self) -> bool:
        ended = [trial for trial in self._trials if trial["objective_status"] != "Pending"]
        return len(ended) >= _FAILURES_TO_GIVE_UP and all(
            trial["objective_status"] == "Failed" for trial in ended
        )

    def _words_of_failure(self) -> str:
        return (
            f"No training job succeeded after {len(self._trials)} attempts. For additional details, please "
            "take a look at the training job failures by listing training jobs for the hyperparameter tuning "
            "job."
        )

    # ---- trials

    def _start_trials(self, tags: dict[str, str]) -> None:
        limits = self._config["ResourceLimits"]
        most = limits.get("MaxNumberOfTrainingJobs", float("inf"))
        while (
            len(self._running) < limits["MaxParallelTrainingJobs"]
            and len(self._trials) < most
            and not self._is_exhausted
        ):
            proposal = self._search.propose()
            if proposal is None:
                self._is_exhausted = True
                return
            self._start(proposal, tags)

    def _start(self, proposal: Proposal, tags: dict[str, str]) -> None:
        values = self._space.texts(proposal.point)
        number = len(self._trials) + 1
        name = f"{self._record['HyperParameterTuningJobName']}-{number:03d}-{secrets.token_hex(4)}"
        request = trial_request(self._record["TrainingJobDefinition"], name, values, self._metric)
        reports: list[float] = []

        def listen(metric: str, value: float) -> None:
            if metric == self._metric:
                reports.append(value)

        job = self._training.start(
            {**request, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]},
            listen,
            TuningJobArn=self._record["HyperParameterTuningJobArn"],
        )
        entry: Record = {"name": name, "values": values, "value": None, "objective_status": "Pending"}
        named = ("TrainingJobName", "TrainingJobArn", "CreationTime")
        entry["job"] = {**{member: job[member] for member in named}, "TrainingJobStatus": "InProgress"}
        self._trials.append(entry)
        self._running.append(_Trial(entry, job, proposal, reports))
        self._count()

    def _collect(self) -> None:
        """Take up trials that have ended: their objective is the last value that they reported."""
        ended = [trial for trial in self._running if trial.job["TrainingJobStatus"] in ENDED]
        for trial in ended:
            self._running.remove(trial)
            is_good = trial.job["TrainingJobStatus"] != "Failed" and bool(trial.reports)
            cost = self._factor * trial.reports[-1] if is_good else None
            self._search.observe(trial.proposal, cost)
            if is_good:
                self._rule.ended(trial.entry["name"], self._costs(trial))
            self._seconds_used += trial.job.get("TrainingTimeInSeconds", 0)
            trial.entry.update(
                value=trial.reports[-1] if is_good else None,
                objective_status="Succeeded" if is_good else "Failed",
                job={**trial.entry["job"], "TrainingJobStatus": trial.job["TrainingJobStatus"]},
            )
        if ended:
            self._count()

    def _costs(self, trial: _Trial) -> list[float]:
        return [self._factor * value for value in list(trial.reports)]

    def _end_hopeless(self) -> None:
        for trial in self._running:
            costs = self._costs(trial)
            if not trial.is_ended_early and costs and self._rule.is_hopeless(trial.entry["name"], costs):
                trial.is_ended_early = True
                self._stop(trial)

    def _end_all(self) -> None:
        """Stop every trial that runs, and wait for their ends."""
        while self._running:
            for trial in self._running:
                self._stop(trial)
            time.sleep(_LOOK_SECONDS)
            self._collect()

    def _stop(self, trial: _Trial) -> None:
        try:
            self._training.board.stop(trial.entry["name"])
        except ServiceError:  # it has ended by itself meanwhile
            return

    def _count(self) -> None:
        running = {trial.entry["name"]: trial.job["TrainingJobStatus"] for trial in self._running}
        statuses = {t["name"]: running.get(t["name"], t["job"]["TrainingJobStatus"]) for t in self._trials}
        consumed = {"RuntimeInSeconds": self._seconds_used}
        members = counters(self._trials, statuses)
        self._shelf.change(self._record, **members, ConsumedResources=consumed)
