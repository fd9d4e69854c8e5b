"""The words of the promotion workflow, beyond those of all workflows: its parts, its items, and pauses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vision_platform import states_language as language
from vision_platform.promotion_plan import HostingPlan
from vision_platform.states_language import SAGEMAKER_REFUSES, State, caught, key, retries, rule, setting

# Where every failure goes that is found while the line is ours.
FAILING = "Failing"
# Waiting starts short, for what is quick, and doubles up to half a minute.
_FIRST_WAIT_SECONDS = 2
_LONGEST_WAIT_SECONDS = 30

# What SageMaker refuses when someone changes the endpoint without this workflow; or it asks for patience.
LATER = "$contains($failure.Cause, /in-progress|Rate exceeded|Throttl|Status Code: 5/)"

DEPLOYMENT = key("'DEPLOYMENT#' & $line & '#' & $deployment_id", "'DEPLOYMENT'")
CHAMPION_RECORD = key("'LINE#' & $line", "'CHAMPION'")
LOCK = key("'LINE#' & $line", "'PROMOTION'")


@dataclass(frozen=True, kw_only=True)
class PromotionParts:
    """What the states name: table, bus, gate, hosting, and where packages may come from.

    `packages` is what the ARNs of the account's own model packages begin with; `packages_elsewhere` the same
    for the champion's packages of another account, empty when none may be promoted here.
    """

    prefix: str
    packages: str
    packages_elsewhere: str
    table: str
    bus: str
    gate_function: str
    hosting: HostingPlan


def task(
    resource: str,
    arguments: Any,
    *,
    following: str,
    assign: Mapping[str, Any] | None = None,
    catch_first: Sequence[State] = (),
    on_error: str = FAILING,
    keep_error: bool = True,
) -> State:
    """A task whose failures lead to Failing. What SageMaker may refuse for a reason is not tried again."""
    state = language.task(
        resource,
        arguments,
        following=following,
        assign=assign,
        catch_first=catch_first,
        on_error=on_error,
        keep_error=keep_error,
    )
    if any(SAGEMAKER_REFUSES in catcher["ErrorEquals"] for catcher in catch_first):
        (retry,) = retries()
        passing = [error for error in retry["ErrorEquals"] if error != SAGEMAKER_REFUSES]
        state["Retry"] = [{**retry, "ErrorEquals": passing}]
    return state


def sagemaker(action: str, arguments: Mapping[str, Any], **more: Any) -> State:
    """A call of SageMaker."""
    return task(f"aws-sdk:sagemaker:{action}", dict(arguments), **more)


def refused(following: str) -> State:
    """Catches what SageMaker refuses, to look at why."""
    return {"ErrorEquals": [SAGEMAKER_REFUSES], "Assign": caught(), "Next": following}


def failed(error: str, cause: str, *, following: str = FAILING) -> State:
    """A failure that the workflow itself has found; `cause` is a JSONata expression."""
    return {"Type": "Pass", "Assign": language.failed(error, cause), "Next": following}


def choose(*ways: tuple[str, str], default: str) -> State:
    """The state of the first condition (JSONata) that holds."""
    return language.choose(*(rule(condition, following) for condition, following in ways), default=default)


def pause(following: str) -> State:
    """Wait, longer each time, and count the seconds."""
    return {
        "Type": "Wait",
        "Seconds": "{% $wait %}",
        "Assign": {
            "waited": "{% $waited + $wait %}",
            "wait": f"{{% $min([$wait * 2, {_LONGEST_WAIT_SECONDS}]) %}}",
        },
        "Next": following,
    }


def fresh_pauses() -> dict[str, Any]:
    """The variables of `pause`, at the beginning of another thing to wait for."""
    return {"wait": _FIRST_WAIT_SECONDS, "waited": 0}


def get_item(parts: PromotionParts, item: Mapping[str, Any], **more: Any) -> State:
    """Read one item as it is now."""
    request = {"TableName": parts.table, "Key": dict(item), "ConsistentRead": True}
    return task("dynamodb:getItem", request, **more)


def put_item(
    parts: PromotionParts,
    item: Mapping[str, Any],
    condition: str,
    values: Mapping[str, Any] | None = None,
    **more: Any,
) -> State:
    """Write an item if the condition holds."""
    request: dict[str, Any] = {
        "TableName": parts.table,
        "Item": dict(item),
        "ConditionExpression": condition,
        **({"ExpressionAttributeValues": dict(values)} if values else {}),
    }
    return task("dynamodb:putItem", request, **more)


def update_deployment(parts: PromotionParts, attributes: Mapping[str, Any], **more: Any) -> State:
    """Set attributes of the deployment's record, while it is this execution's."""
    update = setting(attributes, condition="#execution_arn = :own", values={":own": {"S": "{% $own %}"}})
    return task("dynamodb:updateItem", {"TableName": parts.table, "Key": DEPLOYMENT, **update}, **more)


def remove_lock(parts: PromotionParts, holder: str, **more: Any) -> State:
    """Give the line back, if it is the holder's (a JSONata expression)."""
    request = {
        "TableName": parts.table,
        "Key": LOCK,
        "ConditionExpression": "execution_arn = :holder",
        "ExpressionAttributeValues": {":holder": {"S": f"{{% {holder} %}}"}},
    }
    return task("dynamodb:deleteItem", request, **more)


def announce(parts: PromotionParts, kind: str, detail: Mapping[str, Any], *, following: str) -> State:
    """Put an event of this kind on the platform's bus. What has happened stays so if nobody can be told."""
    common = {
        "deployment_id": "{% $deployment_id %}",
        "model_package_arn": "{% $package %}",
        "endpoint_name": "{% $endpoint %}",
        "reason": "{% $reason %}",
    }
    return language.announce(
        parts, kind, {**common, **detail}, following=following, on_error=following, keep_error=False
    )


def look_at_alarms(alarms: Sequence[str], **more: Any) -> dict[str, State]:
    """From BeginWatch to AllQuiet; `$ringing` names the alarms that ring. `more` is for `task`."""
    return {
        "BeginWatch": {"Type": "Pass", "Assign": fresh_pauses(), "Next": "LookAtAlarms"},
        "LookAtAlarms": task(
            "aws-sdk:cloudwatch:describeAlarms",
            {"AlarmNames": list(alarms), "StateValue": "ALARM"},
            assign={"ringing": "{% $join([$states.result.MetricAlarms.AlarmName], ', ') %}"},
            following="AllQuiet",
            **more,
        ),
    }
