"""Variants that Application Auto Scaling knows: what an update or deletion of their endpoint may do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twin.json_service import ServiceError, require_caller_may
from twin.services.sagemaker.deploying import PLAN
from twin.services.sagemaker.records import Record
from twin.services.sagemaker.variants import counts

_DEREGISTER = "application-autoscaling:DeregisterScalableTarget"
# As in the call that SageMaker makes for whoever deletes an endpoint.
_NAMESPACE = {"application-autoscaling:service-namespace": "sagemaker"}


@dataclass
class _Targets:
    """How targets are asked for: (endpoint, variant) -> ARN or None; and how one is given up."""

    arn: Callable[[str, str], str | None] = lambda _, __: None
    drop: Callable[[str, str], None] = lambda _, __: None


class EndpointOperations(Protocol):
    """The operations that Application Auto Scaling uses with its service-linked role."""

    def DescribeEndpoint(self, request: Record) -> Record:
        """Return an endpoint."""
        ...

    def UpdateEndpointWeightsAndCapacities(self, request: Record) -> Record:
        """Change counts."""
        ...


_targets = _Targets()
_operations: list[EndpointOperations] = []


def offer(operations: EndpointOperations) -> None:
    """Let Application Auto Scaling see and change endpoints by these operations."""
    _operations[:] = [operations]


def operations() -> EndpointOperations:
    """Return the operations on endpoints; they are called in the scope of the endpoint."""
    return _operations[0]


def connect(arn: Callable[[str, str], str | None], drop: Callable[[str, str], None]) -> None:
    """Let Application Auto Scaling tell the ARN of a variant's scalable target, and drop one."""
    _targets.arn, _targets.drop = arn, drop


def require_updatable(endpoint: Record, serving: list[Record], plan: list[Record]) -> None:
    """Raise `ServiceError` when an update changes hardware of, or drops, a variant that is scaled."""
    types = {e["Variant"]["VariantName"]: e["Variant"].get("InstanceType") for e in plan}
    for entry in serving:
        variant = entry["Variant"]
        name = variant["VariantName"]
        if types.get(name) == variant.get("InstanceType"):
            continue
        if _targets.arn(endpoint["EndpointName"], name) is not None:
            change = f"instance type {types[name]}" if name in types else "no such variant"
            raise ServiceError(
                "ValidationException",
                f"Variant {name} of endpoint {endpoint['EndpointName']} is registered as a scalable target, "
                f"and the new endpoint configuration has {change}: deregister it with Application Auto "
                "Scaling first.",
            )


def deregister(endpoint: Record) -> None:
    """Give up the scalable targets of an endpoint that is deleted, if the caller may."""
    name = endpoint["EndpointName"]
    # An endpoint that never was in service has no plan, and so no target.
    variants = counts(endpoint.get(PLAN, []))
    for variant in variants:
        target = _targets.arn(name, variant)
        if target is None:
            continue
        try:
            require_caller_may(_DEREGISTER, target, _NAMESPACE)
        except ServiceError as fault:
            raise ServiceError(
                "ValidationException",
                "An Application AutoScaling scalable target exists for a variant being deleted, and the IAM "
                f"identity used to invoke DeleteEndpoint does not have {_DEREGISTER} permission to "
                "deregister the scalable target.",
            ) from fault
        _targets.drop(name, variant)
