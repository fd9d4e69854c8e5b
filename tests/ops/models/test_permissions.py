"""Granted against used: what a role has never done stands in the table, with the reason or without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.permissions.reasons import REASONS, reason_for
from tests.ops.conftest import DEV, Twin

pytestmark = pytest.mark.twin
ACTIONS = ["s3:ListAllMyBuckets", "sqs:SendMessage", "sns:Publish"]


@pytest.fixture(scope="module")
def role(deployed: Twin) -> str:
    """A role of the environment that may do three things, and has done one."""
    iam = deployed.client("iam", DEV)
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": DEV}}
    arn = iam.create_role(
        RoleName="vision-dev-Tester0A1B2C3D4E5F",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": ACTIONS, "Resource": "*"}
    iam.put_role_policy(
        RoleName="vision-dev-Tester0A1B2C3D4E5F",
        PolicyName="Own",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )
    keys = deployed.client("sts", DEV).assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    deployed.client("s3", keys).list_buckets()
    return str(arn)


def test_what_was_not_used_is_told_with_its_reason(role: str, command: Callable[..., Any]) -> None:
    done = command("permissions", "--json")
    found = {each["action"]: each for each in json.loads(done.stdout) if "Tester" in each["role"]}
    assert set(found) == set(ACTIONS)
    assert found["s3:ListAllMyBuckets"]["used"]
    assert found["sqs:SendMessage"]["used"] is None and found["sqs:SendMessage"]["reason"]
    assert found["sns:Publish"]["open"]
    assert done.exit_code == 1, "something is unused without a reason"


def test_the_page_counts_and_lists(role: str, command: Callable[..., Any], tmp_path: Path) -> None:
    command("permissions", "--write", str(tmp_path / "permissions.md"))
    page = (tmp_path / "permissions.md").read_text()
    (line,) = [each for each in page.splitlines() if "Tester" in each and each.count("|") == 6]
    assert line.endswith("| 3 | 1 | 1 | 1 |")
    assert "`sns:Publish` | none: take it out" in page


def test_a_reason_is_for_its_role_and_action_only() -> None:
    assert reason_for("vision-dev-foundation-Aftermath", "dynamodb:Query")
    assert not reason_for("vision-dev-foundation-Predict", "dynamodb:Query")
    assert all(" " in why and actions for _, actions, why in REASONS)
