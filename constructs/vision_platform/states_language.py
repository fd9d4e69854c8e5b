"""The words that the platform's state machines are written in: tasks that retry, choices, items, events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from vision_platform.event_bus import EVENT_SOURCE

State = dict[str, Any]

# DynamoDB and EventBridge take far more; a reader does not.
CAUSE_LIMIT = 2000
CONDITION_FAILED = "DynamoDB.ConditionalCheckFailedException"
# Names of errors of aws-sdk integrations follow the SDK's own spelling.
TRANSACTION_CANCELLED = "DynamoDb.TransactionCanceledException"
EXECUTION_UNKNOWN = "Sfn.ExecutionDoesNotExistException"
# SageMaker has one name for all that it refuses, throttling included, and the SDK integration another.
SAGEMAKER_REFUSES = "SageMaker.SageMakerException"
# What AWS's services raise for throttling and passing trouble, by integration.
_PASSING = (
    SAGEMAKER_REFUSES,
    "SageMaker.AmazonSageMakerException",
    *(
        f"{service}.{fault}Exception"
        for service in ("DynamoDB", "DynamoDb")
        for fault in (
            "AmazonDynamoDB" if service == "DynamoDB" else "DynamoDb",
            "InternalServerError",
            "ProvisionedThroughputExceeded",
            "RequestLimitExceeded",
            "Throttling",
            "TransactionConflict",
        )
    ),
    "CloudWatch.CloudWatchException",
    "EventBridge.AmazonEventBridgeException",
    "EventBridge.FailedEntry",
    "EventBridge.InternalException",
    "EventBridge.ThrottlingException",
    "Sfn.SfnException",
    "StepFunctions.AWSStepFunctionsException",
    # Throttling, and whatever else it has no name for.
    "ApplicationAutoScaling.ApplicationAutoScalingException",
    "ApplicationAutoScaling.ConcurrentUpdateException",
    "ApplicationAutoScaling.InternalServiceException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    # A function that was killed or took too long; all of ours may be called again.
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
)


class Surroundings(Protocol):
    """What every workflow knows of its environment."""

    @property
    def prefix(self) -> str:
        """`<platform>-<environment>`."""
        ...

    @property
    def table(self) -> str:
        """The lineage table's name."""
        ...

    @property
    def bus(self) -> str:
        """The name of the platform's event bus."""
        ...


def task(
    resource: str,
    arguments: Any,
    *,
    following: str,
    assign: Mapping[str, Any] | None = None,
    catch_first: Sequence[State] = (),
    on_error: str = "ExplainFailure",
    keep_error: bool = True,
) -> State:
    """A task that retries passing trouble and leads every other error to `on_error`.

    With `keep_error` the error is kept in the variable `failure`; without, the first failure of the execution
    stays the one that is told.
    """
    last: State = {"ErrorEquals": ["States.ALL"], "Next": on_error}
    if keep_error:
        last["Assign"] = caught()
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{resource}",
        "Arguments": arguments,
        **({"Assign": dict(assign)} if assign else {}),
        # What the next states need is in variables; results would only travel along, and count as data.
        "Output": {},
        "Retry": retries(),
        "Catch": [*catch_first, last],
        "Next": following,
    }


def retries() -> list[dict[str, Any]]:
    """How often passing trouble is tried again."""
    return [
        {
            "ErrorEquals": list(_PASSING),
            "IntervalSeconds": 2,
            "BackoffRate": 2,
            "MaxAttempts": 2,
            "JitterStrategy": "FULL",
        }
    ]


def invoke(function: str, payload: Mapping[str, str], *, assign: Mapping[str, str], following: str) -> State:
    """Call a function and keep of its answer (`$states.result.Payload`) what `assign` says."""
    arguments = {"FunctionName": function, "Payload": dict(payload)}
    return task("lambda:invoke", arguments, assign=assign, following=following)


def caught() -> dict[str, Any]:
    """Keeps a caught error, and where it was caught, in the variable `failure`."""
    return {
        "failure": {
            "Error": "{% $states.errorOutput.Error %}",
            "Cause": "{% $exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : '' %}",
            "State": "{% $states.context.State.Name %}",
        }
    }


def failed(error: str, cause: str) -> dict[str, Any]:
    """Assigns a failure that the workflow itself has found. `cause` is a JSONata expression."""
    return {
        "failure": {
            "Error": error,
            "Cause": f"{{% {cause} %}}",
            "State": "{% $states.context.State.Name %}",
        }
    }


def rule(condition: str, following: str, assign: Mapping[str, Any] | None = None) -> State:
    """One rule of a choice: when the condition (JSONata) holds, assign and go on there."""
    return {
        "Condition": f"{{% {condition} %}}",
        **({"Assign": dict(assign)} if assign else {}),
        "Next": following,
    }


def choose(*rules: State, default: str) -> State:
    """The state of the first rule that holds, else `default`."""
    return {"Type": "Choice", "Choices": list(rules), "Default": default}


def key(pk: str, sk: str) -> dict[str, Any]:
    """The key of an item; both are JSONata expressions."""
    return texts(pk=pk, sk=sk)


def texts(**expressions: str) -> dict[str, Any]:
    """DynamoDB's form of attributes that are texts, each given as a JSONata expression."""
    return {name: {"S": f"{{% {expression} %}}"} for name, expression in expressions.items()}


def numbers(**expressions: str) -> dict[str, Any]:
    """DynamoDB's form of attributes that are numbers, each given as a JSONata expression."""
    return {name: {"N": f"{{% $string({expression}) %}}"} for name, expression in expressions.items()}


def setting(
    attributes: Mapping[str, Any],
    *,
    condition: str,
    values: Mapping[str, Any] | None = None,
    remove: Sequence[str] = (),
) -> dict[str, Any]:
    """The part of an update's request that sets and removes attributes under a condition.

    A condition names attributes by placeholders (`#status`) and further values in `values` (`:wanted`).
    """
    # Placeholders throughout, because `status` and `error` are reserved words in expressions.
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in attributes)
    if remove:
        expression += " REMOVE " + ", ".join(f"#{name}" for name in remove)
    named = {part.strip("()=,") for part in condition.split() if "#" in part}
    names = {part.split("#")[1] for part in named} | {*attributes, *remove}
    return {
        "UpdateExpression": expression,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {f"#{name}": name for name in sorted(names)},
        "ExpressionAttributeValues": {
            **{f":{name}": value for name, value in attributes.items()},
            **(values or {}),
        },
    }


def announce(
    surroundings: Surroundings,
    kind: str,
    detail: Mapping[str, Any],
    *,
    following: str,
    on_error: str = "ExplainFailure",
    keep_error: bool = True,
) -> State:
    """Put an event of this kind on the platform's bus, with what every event has."""
    common = {
        "version": "1",
        "environment": surroundings.prefix,
        "line": "{% $line %}",
        "run_id": "{% $run_id = '' ? null : $run_id %}",
    }
    entry = {
        "EventBusName": surroundings.bus,
        "Source": EVENT_SOURCE,
        "DetailType": kind,
        "Detail": {**common, **detail},
    }
    return task(
        "events:putEvents",
        {"Entries": [entry]},
        following=following,
        on_error=on_error,
        keep_error=keep_error,
    )
