"""Names between Step Functions and the SDK: services, operations, members of parameters, and errors."""

import base64
import datetime as dt
import json
import re
from functools import cache
from typing import Any

import botocore.session
from botocore import xform_name

from twin.json_service import service_model

# The name in ``aws-sdk:<name>`` is the Java SDK's; where it differs from botocore's by more than hyphens.
_SDK_SERVICES = {
    "applicationautoscaling": "application-autoscaling",
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "sfn": "stepfunctions",
}
# Optimised integrations: name in the ARN -> botocore's service, prefix of errors, error without a name.
OPTIMISED: dict[str, tuple[str, str, str]] = {
    "codebuild": ("codebuild", "CodeBuild", "AWSCodeBuildException"),
    "dynamodb": ("dynamodb", "DynamoDB", "AmazonDynamoDBException"),
    "events": ("events", "EventBridge", "AmazonEventBridgeException"),
    "lambda": ("lambda", "Lambda", "AWSLambdaException"),
    "sagemaker": ("sagemaker", "SageMaker", "AmazonSageMakerException"),
    "sns": ("sns", "SNS", "AmazonSNSException"),
    "sqs": ("sqs", "SQS", "AmazonSQSException"),
    "states": ("stepfunctions", "StepFunctions", "AWSStepFunctionsException"),
}
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+\d*|[A-Z]+\d*|\d+")


@cache
def sdk_service(name: str) -> str | None:
    """Return botocore's name for a service of ``aws-sdk:<name>``; None when there is none."""
    known = {
        found.replace("-", ""): found for found in botocore.session.get_session().get_available_services()
    }
    return _SDK_SERVICES.get(name.lower()) or known.get(name.lower())


@cache
def sdk_prefix(service: str) -> str:
    """Return the prefix of error names of ``aws-sdk`` integrations, such as ``DynamoDb``."""
    identity = str(service_model(service).metadata["serviceId"])
    return "".join(word.capitalize() for word in _WORDS.findall(identity))


def operation_name(action: str) -> str:
    """Return the API's name of ``createTrainingJob``."""
    return action[:1].upper() + action[1:]


def method_name(operation: str) -> str:
    """Return the name of an operation's method on a boto3 client."""
    return xform_name(operation)


def error_name(service: str, code: str, prefix: str, unnamed: str) -> str:
    """Return Step Functions' name of an error: an exception of the service's model, else `unnamed`.

    An error that the model does not declare (a validation or access failure of most services) has no class
    of its own in the SDK that Step Functions uses.
    """
    for shape in service_model(service).error_shapes:
        declared = shape.metadata.get("error", {}).get("code") or shape.name
        if code in (declared, shape.name, f"{shape.name}Exception"):
            name = re.sub(r"(Fault|Exception)$", "", shape.name)
            return f"{prefix}.{name}Exception"
    return f"{prefix}.{unnamed}"


def to_request(shape: Any, value: Any) -> Any:
    """Return parameters as the SDK takes them: members come in PascalCase, documents as objects."""
    if shape is None or value is None:
        return value
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        names = {name.lower(): name for name in shape.members}
        renamed: dict[str, Any] = {}
        for key, item in value.items():
            name = names.get(key.lower(), key)
            renamed[name] = to_request(shape.members.get(name), item)
        return renamed
    if kind == "list" and isinstance(value, list):
        return [to_request(shape.member, item) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: to_request(shape.value, item) for key, item in value.items()}
    if kind in ("string", "blob") and isinstance(value, dict | list):
        return json.dumps(value)
    return value


def to_result(shape: Any, value: Any, *, epoch: bool) -> Any:
    """Return an SDK result as Step Functions gives it: PascalCase members, JSON values only.

    Times are epoch milliseconds in optimised integrations (`epoch`), and text in the others.
    """
    kind = getattr(shape, "type_name", "")
    if kind == "structure" and isinstance(value, dict):
        return {
            name[:1].upper() + name[1:]: to_result(shape.members[name], item, epoch=epoch)
            for name, item in value.items()
            if name in shape.members
        }
    if isinstance(value, dict):
        inner = shape.value if kind == "map" else None
        return {key: to_result(inner, item, epoch=epoch) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        inner = shape.member if kind == "list" else None
        return [to_result(inner, item, epoch=epoch) for item in value]
    return _scalar(value, epoch)


def _scalar(value: Any, epoch: bool) -> Any:
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, dt.datetime):
        utc = value.astimezone(dt.UTC)
        return int(utc.timestamp() * 1000) if epoch else utc.isoformat().replace("+00:00", "Z")
    return value


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()
