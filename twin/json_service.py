"""Base for AWS JSON-protocol services, driven by botocore's models: input, results and errors."""

import contextvars
import json
import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from twin import glue, wire
from twin.services import permissions
from twin.wire import WireError, from_wire, recase, to_wire

__all__ = [
    "JsonService",
    "NotImplementedInTwin",
    "Response",
    "ServiceError",
    "WireError",
    "from_wire",
    "recase",
    "require_caller_may",
    "service_model",
    "to_wire",
]

log = logging.getLogger("twin.service")
Response = tuple[int, dict[str, str], bytes]
_caller: contextvars.ContextVar[str] = contextvars.ContextVar("twin_caller_key", default="")


class ServiceError(Exception):
    """What the AWS service answers with: an error code, a message and an HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        """`code` is the service's own (``ResourceNotFound``)."""
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class NotImplementedInTwin(ServiceError):
    """The operation exists on AWS, and not in the twin."""

    def __init__(self, what: str) -> None:
        """`what` names the operation or the feature."""
        super().__init__("NotImplementedInTwin", f"{what} is not implemented by the local twin", 501)


def require_caller_may(action: str, resource: str, context: Mapping[str, str] | None = None) -> None:
    """Raise `ServiceError` unless who sent the running request may do what the operation does in its name.

    `context` adds condition keys. Work that no request asked for (CloudFormation's, the twin's own) is not
    judged here.
    """
    key = _caller.get()
    if not key:
        return
    try:
        region = glue.current_scope().region
        permissions.require({"AWS_ACCESS_KEY_ID": key}, action, resource, region, context)
    except permissions.PermissionDenied as fault:
        raise ServiceError("AccessDeniedException", str(fault).removeprefix("AccessDenied: ")) from fault


@cache
def service_model(name: str) -> Any:
    """Return botocore's model of a service."""
    return botocore.session.get_session().get_service_model(name)


class JsonService:
    """One AWS service: a subclass has a method per operation, named as AWS names it, from dict to dict.

    Operations run in a thread of their own, in the caller's account and region. They raise `ServiceError` for
    what AWS answers with an error; any other exception is a defect of the twin and is answered as such.
    Timestamps are epoch seconds, going in and coming out; blobs are bytes.
    """

    service_name = ""
    validation_code = "ValidationException"

    def __init__(self) -> None:
        """Load the model of `service_name`."""
        self.model = service_model(self.service_name)
        self.target_prefix = str(self.model.metadata["targetPrefix"])

    def operation(self, name: str) -> Any:
        """Return the model of an operation; raises `ServiceError` when AWS has none of that name."""
        if name not in self.model.operation_names:
            raise ServiceError("UnknownOperationException", f"{self.service_name} has no operation {name!r}")
        return self.model.operation_model(name)

    def recase(self, operation: str, properties: dict[str, Any]) -> dict[str, Any]:
        """Turn CloudFormation properties into the input of `operation`; raises `ServiceError`."""
        try:
            return recase(self.operation(operation).input_shape, properties)
        except WireError as fault:
            raise ServiceError(self.validation_code, str(fault)) from fault

    def validate(self, operation: str, parameters: dict[str, Any]) -> None:
        """Raise `ServiceError` listing every fault of an operation's input."""
        shape = self.operation(operation).input_shape
        if shape is None:
            return
        report = ParamValidator().validate(parameters, shape)
        found = [report.generate_report()] if report.has_errors() else wire.faults(shape, parameters)
        if found:
            plural = "s" if len(found) > 1 else ""
            raise ServiceError(
                self.validation_code, f"{len(found)} validation error{plural} detected: {'; '.join(found)}"
            )

    def call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Validate and run an operation, as the wire does; returns the operation's own result."""
        self.operation(operation)
        function = getattr(self, operation, None)
        if function is None:
            raise NotImplementedInTwin(f"{self.service_name}:{operation}")
        self.validate(operation, parameters)
        return function(parameters) or {}

    def _answer(self, operation: str, body: bytes) -> dict[str, Any]:
        model = self.operation(operation)
        try:
            parsed = json.loads(body or b"{}")
        except ValueError as fault:
            raise ServiceError("SerializationException", f"the request body is not JSON: {fault}") from fault
        if not isinstance(parsed, dict):
            raise ServiceError("SerializationException", "the request body is not a JSON object")
        result = self.call(operation, from_wire(model.input_shape, parsed))
        return to_wire(model.output_shape, result) if model.output_shape is not None else {}

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Response:
        """Answer one request; made to be given to `glue.register_service`."""
        del method, path, query  # the JSON protocol names its operation in a header
        operation = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
        _caller.set(headers.get("authorization", "").partition("Credential=")[2].partition("/")[0])
        answer = {"Content-Type": f"application/x-amz-json-{self.model.metadata.get('jsonVersion', '1.1')}"}
        try:
            return 200, answer, json.dumps(await glue.run_blocking(self._answer, operation, body)).encode()
        except ServiceError as error:
            fault = error
        except Exception:
            log.exception("%s:%s failed", self.service_name, operation)
            fault = ServiceError(
                "InternalFailure", f"{self.service_name}:{operation} failed in the twin: see its log", 500
            )
        answer["x-amzn-ErrorType"] = fault.code
        return fault.status, answer, json.dumps({"__type": fault.code, "message": fault.message}).encode()
