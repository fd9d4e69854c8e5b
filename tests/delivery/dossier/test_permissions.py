"""What counts as a broadened permission of a role: policies are compared by what they mean."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.dossier.model import Permissions
from tests.delivery.dossier.changes import (
    DATA,
    INFERENCE,
    ROLE,
    add,
    changed,
    gained,
    instead,
    role,
    statements,
)
from tests.delivery.dossier.world import ACCOUNT, REGION, Templates, allow, resource


def test_new_action_is_told_in_words() -> None:
    assert gained(add(allow("s3:GetObject", {"Fn::Sub": "arn:aws:s3:::x/${AWS::Region}/*"}))) == [
        f"{ROLE} may now do: s3:GetObject on arn:aws:s3:::x/us-east-1/*"
    ]


def test_actions_and_resources_of_one_statement_are_one_sentence() -> None:
    assert gained(add(allow(["s3:GetObject", "s3:PutObject"], ["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"]))) == [
        f"{ROLE} may now do: s3:GetObject and s3:PutObject on arn:aws:s3:::a/* and arn:aws:s3:::b/*"
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            [allow(["a:X", "a:Y"], "r")], [allow("a:y", "r"), allow("A:X", ["r"])], id="split, respelled"
        ),
        pytest.param([allow("a:*", "*")], [allow("a:Get*", "r"), allow("a:X", "q")], id="within a wildcard"),
        pytest.param(
            [allow("a:X", "r")],
            [allow("a:X", "r", Condition={"Bool": {"aws:SecureTransport": "true"}})],
            id="condition added",
        ),
        pytest.param(
            [allow("a:X", "r", Condition={"StringLike": {"k": ["a/*", "b/*"]}})],
            [allow("a:X", "r", Condition={"StringLike": {"K": "a/b/*"}})],
            id="condition narrowed",
        ),
        pytest.param(
            [allow("a:X", "r", Condition={"StringNotEquals": {"k": "a"}})],
            [allow("a:X", "r", Condition={"StringNotEquals": {"k": ["a", "b"]}})],
            id="negated condition with one more value",
        ),
        pytest.param(
            [{"Effect": "Allow", "NotAction": ["a:X", "a:Y"], "Resource": "*"}],
            [{"Effect": "Allow", "NotAction": ["a:*"], "Resource": "*"}, allow("b:Z", "r")],
            id="less but exceptions",
        ),
        pytest.param(
            [allow("a:X", f"arn:aws:s3:::cdk-hnb659fds-assets-{ACCOUNT}-{REGION}/{'a' * 64}.zip")],
            [allow("a:X", f"arn:aws:s3:::cdk-hnb659fds-assets-{ACCOUNT}-{REGION}/{'b' * 64}.zip")],
            id="other content of an asset",
        ),
    ],
)
def test_what_was_allowed_already_is_not_gained(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    assert gained(instead(*after), instead(*before)) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([allow("a:Get*", "r")], [allow("a:*", "r")], id="wildcard grows"),
        pytest.param([allow("a:Get?", "r")], [allow("a:Get*", "r")], id="question mark becomes a star"),
        pytest.param([allow("a:X", "r/1*")], [allow("a:X", "r/*")], id="resource grows"),
        pytest.param(
            [allow("a:X", "r", Condition={"StringEquals": {"k": "a"}})],
            [allow("a:X", "r", Condition={"StringEquals": {"k": ["a", "b"]}})],
            id="condition with one more value",
        ),
        pytest.param(
            [allow("a:X", "r", Condition={"StringNotEquals": {"k": ["a", "b"]}})],
            [allow("a:X", "r", Condition={"StringNotEquals": {"k": "a"}})],
            id="negated condition with one value less",
        ),
        pytest.param(
            [allow("a:X", "r", Condition={"StringEquals": {"k": "a"}})],
            [allow("a:X", "r", Condition={"StringEqualsIfExists": {"k": "a"}})],
            id="condition only if given",
        ),
        pytest.param(
            [{"Effect": "Allow", "NotAction": ["a:X", "a:Y"], "Resource": "*"}],
            [{"Effect": "Allow", "NotAction": ["a:X"], "Resource": "*"}],
            id="one exception less",
        ),
        pytest.param(
            [{"Fn::If": ["Small", allow("a:X", "r"), {"Ref": "AWS::NoValue"}]}],
            [allow("a:X", "r")],
            id="condition of the template lost",
        ),
    ],
)
def test_what_grows_is_gained(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    found = changed(instead(*after), instead(*before))
    assert len(found.gained) == 1
    assert found.broadened


def test_lost_condition_is_named() -> None:
    limited = allow("a:X", "r", Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}})
    assert gained(instead(allow("a:X", "r")), instead(limited)) == [
        f"{ROLE} may now do: a:X on r (before only if aws:SourceAccount is {ACCOUNT})"
    ]


def test_lost_denial_broadens_and_a_new_one_does_not() -> None:
    denied = {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}
    lost = changed(lambda planned: statements(planned).remove(denied), add(denied))
    assert [each.sentence for each in lost.gained] == [f"{ROLE} is no longer denied: s3:* on any resource"]
    new = changed(add(denied))
    assert (new.gained, [each.sentence for each in new.lost]) == (
        (),
        [f"{ROLE} is now denied: s3:* on any resource"],
    )


def test_less_is_lost_and_does_not_broaden() -> None:
    found = changed(instead())
    assert not found.broadened
    assert [each.sentence for each in found.lost] == [
        f"{ROLE} may no longer do: dynamodb:PutItem on table Lineage/Table (vision-prod-data)"
    ]


def test_permission_may_move_to_another_policy_of_the_role() -> None:
    def change(planned: Templates) -> None:
        resources = planned[INFERENCE]["Resources"]
        policy = resources.pop("RolePolicy")["Properties"]
        named = {"Ref": "Role"}
        managed = {"PolicyDocument": policy["PolicyDocument"], "Roles": [named]}
        resources["Other"] = {"Type": "AWS::IAM::ManagedPolicy", "Properties": managed}

    def inline(planned: Templates) -> None:
        policy = planned[INFERENCE]["Resources"].pop("RolePolicy")["Properties"]
        role(planned)["Policies"] = [{"PolicyName": "p", "PolicyDocument": policy["PolicyDocument"]}]

    def attached(planned: Templates) -> None:
        policy = planned[INFERENCE]["Resources"]["RolePolicy"]
        policy["Type"] = "AWS::IAM::ManagedPolicy"
        del policy["Properties"]["Roles"]
        role(planned)["ManagedPolicyArns"] = [{"Ref": "RolePolicy"}]

    for each in (change, inline, attached):
        assert changed(each) == Permissions()


def test_named_role_is_the_same_under_another_logical_id_and_in_another_stack() -> None:
    def name(planned: Templates) -> None:
        role(planned)["RoleName"] = "vision-predict"

    def move(planned: Templates) -> None:
        resources = planned[INFERENCE]["Resources"]
        planned[DATA]["Resources"]["Identity"] = resources.pop("Role")
        resources["RolePolicy"]["Properties"]["Roles"] = ["vision-predict"]
        resources["Function"]["Properties"]["Role"] = f"arn:aws:iam::{ACCOUNT}:role/vision-predict"

    assert [each for each in gained(move, name) if "works as" not in each] == []


def test_same_permission_of_another_role_is_gained() -> None:
    def change(planned: Templates) -> None:
        resources = planned[INFERENCE]["Resources"]
        resources["Second"] = resource("AWS::IAM::Role", "Inference/Second", role(planned))
        resources["RolePolicy"]["Properties"]["Roles"].append({"Ref": "Second"})

    assert gained(change) == [
        "Role Second (vision-prod-inference) may now do: dynamodb:PutItem on table Lineage/Table "
        "(vision-prod-data)",
        "Role Second (vision-prod-inference) may now be assumed by the service lambda.amazonaws.com",
    ]
