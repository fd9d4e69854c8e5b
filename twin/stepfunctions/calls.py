"""Calls of AWS operations for a task, with the state machine's role, so that IAM judges every one."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from twin import glue
from twin.json_service import service_model
from twin.stepfunctions import naming
from twin.stepfunctions.errors import StateError

STATES_PRINCIPAL = "states.amazonaws.com"
# Sessions last 12 h; new ones are cheap.
_SESSION_SECONDS = 3600
# Says which state a call is of, so that a fault can be meant for that one.
STATE_HEADER = "x-twin-state"
_now = threading.local()


@dataclass(frozen=True)
class Caller:
    """Who calls: the role of the state machine, or the one that a task's Credentials name."""

    role_arn: str
    machine_arn: str
    region: str
    target_role_arn: str | None = None
    execution_arn: str = field(default="", compare=False)  # clients are shared by executions
    state: str = field(default="", compare=False)  # and by states; it is `<machine>/<state>`


class _Clients:
    """SDK clients by role: their set-up takes longer than most calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[Caller, str], tuple[float, Any]] = {}

    def get(self, caller: Caller, service: str) -> Any:
        with self._lock:
            made = self._made.get((caller, service))
        if made is not None and time.monotonic() - made[0] < _SESSION_SECONDS:
            return made[1]
        # A task shows every failure of its call to Retry and Catch: the SDK must not hide one.
        client = glue.client(service, _credentials(caller), caller.region, retries=0)
        client.meta.events.register("before-call", _name_the_state)
        with self._lock:
            self._made[caller, service] = (time.monotonic(), client)
        return client

    def clear(self) -> None:
        with self._lock:
            self._made.clear()


_clients = _Clients()


def _name_the_state(params: dict[str, Any], **_: Any) -> None:
    params["headers"][STATE_HEADER] = getattr(_now, "state", "")


def forget_sessions() -> None:
    """Drop all clients: their sessions are gone."""
    _clients.clear()


def _credentials(caller: Caller) -> Mapping[str, str]:
    try:
        own = glue.service_session(
            caller.role_arn, STATES_PRINCIPAL, caller.machine_arn.rpartition(":")[2], caller.machine_arn
        )
    except glue.TrustError as fault:
        raise StateError("States.Permissions", str(fault)) from fault
    if caller.target_role_arn is None:
        return own
    try:
        assumed = glue.client("sts", own, caller.region).assume_role(
            RoleArn=caller.target_role_arn, RoleSessionName="StepFunctions"
        )["Credentials"]
    except ClientError as fault:
        text = f"The role {caller.target_role_arn} of the task's Credentials cannot be assumed: {fault}"
        raise StateError("States.TaskCredentials", text) from fault
    return {
        "AWS_ACCESS_KEY_ID": assumed["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": assumed["SecretAccessKey"],
        "AWS_SESSION_TOKEN": assumed["SessionToken"],
    }


@dataclass(frozen=True)
class Operation:
    """One API operation, and how its errors are named in this integration."""

    service: str
    name: str
    prefix: str
    unnamed: str
    optimised: bool


def optimised(service: str, action: str) -> Operation:
    """Return the operation of an optimised integration (``dynamodb:putItem``)."""
    boto_name, prefix, unnamed = naming.OPTIMISED[service]
    return Operation(boto_name, naming.operation_name(action), prefix, unnamed, optimised=True)


def sdk(service: str, action: str) -> Operation:
    """Return the operation of an ``aws-sdk`` integration; raises `StateError` for one that does not exist."""
    boto_name = naming.sdk_service(service)
    name = naming.operation_name(action)
    if boto_name is None or name not in service_model(boto_name).operation_names:
        raise StateError("States.Runtime", f"aws-sdk:{service}:{action} is not an operation of the AWS SDK")
    prefix = naming.sdk_prefix(boto_name)
    return Operation(boto_name, name, prefix, f"{prefix}Exception", optimised=False)


def call(caller: Caller, operation: Operation, parameters: Any) -> dict[str, Any]:
    """Call an operation and return its result in Step Functions' form; raises `StateError`."""
    raw = call_raw(caller, operation, parameters)
    shape = service_model(operation.service).operation_model(operation.name).output_shape
    metadata = raw.pop("ResponseMetadata", {})
    result = naming.to_result(shape, raw, epoch=operation.optimised) if shape is not None else {}
    if operation.optimised:
        result["SdkHttpMetadata"] = {"HttpStatusCode": metadata.get("HTTPStatusCode", 200)}
        result["SdkResponseMetadata"] = {"RequestId": metadata.get("RequestId", "")}
    return result


def call_raw(caller: Caller, operation: Operation, parameters: Any) -> dict[str, Any]:
    """Call an operation and return the SDK's own result; raises `StateError`."""
    if not isinstance(parameters, dict):
        text = f"The parameters of {operation.service}:{operation.name} must be an object"
        raise StateError("States.Runtime", text)
    model = service_model(operation.service).operation_model(operation.name)
    client = _clients.get(caller, operation.service)
    _now.state = caller.state
    try:
        return getattr(client, naming.method_name(operation.name))(
            **naming.to_request(model.input_shape, parameters)
        )
    except ParamValidationError as fault:
        text = f"The parameters of {operation.service}:{operation.name} do not fit its API: {fault}"
        raise StateError("States.Runtime", text) from fault
    except ClientError as fault:
        raise _named(operation, fault) from fault
    except BotoCoreError as fault:
        text = f"Unable to execute HTTP request: {fault}"
        raise StateError(f"{operation.prefix}.SdkClientException", text) from fault


def _named(operation: Operation, fault: ClientError) -> StateError:
    error: Mapping[str, Any] = fault.response.get("Error", {})
    metadata: Mapping[str, Any] = fault.response.get("ResponseMetadata", {})
    code, status = error.get("Code", ""), metadata.get("HTTPStatusCode", 400)
    name = naming.error_name(operation.service, code, operation.prefix, operation.unnamed)
    request = metadata.get("RequestId", "")
    service = naming.sdk_prefix(operation.service)
    if operation.optimised:
        about = f"Service: {service}; Status Code: {status}; Error Code: {code}; Request ID: {request}"
    else:
        about = f"Service: {service}, Status Code: {status}, Request ID: {request}"
    return StateError(name, f"{error.get('Message', code)} ({about})")


def document(value: Any) -> str:
    """Return the JSON text that Step Functions puts in a cause."""
    return json.dumps(value, default=str)
