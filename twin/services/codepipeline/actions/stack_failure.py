"""Finds out why a stack operation failed: the resources that failed first, in CloudFormation's own words."""

from typing import Any

from twin import glue

_STACK = "AWS::CloudFormation::Stack"
_MOST = 3  # what follows the first failures is their consequence
_CONSEQUENCES = ("Resource creation cancelled", "Resource update cancelled")


def reasons(stack_id: str, account: str, region: str) -> str:
    """Return the causes of the stack's last operation in one line.

    It is the twin that looks, with the account's root: the acting role may not read events.
    """
    api = glue.client("cloudformation", glue.root_credentials(account), region)
    found: list[str] = []
    for event in api.describe_stack_events(StackName=stack_id)["StackEvents"]:  # newest first
        if event["ResourceType"] == _STACK:
            if event.get("ResourceStatusReason") == "User Initiated":
                break
            continue
        reason = event.get("ResourceStatusReason") or "no reason given"
        if event["ResourceStatus"].endswith("_FAILED") and not reason.startswith(_CONSEQUENCES):
            found.append(_line(event, reason))
    found.reverse()
    if not found:  # nothing was provisioned: the template did not pass validation
        events = api.describe_events(StackName=stack_id)["OperationEvents"]
        found = [
            _line(e, e["ValidationStatusReason"]) for e in events if e.get("ValidationStatus") == "FAILED"
        ]
    return "; ".join(dict.fromkeys(found[:_MOST])) or "CloudFormation gives no reason: see the stack's events"


def _line(event: dict[str, Any], reason: str) -> str:
    return f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
