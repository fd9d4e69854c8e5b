"""Ends what runs, and deletes what workflows have made: CloudFormation knows nothing of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from ops.destroy.estate import Estate, pages
from ops.faults import OperatorFault, code_of, is_absent
from ops.models.home import WAKING_ALARM

_POLL_SECONDS = 1.0
# An endpoint that is being created cannot be deleted before it is there.
_PATIENCE_SECONDS = 30 * 60.0
_JOBS = ("Training", "Processing")

Tell = Callable[[str], None]


def stop_pipeline(estate: Estate, tell: Tell) -> None:
    """Stop every execution, so that nothing is deployed again meanwhile."""
    api = estate.client("codepipeline")
    try:
        running = [
            each["pipelineExecutionId"]
            for each in pages(
                api, "list_pipeline_executions", "pipelineExecutionSummaries", pipelineName=estate.base
            )
            if each["status"] in ("InProgress", "Stopping")
        ]
    except ClientError as fault:
        if is_absent(fault):
            return
        raise
    _close(api, estate.base)
    for execution in running:
        tell(f"stops execution {execution} of the pipeline")
        api.stop_pipeline_execution(
            pipelineName=estate.base,
            pipelineExecutionId=execution,
            abandon=True,
            reason="The platform is being destroyed",
        )


def _close(api: Any, pipeline: str) -> None:
    """Close the way into the second stage: the first one starts by itself with every push."""
    stages = api.get_pipeline(name=pipeline)["pipeline"]["stages"]
    api.disable_stage_transition(
        pipelineName=pipeline,
        stageName=stages[1]["name"],
        transitionType="Inbound",
        reason="The platform is being destroyed",
    )


def stop_workflows(estate: Estate, tell: Tell) -> None:
    """Stop the executions of the state machines."""
    api = estate.client("stepfunctions")
    for machine in pages(api, "list_state_machines", "stateMachines"):
        if not estate.owns(machine["name"]):
            continue
        arn = machine["stateMachineArn"]
        for each in pages(api, "list_executions", "executions", stateMachineArn=arn, statusFilter="RUNNING"):
            tell(f"stops workflow {each['name']}")
            api.stop_execution(executionArn=each["executionArn"], cause="The platform is being destroyed")


def clear_sagemaker(estate: Estate, tell: Tell) -> None:
    """Stop jobs; delete endpoints, their configurations and models, and the jobs' records unless kept.

    Raises OperatorFault when something does not end in time.
    """
    api = estate.client("sagemaker")
    for kind in _JOBS:
        _stop_jobs(api, kind, estate, tell)
    for name in _named(api, "Endpoint", estate):
        tell(f"deletes endpoint {name}")
        _until_gone(lambda name=name: api.delete_endpoint(EndpointName=name), name)
    _delete_scaling_alarms(estate, tell)
    for kind in ("EndpointConfig", "Model"):
        for name in _named(api, kind, estate):
            tell(f"deletes {kind} {name}")
            _ignore_absent(lambda k=kind, n=name: _delete(api, k, n))
    if not estate.keeps:
        for kind in _JOBS:
            for name in _named(api, f"{kind}Job", estate):
                _ignore_absent(lambda k=kind, n=name: _delete(api, f"{k}Job", n))


def _delete_scaling_alarms(estate: Estate, tell: Tell) -> None:
    """The alarm that brings an asynchronous endpoint back from zero is the promotion workflow's own."""
    api = estate.client("cloudwatch")
    found = pages(api, "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{estate.base}-")
    for name in [each["AlarmName"] for each in found if each["AlarmName"].endswith(WAKING_ALARM)]:
        if estate.owns(name):
            tell(f"deletes alarm {name}")
            api.delete_alarms(AlarmNames=[name])


def clear_registry(estate: Estate, tell: Tell) -> None:
    """Delete the registered models and their groups."""
    api = estate.client("sagemaker")
    for group in _named(api, "ModelPackageGroup", estate):
        tell(f"deletes the registered models of {group}")
        versions = list(
            pages(api, "list_model_packages", "ModelPackageSummaryList", ModelPackageGroupName=group)
        )
        for version in versions:
            api.delete_model_package(ModelPackageName=version["ModelPackageArn"])
        _ignore_absent(lambda g=group: api.delete_model_package_group(ModelPackageGroupName=g))


def _stop_jobs(api: Any, kind: str, estate: Estate, tell: Tell) -> None:
    job = f"{kind}Job"
    running = {
        name
        for status in ("InProgress", "Stopping")
        for name in _named(api, job, estate, StatusEquals=status)
    }
    for name in running:
        tell(f"stops {job} {name}")
        try:
            getattr(api, f"stop_{kind.lower()}_job")(**{f"{job}Name": name})
        except ClientError as fault:
            if not (is_absent(fault) or code_of(fault) == "ValidationException"):
                raise
    _wait(lambda: not (running & set(_named(api, job, estate, StatusEquals="Stopping"))), f"{kind} jobs")


def _named(api: Any, kind: str, estate: Estate, **filters: Any) -> list[str]:
    """The names of all resources of a kind that are the estate's."""
    operation, member = {
        "Endpoint": ("list_endpoints", "Endpoints"),
        "EndpointConfig": ("list_endpoint_configs", "EndpointConfigs"),
        "Model": ("list_models", "Models"),
        "ModelPackageGroup": ("list_model_package_groups", "ModelPackageGroupSummaryList"),
        "TrainingJob": ("list_training_jobs", "TrainingJobSummaries"),
        "ProcessingJob": ("list_processing_jobs", "ProcessingJobSummaries"),
    }[kind]
    found = pages(api, operation, member, NameContains=estate.base, **filters)
    return [each[f"{kind}Name"] for each in found if estate.owns(each[f"{kind}Name"])]


def owned_in_sagemaker(estate: Estate) -> Iterator[tuple[str, str]]:
    """Kind and name of everything that is still there and costs money or holds a name."""
    api = estate.client("sagemaker")
    for kind in ("Endpoint", "EndpointConfig", "Model", "ModelPackageGroup"):
        for name in _named(api, kind, estate):
            yield kind, name
    for kind in _JOBS:
        for name in _named(api, f"{kind}Job", estate, StatusEquals="InProgress"):
            yield f"{kind}Job", name


def _delete(api: Any, kind: str, name: str) -> None:
    operation = {
        "EndpointConfig": "delete_endpoint_config",
        "Model": "delete_model",
        "TrainingJob": "delete_training_job",
        "ProcessingJob": "delete_processing_job",
    }[kind]
    getattr(api, operation)(**{f"{kind}Name": name})


def _ignore_absent(delete: Callable[[], object]) -> None:
    try:
        delete()
    except ClientError as fault:
        # SageMaker says of what is gone that it could not find it.
        if not is_absent(fault):
            raise


def _until_gone(delete: Callable[[], object], name: str) -> None:
    """Ask for the deletion until there is nothing left to delete: refusals mean that it is still changing."""

    def gone() -> bool:
        try:
            delete()
        except ClientError as fault:
            if is_absent(fault):
                return True
            if code_of(fault) not in ("ValidationException", "ResourceInUse", "ConflictException"):
                raise
        return False

    _wait(gone, name)


def _wait(done: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while not done():
        if time.monotonic() > until:
            raise OperatorFault(f"{what}: not ended after half an hour; look at it, then run destroy again")
        time.sleep(_POLL_SECONDS)
