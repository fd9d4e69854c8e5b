"""Reads endpoints: the smoke one must serve exactly this run's model, the champion must be left alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from smoke_tests.faults import CheckFailed, is_absent


@dataclass(frozen=True)
class EndpointState:
    """What an endpoint was when it was looked at; `status` is empty when there was none."""

    name: str
    status: str = ""
    configuration: str = ""

    @property
    def exists(self) -> bool:
        """Whether there was such an endpoint."""
        return bool(self.status)

    def in_words(self) -> str:
        """For a report."""
        return f"{self.status} with {self.configuration}" if self.exists else "does not exist"


def look(sagemaker: Any, name: str) -> EndpointState:
    """The endpoint called `name` as it is now."""
    try:
        answer = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_absent(error):
            return EndpointState(name)
        raise
    return EndpointState(name, answer["EndpointStatus"], answer["EndpointConfigName"])


def require_serving(found: EndpointState, configuration: str) -> None:
    """Fail unless the endpoint is in service with exactly `configuration`.

    The configuration matters, not the status alone: after a rollback the old one is InService.
    """
    if not found.exists:
        raise CheckFailed(f"there is no endpoint {found.name}, although the training run succeeded")
    if found.status != "InService":
        raise CheckFailed(f"endpoint {found.name} is {found.status}, not InService")
    if found.configuration != configuration:
        raise CheckFailed(
            f"endpoint {found.name} serves configuration {found.configuration}, not this run's "
            f"{configuration}; it was rolled back, or another smoke run took it over"
        )


def require_untouched(
    before: EndpointState, after: EndpointState, run_id: str, is_deployment: Callable[[str], bool]
) -> str:
    """Fail if this smoke run may have moved the champion; return what was found, in words.

    A champion that a deployment of its own line moved meanwhile (a dataset arrived) is no fault of the smoke
    run: `is_deployment` tells of a deployment's id whether lineage knows it as one of the champion's.
    """
    if after == before:
        return f"{after.name} {after.in_words()}, as before"
    if run_id in after.configuration:
        raise CheckFailed(f"this smoke run moved the champion {after.name}: now {after.in_words()}")
    promoted_by = after.configuration.removeprefix(f"{after.name}-")
    if after.exists and is_deployment(promoted_by):
        return f"{after.name} moved on by its own deployment {promoted_by}, not by this run"
    raise CheckFailed(
        f"the champion {after.name} changed while the smoke run was on: before {before.in_words()}, "
        f"now {after.in_words()}"
    )
