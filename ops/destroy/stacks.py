"""Deletes stacks, newest first: what a stack builds on was there before it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from ops.destroy.estate import Estate, pages
from ops.faults import OperatorFault, is_absent

_POLL_SECONDS = 1.0
_GONE = "DELETE_COMPLETE"

Stack = dict[str, Any]
Tell = Callable[[str], None]


def owned(estate: Estate) -> list[Stack]:
    """The estate's stacks, newest first."""
    found = [
        stack
        for stack in pages(estate.client("cloudformation"), "describe_stacks", "Stacks")
        if estate.owns(stack["StackName"]) and stack["StackStatus"] != _GONE
    ]
    return sorted(found, key=lambda stack: stack["CreationTime"], reverse=True)


def delete_all(estate: Estate, tell: Tell) -> None:
    """Delete the estate's stacks one by one, without their protection.

    Raises OperatorFault for a stack that CloudFormation cannot delete, with its reason.
    """
    api = estate.client("cloudformation")
    for stack in owned(estate):
        name = stack["StackName"]
        if stack.get("EnableTerminationProtection"):
            tell(f"takes the termination protection off {name}")
            api.update_termination_protection(StackName=name, EnableTerminationProtection=False)
        tell(f"deletes stack {name}")
        delete(api, stack)


def delete(api: Any, stack: Stack) -> None:
    """Delete one stack and wait until it is gone. Raises OperatorFault."""
    name, key = stack["StackName"], stack["StackId"]
    # By its id: a stack that is gone answers to its id only.
    api.delete_stack(StackName=key)
    while True:
        try:
            (now,) = api.describe_stacks(StackName=key)["Stacks"]
        except ClientError as fault:
            if is_absent(fault):
                return
            raise
        status = now["StackStatus"]
        if status == _GONE:
            return
        if status == "DELETE_FAILED":
            raise OperatorFault(
                f"{name}: CloudFormation cannot delete it: {_why(api, key)}; "
                "mend that, then run destroy again"
            )
        time.sleep(_POLL_SECONDS)


def _why(api: Any, stack: str) -> str:
    for event in pages(api, "describe_stack_events", "StackEvents", StackName=stack):
        if event["ResourceStatus"] == "DELETE_FAILED" and event["PhysicalResourceId"] != stack:
            return f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
    return "it gives no reason"
