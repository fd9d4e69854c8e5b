"""Least privilege: no wildcard action anywhere, and wildcard resources only where a reason is written."""

from __future__ import annotations

import json
from collections import Counter
from typing import cast

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Template

from tests.assembly import Assembly, allowed
from vision_platform.permissions import AccountLevel, allow, service_role

# Actions for which AWS knows no resource. Each grant of them states the reason beside it.
WITHOUT_RESOURCE = {
    "cloudwatch:GetMetricData",
    "cloudwatch:PutMetricData",
    # Creating and deleting could name subnets and groups, but not the interfaces, whose ids are not known.
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ecr:GetAuthorizationToken",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "sagemaker:ListEndpointConfigs",
    "sagemaker:ListModelPackages",
    "sagemaker:ListModels",
    "xray:BatchGetTraces",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
# What API Gateway wants its logging role to do on all log groups.
OF_THE_GATEWAY = {
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:FilterLogEvents",
    "logs:GetLogEvents",
    "logs:PutLogEvents",
}


def test_no_identity_policy_grants_an_action_by_wildcard(assembly: Assembly) -> None:
    found = [
        (statement.owner.logical_id, action)
        for statement in assembly.statements()
        for action in statement.actions
        if "*" in action
    ]
    assert found == []


def test_no_bucket_policy_grants_an_action_by_wildcard(assembly: Assembly) -> None:
    for policy in assembly.resources("AWS::S3::BucketPolicy"):
        for statement in allowed(policy, policy.properties["PolicyDocument"]):
            assert not [action for action in statement.actions if "*" in action], policy.logical_id


def test_only_actions_without_a_resource_are_granted_on_everything(assembly: Assembly) -> None:
    for statement in assembly.statements():
        if "*" in statement.resources:
            gateway = "ApiLogging" in statement.owner.logical_id
            assert set(statement.actions) <= WITHOUT_RESOURCE | (OF_THE_GATEWAY if gateway else set()), (
                statement
            )


def test_self_mutation_takes_the_roles_that_deploy_the_pipeline_and_no_others(assembly: Assembly) -> None:
    taken = {
        resource
        for statement in assembly.statements(role="SelfMutation", stack="vision-delivery")
        if "sts:AssumeRole" in statement.actions
        for resource in statement.resources
    }
    place = "111111111111-us-east-1"
    assert taken == {
        f"arn:aws:iam::111111111111:role/cdk-hnb659fds-{kind}-role-{place}"
        for kind in ("deploy", "file-publishing")
    }


def test_permissions_stand_in_managed_policies(assembly: Assembly) -> None:
    assert not assembly.resources("AWS::IAM::Policy")
    for role in assembly.resources("AWS::IAM::Role"):
        assert not role.properties.get("Policies"), role.logical_id
        assert not role.properties.get("ManagedPolicyArns"), role.logical_id


def test_policies_keep_within_the_limits_of_iam_and_s3(assembly: Assembly) -> None:
    policies = Counter[str]()
    for policy in assembly.resources("AWS::IAM::ManagedPolicy"):
        # References become longer: a name of 64 characters in an ARN at most.
        assert len(json.dumps(policy.properties["PolicyDocument"], separators=(",", ":"))) < 6_144
        policies.update(
            f"{policy.stack.rsplit('-', 1)[0]}/{role}" for role in map(str, policy.properties["Roles"])
        )
    assert max(policies.values()) <= 10
    for policy in assembly.resources("AWS::S3::BucketPolicy"):
        assert len(json.dumps(policy.properties["PolicyDocument"], separators=(",", ":"))) < 20_480


def test_roles_are_passed_to_sagemaker_only(assembly: Assembly) -> None:
    passing = [each for each in assembly.statements() if "iam:PassRole" in each.actions]
    # The training and the promotion workflow, in three environments.
    assert len(passing) == 6
    for statement in passing:
        assert statement.condition == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
        assert not [resource for resource in statement.resources if "*" in resource]


def test_no_environment_reaches_into_another(assembly: Assembly) -> None:
    accounts = {"dev": "222222222222", "staging": "333333333333", "prod": "444444444444"}
    for environment, own in accounts.items():
        for statement in assembly.statements(stack=f"vision-{environment}"):
            text = " ".join(statement.resources)
            assert not [each for each in accounts.values() if each != own and each in text]


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def test_a_wildcard_action_cannot_be_granted(stack: Stack) -> None:
    role = service_role(stack, "Role", service="lambda.amazonaws.com", description="test")
    with pytest.raises(ValueError, match=r"s3:Get\*: write the actions out"):
        allow(role, ["s3:Get*"], ["arn:aws:s3:::bucket"])


def test_a_wildcard_resource_cannot_be_granted_without_a_reason(stack: Stack) -> None:
    role = service_role(stack, "Role", service="lambda.amazonaws.com", description="test")
    with pytest.raises(ValueError, match="a wildcard resource needs a reason"):
        allow(role, ["s3:GetObject"], ["arn:aws:s3:::bucket/*"])


def test_roles_that_share_a_policy_must_be_given_the_same(stack: Stack) -> None:
    shared = AccountLevel(stack, "Shared")
    for name, actions in {"One": ["xray:PutTraceSegments"], "Two": ["ecr:GetAuthorizationToken"]}.items():
        role = service_role(
            stack,
            name,
            service="lambda.amazonaws.com",
            description="test",
            account_level=shared,
            shared_policy="Both",
        )
        allow(role, actions, ["*"], because="for the test")
    with pytest.raises(RuntimeError, match="Stack/One, Stack/Two share the policy Both"):
        cast("App", stack.node.root).synth()


def test_services_that_say_for_whom_they_act_are_held_to_this_account(assembly: Assembly) -> None:
    for role in assembly.resources("AWS::IAM::Role", stack="vision-dev"):
        (statement,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        service = statement["Principal"].get("Service")
        if service in {"sagemaker.amazonaws.com", "states.amazonaws.com"}:
            assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "222222222222"}}


def test_roles_that_name_the_same_pattern_share_one_acknowledgement_and_no_policy() -> None:
    stack = Stack(App(), "S")
    level = AccountLevel(stack, "AccountLevel")
    first, second = (
        service_role(stack, id, service="lambda.amazonaws.com", description="test", account_level=level)
        for id in ("First", "Second")
    )
    pattern = "arn:aws:sagemaker:us-east-1:222222222222:training-job/team-*"
    allow(first, ["sagemaker:StopTrainingJob"], [pattern], because="named after runs", by_name=True)
    allow(second, ["sagemaker:DescribeTrainingJob"], [pattern], because="named after runs", by_name=True)

    template = Template.from_stack(stack).to_json()["Resources"].values()
    policies = [each for each in template if each["Type"] == "AWS::IAM::ManagedPolicy"]
    assert sorted(each["Properties"]["PolicyDocument"]["Statement"][0]["Action"] for each in policies) == [
        "sagemaker:DescribeTrainingJob",
        "sagemaker:StopTrainingJob",
    ]
    assert all(len(each["Properties"]["Roles"]) == 1 for each in policies)


def test_only_patterns_are_granted_by_name() -> None:
    role = service_role(Stack(App(), "S"), "R", service="lambda.amazonaws.com", description="test")
    with pytest.raises(ValueError, match="by_name is for patterns"):
        allow(role, ["sqs:SendMessage"], ["arn:aws:sqs:us-east-1:1:q"], because="any", by_name=True)
