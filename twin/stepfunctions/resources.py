"""Reads the Resource of a Task state: which integration, which action, and how to wait for its end."""

import re
from dataclasses import dataclass

from twin.stepfunctions import naming

_STATES = re.compile(
    r"arn:aws[a-z-]*:states:[a-z0-9-]*:\d*:(?P<sdk>aws-sdk:)?(?P<service>[A-Za-z0-9]+):(?P<action>[A-Za-z0-9]+)"
    r"(?P<pattern>\.sync:2|\.sync|\.waitForTaskToken)?"
)
_FUNCTION = re.compile(
    r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9-_$.]+(:[A-Za-z0-9-_$]+)?"
)
_ACTIVITY = re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:activity:.+")

# What can be waited for until it ends: optimised integrations with ``.sync``.
SYNCHRONOUS = frozenset(
    {
        "codebuild:startBuild",
        "sagemaker:createHyperParameterTuningJob",
        "sagemaker:createProcessingJob",
        "sagemaker:createTrainingJob",
        "sagemaker:createTransformJob",
        "states:startExecution",
    }
)
REQUEST_RESPONSE = SYNCHRONOUS | frozenset(
    {
        "codebuild:batchGetReports",
        "codebuild:stopBuild",
        "dynamodb:deleteItem",
        "dynamodb:getItem",
        "dynamodb:putItem",
        "dynamodb:updateItem",
        "events:putEvents",
        "lambda:invoke",
        "sagemaker:createEndpoint",
        "sagemaker:createEndpointConfig",
        "sagemaker:createModel",
        "sagemaker:updateEndpoint",
        "sns:publish",
        "sqs:sendMessage",
    }
)
_WITH_TOKEN = frozenset(
    {"events:putEvents", "lambda:invoke", "sns:publish", "sqs:sendMessage", "states:startExecution"}
)


@dataclass(frozen=True)
class Resource:
    """`kind` is function, activity, optimised or sdk; `pattern` is ``.sync`` and the like, or empty."""

    kind: str
    arn: str
    service: str = ""
    action: str = ""
    pattern: str = ""

    @property
    def resource_type(self) -> str:
        """What the history calls the type of the resource."""
        return f"aws-sdk:{self.service}" if self.kind == "sdk" else self.service or self.kind

    @property
    def shown(self) -> str:
        """What the history calls the resource."""
        return f"{self.action}{self.pattern}" if self.action else self.arn


class UnknownResource(ValueError):
    """The Resource is none that Step Functions, or the twin, knows; the message says which."""


def parse(arn: str) -> Resource:
    """Read a Resource; raises `UnknownResource`."""
    if _FUNCTION.fullmatch(arn):
        return Resource("function", arn, "lambda")
    if _ACTIVITY.fullmatch(arn):
        return Resource("activity", arn)
    found = _STATES.fullmatch(arn)
    if found is None:
        raise UnknownResource(f"{arn!r} is not the Resource of a Task")
    service, action, pattern = found["service"], found["action"], found["pattern"] or ""
    if found["sdk"]:
        if pattern.startswith(".sync"):
            raise UnknownResource(f"{arn}: aws-sdk integrations do not support {pattern}")
        if naming.sdk_service(service) is None:
            raise UnknownResource(f"{arn}: the AWS SDK has no service {service!r}")
        return Resource("sdk", arn, service, action, pattern)
    name = f"{service}:{action}"
    if service not in naming.OPTIMISED or name not in REQUEST_RESPONSE:
        raise UnknownResource(
            f"{arn}: the optimised integration {name} is not implemented by the local twin "
            f"(aws-sdk:{service}:{action} may serve)"
        )
    if pattern.startswith(".sync") and name not in SYNCHRONOUS:
        raise UnknownResource(f"{arn}: {name} does not support {pattern}")
    if pattern == ".waitForTaskToken" and name not in _WITH_TOKEN:
        raise UnknownResource(f"{arn}: {name} does not support {pattern}")
    if pattern == ".sync:2" and service != "states":
        raise UnknownResource(f"{arn}: only states:startExecution has {pattern}")
    return Resource("optimised", arn, service, action, pattern)
