"""Hyperparameter tuning jobs: the control plane of searches that really run their trials."""

import logging
from typing import Any

from twin import glue
from twin.json_service import ServiceError
from twin.services.sagemaker import events, roles, training, tuning_checks
from twin.services.sagemaker.jobs import INTERRUPTED
from twin.services.sagemaker.listing import page
from twin.services.sagemaker.records import TRAINING_JOB, TUNING_JOB, Record, Records, now
from twin.services.sagemaker.tags import Tags
from twin.services.sagemaker.training import Training
from twin.services.sagemaker.tuning_run import Method, TuningRun, trial_request
from twin.services.sagemaker.tuning_search import search_of
from twin.services.sagemaker.tuning_space import Space
from twin.services.sagemaker.tuning_stopping import (
    HyperbandStopping,
    MedianStopping,
    NoStopping,
    StoppingRule,
)
from twin.services.sagemaker.tuning_trials import TRIALS, best_of, counters, objective_of, summary

log = logging.getLogger("twin.sagemaker")
_STATUS = "HyperParameterTuningJobStatus"


class Tuning:
    """Operations on hyperparameter tuning jobs."""

    def __init__(self, records: Records, tags: Tags, training_jobs: Training) -> None:
        """Jobs lie in `records`; their trials are training jobs."""
        self._jobs, self._tags, self._training = records.shelf(TUNING_JOB), tags, training_jobs
        self._training_jobs = records.shelf(TRAINING_JOB)
        self._running: dict[str, TuningRun] = {}

    def CreateHyperParameterTuningJob(self, request: Record) -> Record:
        """Start a search."""
        name = request["HyperParameterTuningJobName"]
        self._jobs.require_free(name)
        tuning_checks.check(request)
        definition, config = request["TrainingJobDefinition"], request["HyperParameterTuningJobConfig"]
        space = Space(config.get("ParameterRanges", {}), definition.get("StaticHyperParameters", {}))
        tuning_checks.complete_grid(config, space)
        parents = self._parents(request, space)
        metric, _ = objective_of(request)
        sample = trial_request(definition, f"{name}-001-00000000", {}, metric)
        training.check(sample)
        roles.require(definition["RoleArn"], self._jobs.arn(name))
        record = {key: value for key, value in request.items() if key != "Tags"}
        record |= {_STATUS: "InProgress", "LastModifiedTime": now(), TRIALS: [], **counters([], {})}
        job = self._jobs.add(name, record)
        self._tags.set(job[TUNING_JOB.arn], request.get("Tags"))
        events.announce(TUNING_JOB, job, self._tags)
        glue.spawn(self._work, job, space, parents, name="twin-tuning")
        return {TUNING_JOB.arn: job[TUNING_JOB.arn]}

    def DescribeHyperParameterTuningJob(self, request: Record) -> Record:
        """Return a tuning job, with its best training job so far."""
        record = self._jobs.get(request["HyperParameterTuningJobName"])
        shown = dict(record)
        if best := best_of(record):
            shown["BestTrainingJob"] = summary(record, best, self._training_jobs)
        if record.get("WarmStartConfig") and (overall := self._overall_best(record)):
            shown["OverallBestTrainingJob"] = overall
        return shown

    def ListHyperParameterTuningJobs(self, request: Record) -> Record:
        """Return a page of tuning jobs."""
        found, token = page(TUNING_JOB, self._jobs.all(), request, status=_STATUS)
        shown = [
            {
                **record,
                "Strategy": record["HyperParameterTuningJobConfig"]["Strategy"],
                "ResourceLimits": record["HyperParameterTuningJobConfig"]["ResourceLimits"],
            }
            for record in found
        ]
        return {"HyperParameterTuningJobSummaries": shown, "NextToken": token}

    def ListTrainingJobsForHyperParameterTuningJob(self, request: Record) -> Record:
        """Return a page of the trials of a tuning job."""
        record = self._jobs.get(request["HyperParameterTuningJobName"])
        rows = [summary(record, trial, self._training_jobs) for trial in record[TRIALS]]
        if request.get("SortBy") == "FinalObjectiveMetricValue":
            # SageMaker lists only jobs that have a value then.
            member = "FinalHyperParameterTuningJobObjectiveMetric"
            rows = [row for row in rows if member in row]
            rows = [{**row, "_value": row[member]["Value"]} for row in rows]
            asked = {**request, "SortBy": "Name"}
            found, token = page(TRAINING_JOB, rows, asked, status="TrainingJobStatus", name="_value")
        else:
            found, token = page(TRAINING_JOB, rows, request, status="TrainingJobStatus")
        return {"TrainingJobSummaries": found, "NextToken": token}

    def StopHyperParameterTuningJob(self, request: Record) -> Record:
        """Ask a tuning job to stop, and all its training jobs with it."""
        record = self._jobs.get(request["HyperParameterTuningJobName"])
        if record[_STATUS] not in ("InProgress", "Stopping"):
            raise ServiceError(
                "ValidationException",
                "The request was rejected because the hyperparameter tuning job is in status "
                f"{record[_STATUS]}.",
            )
        run = self._running.get(record[TUNING_JOB.arn])
        if record[_STATUS] == "InProgress" and run is not None:
            self._change(record, **{_STATUS: "Stopping"})
            run.stopping.set()
        return {}

    def DeleteHyperParameterTuningJob(self, request: Record) -> Record:
        """Delete the record of a tuning job that has ended; its training jobs stay."""
        record = self._jobs.get(request["HyperParameterTuningJobName"])
        if record[_STATUS] in ("InProgress", "Stopping"):
            raise ServiceError(
                "ResourceInUse", "The hyperparameter tuning job is still running: stop it first."
            )
        self._jobs.remove(request["HyperParameterTuningJobName"])
        self._tags.drop(record[TUNING_JOB.arn])
        return {}

    def give_up_interrupted(self) -> list[tuple[glue.Scope, Record]]:
        """Fail the tuning jobs of the last run of the twin, whose trials are gone; returns them."""
        found: list[tuple[glue.Scope, Record]] = []
        for scope, _, record in self._jobs.store.everywhere():
            if record[_STATUS] in ("InProgress", "Stopping"):
                for trial in record[TRIALS]:
                    if trial["objective_status"] == "Pending":
                        trial.update(objective_status="Failed")
                        trial["job"]["TrainingJobStatus"] = "Failed"
                statuses = {trial["name"]: trial["job"]["TrainingJobStatus"] for trial in record[TRIALS]}
                members = {
                    _STATUS: "Failed",
                    "FailureReason": INTERRUPTED,
                    **counters(record[TRIALS], statuses),
                }
                self._jobs.change(record, HyperParameterTuningEndTime=now(), **members)
                found.append((scope, record))
        return found

    def stop_all(self) -> None:
        """End every search, on reset."""
        for run in list(self._running.values()):
            run.stopping.set()

    def announce(self, interrupted: list[tuple[glue.Scope, Record]]) -> None:
        """Tell EventBridge of tuning jobs that were given up."""
        for scope, record in interrupted:
            with glue.scope(scope.account, scope.region):
                events.announce(TUNING_JOB, record, self._tags)

    # ---- the search

    def _work(self, record: Record, space: Space, parents: list[Record]) -> None:
        try:
            run = self._prepare(record, space, parents)
            self._running[record[TUNING_JOB.arn]] = run
            status, reason = run.perform(self._tags.of(record[TUNING_JOB.arn]))
        except ServiceError as fault:
            status, reason = "Failed", f"ClientError: {fault.message}"
        except Exception as fault:
            log.exception("tuning job %s failed in the twin", record[TUNING_JOB.name])
            status, reason = "Failed", f"InternalServerError: {fault} (a defect of the local twin)"
        finally:
            self._running.pop(record[TUNING_JOB.arn], None)
        members = {"FailureReason": reason} if reason else {}
        self._change(record, **{_STATUS: status}, HyperParameterTuningEndTime=now(), **members)

    def _prepare(self, record: Record, space: Space, parents: list[Record]) -> TuningRun:
        config = record["HyperParameterTuningJobConfig"]
        budget = config["ResourceLimits"].get("MaxNumberOfTrainingJobs", 100)
        search = search_of(config["Strategy"], space, config.get("RandomSeed"), budget)
        for parent in parents:
            _, factor = objective_of(parent)
            for trial in parent[TRIALS]:
                point = space.point(trial["values"])
                if trial["value"] is not None and point is not None:
                    search.remember(point, factor * trial["value"])
        return TuningRun(record, self._jobs, self._training, Method(space, search, _rule(record)))

    def _change(self, record: Record, **members: Any) -> None:
        self._jobs.change(record, **members)
        events.announce(TUNING_JOB, record, self._tags)

    def _parents(self, request: Record, space: Space) -> list[Record]:
        """Return the tuning jobs to learn from; raises `ServiceError` for those that do not fit."""
        warm = request.get("WarmStartConfig")
        if not warm:
            return []
        named = [one.get("HyperParameterTuningJobName", "") for one in warm["ParentHyperParameterTuningJobs"]]
        parents = [self._jobs.get(name) for name in named]
        tuning_checks.check_warm_start(request, space, parents)
        return parents

    def _overall_best(self, record: Record) -> Record | None:
        """Return the best trial of a tuning job and its parents, where data and algorithm are the same."""
        warm = record["WarmStartConfig"]
        if warm["WarmStartType"] != "IdenticalDataAndAlgorithm":
            return None
        named = [one["HyperParameterTuningJobName"] for one in warm["ParentHyperParameterTuningJobs"]]
        family = [record, *(found for name in named if (found := self._jobs.find(name)))]
        _, factor = objective_of(record)
        judged = [(factor * best["value"], job, best) for job in family if (best := best_of(job))]
        if not judged:
            return None
        _, job, best = min(judged, key=lambda row: row[0])
        return summary(job, best, self._training_jobs, with_tuning_job=True)


def _rule(record: Record) -> StoppingRule:
    config = record["HyperParameterTuningJobConfig"]
    if config["Strategy"] == "Hyperband":
        return HyperbandStopping(*tuning_checks.hyperband_resources(record))
    return MedianStopping() if config.get("TrainingJobEarlyStoppingType") == "Auto" else NoStopping()
