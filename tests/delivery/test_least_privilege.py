"""Narrowing: the CDK's wildcards are written out, and an unknown one stops the synthesis by name."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_iam as iam

from delivery.least_privilege import UnknownWildcardError, narrow
from tests.assembly import Assembly
from tests.delivery.access import actions_on_artifacts


def policy(stack: Stack, *statements: iam.PolicyStatement) -> iam.CfnPolicy:
    principal: Any = iam.ServicePrincipal("codebuild.amazonaws.com")
    role = iam.Role(stack, "Role", assumed_by=principal)
    for statement in statements:
        role.add_to_policy(statement)
    (found,) = [node for node in stack.node.find_all() if isinstance(node, iam.CfnPolicy)]
    return found


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def document(stack: Stack, found: iam.CfnPolicy) -> list[dict[str, Any]]:
    return stack.resolve(found.policy_document)["Statement"]


def test_wildcard_actions_become_the_actions_in_use(stack: Stack) -> None:
    found = policy(
        stack, iam.PolicyStatement(actions=["s3:GetObject*"], resources=["arn:aws:s3:::artifacts/x"])
    )
    narrow(stack)
    assert document(stack, found)[0]["Action"] == ["s3:GetObject", "s3:GetObjectVersion"]


def test_an_unknown_wildcard_is_named(stack: Stack) -> None:
    policy(stack, iam.PolicyStatement(actions=["sns:*"], resources=["arn:aws:sns:x:1:y"]))
    with pytest.raises(UnknownWildcardError, match=r"sns:\*: the CDK grants this wildcard"):
        narrow(stack)


def test_logs_that_nobody_writes_cannot_be_written(assembly: Assembly) -> None:
    for statement in assembly.statements(stack="vision-delivery"):
        assert not [each for each in statement.resources if "/aws/codebuild/" in each]


def test_test_reports_are_written_by_smoke_steps_alone(assembly: Assembly) -> None:
    owners = {
        statement.owner.logical_id
        for statement in assembly.statements(stack="vision-delivery")
        if "codebuild:CreateReport" in statement.actions
    }
    assert len(owners) == 3
    assert all("SmokeRole" in owner for owner in owners)


@pytest.mark.parametrize("role", ["SmokeRole", "DossierRole"])
def test_what_runs_before_a_deployment_cannot_change_what_is_deployed(assembly: Assembly, role: str) -> None:
    actions = actions_on_artifacts(assembly, role)
    assert actions
    assert all(action.startswith(("s3:Get", "s3:List")) for action in actions)


def test_the_build_writes_what_is_deployed(assembly: Assembly) -> None:
    assert "s3:PutObject" in actions_on_artifacts(assembly, "BuildSynth")


def test_publishing_assets_starts_no_builds(assembly: Assembly) -> None:
    starting = {
        statement.owner.logical_id
        for statement in assembly.statements(stack="vision-delivery")
        if "codebuild:StartBuild" in statement.actions
    }
    assert len(starting) == 1
    assert starting.pop().startswith("PipelineRoleDefaultPolicy")


def test_the_connection_may_be_used_under_both_names_of_its_service(assembly: Assembly) -> None:
    actions = {
        action
        for statement in assembly.statements(role="PipelineRole", stack="vision-delivery")
        for action in statement.actions
        if action.endswith(":UseConnection")
    }
    assert actions == {"codestar-connections:UseConnection", "codeconnections:UseConnection"}
