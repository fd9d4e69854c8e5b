"""Faults on demand: calls of any AWS service fail a set number of times, and nothing fails unless asked."""

import asyncio
import itertools
import json
import logging
import threading
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import UnknownServiceError

from twin import config, endpoints, glue
from twin.glue import requests as seam

log = logging.getLogger("twin.faults")
WORDS = ("throttle", "denied", "unavailable", "connection", "timeout", "crash")
# AWS words the same trouble differently from service to service.
_THROTTLES = {
    "apigateway": ("TooManyRequestsException", 429),
    "cloudformation": ("Throttling", 400),
    "cloudwatch": ("Throttling", 400),
    "dynamodb": ("ProvisionedThroughputExceededException", 400),
    "iam": ("Throttling", 400),
    "kinesis": ("ProvisionedThroughputExceededException", 400),
    "lambda": ("TooManyRequestsException", 429),
    "s3": ("SlowDown", 503),
    "sns": ("Throttled", 429),
    "sqs": ("RequestThrottled", 403),
    "sts": ("Throttling", 400),
}
_UNAVAILABLE = {
    "dynamodb": "InternalServerError",
    "kms": "KMSInternalException",
    "lambda": "ServiceException",
    "s3": "InternalError",
    "sns": "InternalError",
}
# What people say -> IAM's prefix, by which requests are told apart.
_PREFIXES = {
    "monitoring": "cloudwatch",
    "sagemaker-runtime": "sagemaker",
    "sfn": "states",
    "stepfunctions": "states",
}
_MODELS = {"sagemaker": ("sagemaker", "sagemaker-runtime"), "states": ("stepfunctions",)}
# Operations whose action has another name in IAM; S3 has one action for several of them.
_ACTIONS = {
    ("lambda", "Invoke"): "InvokeFunction",
    ("s3", "CompleteMultipartUpload"): "PutObject",
    ("s3", "CreateMultipartUpload"): "PutObject",
    ("s3", "HeadObject"): "GetObject",
    ("s3", "ListBuckets"): "ListAllMyBuckets",
    ("s3", "ListObjects"): "ListBucket",
    ("s3", "ListObjectsV2"): "ListBucket",
    ("s3", "UploadPart"): "PutObject",
}
# Faults that strike inside of what a service runs, and not at its door.
_INSIDE = {
    ("lambda", "InvokeFunction"): ("crash", "timeout"),
    ("sagemaker", "CreateTrainingJob"): ("crash",),
    ("sagemaker", "CreateProcessingJob"): ("crash",),
}
_STATE_HEADER = "x-twin-state"
_INJECTED = "a fault that was injected into the local twin"


@dataclass
class Fault:
    """One fault: what it hits, how that fails, and how often still."""

    id: str
    service: str
    operation: str
    error: str
    times: int
    left: int
    match: str = ""
    account: str = ""
    message: str = ""
    status: int = 0
    seconds: float = 1.0

    @property
    def is_inside(self) -> bool:
        """Whether it strikes inside of a function or job."""
        return self.error in _INSIDE.get((self.service, self.operation), ())

    def hits(self, service: str, operation: str, account: str, *texts: str) -> bool:
        """Whether it is meant for a call whose texts (path, query, body, a name) are given."""
        return (
            self.left > 0
            and self.service in ("*", service)
            and self.operation in ("*", operation)
            and self.account in ("", account)
            and (not self.match or any(self.match in text for text in texts))
        )

    def shown(self) -> dict[str, Any]:
        """Return it as data: what was asked for, `left` and `hits`."""
        given = {
            name: value for name, value in asdict(self).items() if value not in ("", 0) or name == "left"
        }
        return {**given, "hits": self.times - self.left}


class _Faults:
    """The faults that are set; safe against requests that are served at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set: list[Fault] = []
        self._numbers = itertools.count(1)

    def add(self, wanted: dict[str, Any]) -> Fault:
        with self._lock:
            fault = Fault(id=str(next(self._numbers)), left=wanted["times"], **wanted)
            self._set.append(fault)
        log.warning("fault %s is set: %s", fault.id, fault.shown())
        return fault

    def take(self, inside: bool, service: str, operation: str, *texts: str) -> Fault | None:
        account = glue.current_scope().account
        with self._lock:
            for fault in self._set:
                if fault.is_inside == inside and fault.hits(service, operation, account, *texts):
                    fault.left -= 1
                    return fault
        return None

    def active(self) -> bool:
        return any(fault.left for fault in self._set)

    def shown(self) -> list[dict[str, Any]]:
        with self._lock:
            return [fault.shown() for fault in self._set]

    def clear(self, number: str | None = None) -> int:
        with self._lock:
            kept = [fault for fault in self._set if number not in (None, fault.id)]
            gone, self._set = len(self._set) - len(kept), kept
        return gone

    def get_state(self) -> None:
        """Faults do not outlive the twin."""

    def load_persisted_state(self, data: Any, /) -> None:
        """Faults do not outlive the twin."""

    def reset(self) -> None:
        self.clear()


_faults = _Faults()


def install() -> None:
    """Serve ``/_twin/faults``, and let faults answer in the place of services."""
    seam.before_services(_faults.active, _answer)
    endpoints.register("POST", "faults", _add)
    endpoints.register("GET", "faults", lambda _: {"faults": _faults.shown()})
    endpoints.register("DELETE", "faults", lambda asked: {"cleared": _faults.clear(asked.query.get("id"))})
    glue.register_state("faults", _faults)


def strikes_function(name: str, arn: str) -> str | None:
    """Return ``crash`` or ``timeout`` when this invocation of a function shall end so, else None."""
    fault = _faults.take(True, "lambda", "InvokeFunction", name, arn)
    return fault.error if fault else None


def strikes_job(operation: str, name: str) -> bool:
    """Whether the container of this job, made by `operation`, shall be killed."""
    return _faults.take(True, "sagemaker", operation, name) is not None


async def _answer(request: seam.ServiceRequest) -> seam.Response | None:
    prefix, _, operation = request.action.partition(":")
    texts = (
        unquote(request.path),
        str(dict(request.query)),
        request.body.decode("utf-8", "replace"),
        # A call by a task of Step Functions names its state: `state:<machine>/<state>;`.
        f"state:{request.headers.get(_STATE_HEADER, '')};",
    )
    fault = _faults.take(False, prefix, operation, *texts)
    if fault is None:
        return None
    log.warning("fault %s strikes %s", fault.id, request.action)
    if fault.error in ("connection", "timeout"):
        if fault.error == "timeout":
            await asyncio.sleep(fault.seconds)
        raise seam.DropConnection
    code, status, message = _worded(fault, prefix, request.action)
    return seam.error_answer(request, code, fault.message or message, fault.status or status)


def _worded(fault: Fault, prefix: str, action: str) -> tuple[str, int, str]:
    """Return the code, status and message with which a service would fail."""
    if fault.error == "throttle":
        code, status = _THROTTLES.get(prefix, ("ThrottlingException", 400))
        return code, status, f"Rate exceeded ({_INJECTED})"
    if fault.error == "denied":
        code = "AuthorizationError" if prefix == "sns" else "AccessDenied"
        return code, 403, f"User is not authorized to perform: {action} ({_INJECTED})"
    if fault.error == "unavailable":
        return _UNAVAILABLE.get(prefix, "InternalFailure"), 500, f"Internal failure ({_INJECTED})"
    return fault.error, 400, f"{fault.error} ({_INJECTED})"


def _add(request: endpoints.Request) -> dict[str, Any]:
    try:
        asked = json.loads(request.body or b"{}")
    except ValueError as fault:
        raise endpoints.BadRequest(f"the body is not JSON: {fault}") from fault
    if not isinstance(asked, dict):
        raise endpoints.BadRequest("the body must be a JSON object")
    return _faults.add(_checked(asked)).shown()


_MEMBERS: dict[str, type | tuple[type, ...]] = {
    "service": str,
    "operation": str,
    "error": str,
    "times": int,
    "match": str,
    "account": str,
    "message": str,
    "status": int,
    "seconds": (int, float),
}


def _checked(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a fault; raises `BadRequest` for one that could never strike."""
    if unknown := sorted(asked.keys() - _MEMBERS.keys()):
        raise endpoints.BadRequest(f"{unknown[0]} is unknown; there are {', '.join(_MEMBERS)}")
    asked = {name: value for name, value in asked.items() if value is not None}
    for name in ("service", "operation", "error", "times"):
        if name not in asked:
            raise endpoints.BadRequest(f"{name} is missing")
    for name, value in asked.items():
        if not isinstance(value, _MEMBERS[name]) or isinstance(value, bool):
            raise endpoints.BadRequest(f"{name} is {value!r}: it must be a {_words(_MEMBERS[name])}")
    if asked["times"] < 1:
        raise endpoints.BadRequest(f"times is {asked['times']}: it must be at least 1")
    if "status" in asked and not 400 <= asked["status"] <= 599:
        raise endpoints.BadRequest(f"status is {asked['status']}: an error has one from 400 to 599")
    service = _PREFIXES.get(asked["service"]) or str(asked["service"])
    if service != "*" and service not in seam.services().values():
        raise endpoints.BadRequest(f"service {asked['service']!r} is none that the twin routes requests to")
    operation = _ACTIONS.get((service, asked["operation"])) or str(asked["operation"])
    if "*" not in (service, operation):
        _check_operation(service, asked["operation"], operation)
    if asked["error"] == "crash" and "crash" not in _INSIDE.get((service, operation), ()):
        raise endpoints.BadRequest(
            "crash is for Invoke of lambda, and CreateTrainingJob and CreateProcessingJob of sagemaker"
        )
    account = asked.get("account", "")
    account = config.current().accounts.get(account, account)
    if account and not (account.isdigit() and len(account) == 12):
        raise endpoints.BadRequest(f"account {account!r} is no alias of twin.toml, and not 12 digits")
    return {**asked, "service": service, "operation": operation, "account": account}


def _check_operation(service: str, asked: str, action: str) -> None:
    from twin.json_service import service_model

    if asked != action:
        return
    try:
        models = [service_model(name) for name in _MODELS.get(service, (service,))]
    except UnknownServiceError:
        return
    if asked not in _ACTIONS.values() and not any(asked in model.operation_names for model in models):
        raise endpoints.BadRequest(f"operation {asked!r} is none of {service}")


def _words(kind: type | tuple[type, ...]) -> str:
    return {str: "text", int: "whole number"}.get(kind, "number") if isinstance(kind, type) else "number"
