"""Stacks that tests of the twin deploy: made from a few resources, and waited for until they stand still."""

import json
import time
from typing import Any

from botocore.exceptions import ClientError

ACCOUNT = "666666666666"
ASSUMED_BY_CLOUDFORMATION = {
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "cloudformation.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ]
}


def wait(cloudformation: Any, stack: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        if not found["StackStatus"].endswith("_IN_PROGRESS"):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{stack} is still {found['StackStatus']}")


def gone(cloudformation: Any, stack: str) -> None:
    """Waits until a stack that is being deleted is no more."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if wait(cloudformation, stack)["StackStatus"] == "DELETE_COMPLETE":
                return
        except ClientError as fault:
            assert "does not exist" in str(fault)
            return
        time.sleep(0.05)
    raise AssertionError(f"{stack} is still there")


def failures(cloudformation: Any, stack: str) -> str:
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    return "; ".join(
        e.get("ResourceStatusReason", "") for e in events if e["ResourceStatus"].endswith("_FAILED")
    )


def create(twin: Any, stack: str, account: str = ACCOUNT, **resources: Any) -> dict[str, Any]:
    cloudformation = twin.client("cloudformation", account)
    cloudformation.create_stack(
        StackName=stack,
        TemplateBody=json.dumps({"Resources": resources}),
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    return {**wait(cloudformation, stack), "why": failures(cloudformation, stack)}


def physical(twin: Any, stack: str, logical_id: str, account: str = ACCOUNT) -> str:
    cloudformation = twin.client("cloudformation", account)
    found = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
    return found["StackResourceDetail"]["PhysicalResourceId"]
