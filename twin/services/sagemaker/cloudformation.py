"""CloudFormation's AWS::SageMaker resource types, made with SageMaker's own operations."""

import hashlib
import json
import time
from typing import Any

from twin import glue
from twin.json_service import ServiceError
from twin.services.sagemaker.service import SageMaker

_NAME_CHARACTERS = 63
_WAIT_SECONDS = 1800
_POLL_SECONDS = 0.2
_POLICY = "ModelPackageGroupPolicy"
# Properties that say how an endpoint is updated: there is nothing yet that they could keep.
_OF_UPDATES = (
    "ExcludeRetainedVariantProperties",
    "RetainAllVariantProperties",
    "RetainDeploymentConfig",
)
Properties = dict[str, Any]
Provisioned = tuple[str, dict[str, Any]]


class Resource:
    """One resource type: how its operations are called, and what Ref and GetAtt give."""

    def __init__(self, service: SageMaker, shape: str) -> None:
        """`shape` is the stem of the operations (``ModelPackageGroup``)."""
        self._service, self._shape = service, shape
        self._name, self._arn = f"{shape}Name", f"{shape}Arn"

    def create(self, logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
        """Create the resource; Ref is its ARN."""
        request = self._service.recase(f"Create{self._shape}", properties)
        request.setdefault(self._name, _name(stack_name, logical_id, request))
        created = self._service.call(f"Create{self._shape}", request)
        return created[self._arn], self._attributes(request[self._name])

    def _attributes(self, name: str) -> dict[str, Any]:
        described = self._service.call(f"Describe{self._shape}", {self._name: name})
        kept = (self._name, self._arn, "CreationTime", "ModelPackageGroupStatus")
        return {member: str(described[member]) for member in kept if member in described}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Delete the resource; one that is gone already is no fault."""
        del properties
        try:
            self._service.call(f"Delete{self._shape}", {self._name: physical_id.rpartition("/")[2]})
        except ServiceError as fault:
            if "Could not find" not in fault.message and "does not exist" not in fault.message:
                raise


class EndpointResource(Resource):
    """Endpoints are there once they are in service, and are updated in place."""

    def create(self, logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
        """Create the endpoint and wait for it."""
        wanted = {key: value for key, value in properties.items() if key not in _OF_UPDATES}
        physical_id, attributes = super().create(logical_id, wanted, stack_name)
        self._wait(attributes["EndpointName"])
        return physical_id, attributes

    def update(
        self, physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str
    ) -> Provisioned:
        """Move the endpoint to another configuration; another name is another endpoint."""
        if old.get("EndpointName") != new.get("EndpointName"):
            return self.create(logical_id, new, stack_name)
        name = physical_id.rpartition("/")[2]
        wanted = {k: v for k, v in new.items() if k not in ("Tags", "EndpointName")}
        request = self._service.recase("UpdateEndpoint", {**wanted, "EndpointName": name})
        self._service.call("UpdateEndpoint", request)
        self._wait(name)
        found = self._service.call("DescribeEndpoint", {"EndpointName": name})
        if found["EndpointConfigName"] != request["EndpointConfigName"]:
            raise ServiceError(
                "ValidationException", found.get("FailureReason", "the update was rolled back")
            )
        return physical_id, self._attributes(name)

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Delete the endpoint and wait until it is gone."""
        super().delete(physical_id, properties)
        name = physical_id.rpartition("/")[2]
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline and self._status(name) is not None:
            time.sleep(_POLL_SECONDS)

    def _status(self, name: str) -> str | None:
        try:
            return self._service.call("DescribeEndpoint", {"EndpointName": name})["EndpointStatus"]
        except ServiceError:
            return None

    def _wait(self, name: str) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            status = self._status(name)
            if status == "InService":
                return
            if status in (None, "Failed"):
                break
            time.sleep(_POLL_SECONDS)
        found = self._service.call("DescribeEndpoint", {"EndpointName": name})
        raise ServiceError("ValidationException", found.get("FailureReason", f"{name} is not in service"))


class GroupResource(Resource):
    """Model package groups may carry a resource policy; policy and tags change in place."""

    def create(self, logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
        """Create the group and record its policy."""
        plain = {k: v for k, v in properties.items() if k != _POLICY}
        physical_id, attributes = super().create(logical_id, plain, stack_name)
        self._set_policy(attributes["ModelPackageGroupName"], properties.get(_POLICY))
        return physical_id, attributes

    def update(
        self, physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str
    ) -> Provisioned:
        """Change policy and tags; another name or description is another group."""
        changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
        if changed - {_POLICY, "Tags"}:
            made = self.create(logical_id, new, stack_name)
            self.delete(physical_id, old)
            return made
        name = physical_id.rpartition("/")[2]
        gone = {tag["Key"] for tag in old.get("Tags", [])} - {tag["Key"] for tag in new.get("Tags", [])}
        if gone:
            self._service.call("DeleteTags", {"ResourceArn": physical_id, "TagKeys": sorted(gone)})
        if new.get("Tags"):
            self._service.call("AddTags", {"ResourceArn": physical_id, "Tags": new["Tags"]})
        if old.get(_POLICY) and not new.get(_POLICY):
            self._service.call("DeleteModelPackageGroupPolicy", {"ModelPackageGroupName": name})
        self._set_policy(name, new.get(_POLICY))
        return physical_id, self._attributes(name)

    def _set_policy(self, name: str, policy: Any) -> None:
        if policy:
            text = policy if isinstance(policy, str) else json.dumps(policy)
            self._service.call(
                "PutModelPackageGroupPolicy", {"ModelPackageGroupName": name, "ResourcePolicy": text}
            )


def _name(stack_name: str, logical_id: str, request: Properties) -> str:
    """Return a name for a resource that has none: stable for its properties, new when they change."""
    seed = hashlib.sha256(repr(sorted(request.items())).encode()).hexdigest()[:12]
    stem = f"{stack_name}-{logical_id}".replace("_", "-")[: _NAME_CHARACTERS - 13]
    return f"{stem}-{seed}"


def install(service: SageMaker) -> None:
    """Register the resource types."""
    for shape in ("Model", "EndpointConfig"):
        resource = Resource(service, shape)
        glue.register_cloudformation(
            f"AWS::SageMaker::{shape}", create=resource.create, delete=resource.delete
        )
    group = GroupResource(service, "ModelPackageGroup")
    glue.register_cloudformation(
        "AWS::SageMaker::ModelPackageGroup", create=group.create, delete=group.delete, update=group.update
    )
    endpoint = EndpointResource(service, "Endpoint")
    glue.register_cloudformation(
        "AWS::SageMaker::Endpoint", create=endpoint.create, delete=endpoint.delete, update=endpoint.update
    )
