"""Who is trusted, what limits a role, and what resources let others do: changes that broaden that."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.dossier.permissions import compare
from tests.delivery.dossier.changes import DATA, INFERENCE, ROLE, gained, role, side, trusted
from tests.delivery.dossier.world import ACCOUNT, Templates, allow, resource, templates, trust


def test_newly_trusted_principal_broadens() -> None:
    other = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "222222222222"}}
    assert gained(trusted(trust("lambda.amazonaws.com"), other)) == [
        f"{ROLE} may now be assumed by account 222222222222"
    ]


def test_one_role_instead_of_its_whole_account_is_narrower_only_across_accounts() -> None:
    def principal(arn: str) -> dict[str, Any]:
        return {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": arn}}

    def named(account: str) -> list[str]:
        whole, one = f"arn:aws:iam::{account}:root", f"arn:aws:iam::{account}:role/build"
        return gained(trusted(principal(one)), trusted(principal(whole)))

    assert named("111111111111") == []
    assert len(named(ACCOUNT)) == 1


def test_managed_policy_of_aws_is_gained_as_a_whole() -> None:
    def change(planned: Templates) -> None:
        role(planned)["ManagedPolicyArns"] = ["arn:aws:iam::aws:policy/AdministratorAccess"]

    assert gained(change) == [
        f"{ROLE} may now do: everything that the managed policy "
        "arn:aws:iam::aws:policy/AdministratorAccess allows"
    ]


def test_lost_or_other_boundary_broadens() -> None:
    def bounded(planned: Templates) -> None:
        role(planned)["PermissionsBoundary"] = "arn:aws:iam::1:policy/a"

    def other(planned: Templates) -> None:
        role(planned)["PermissionsBoundary"] = "arn:aws:iam::1:policy/b"

    lost = gained(lambda planned: role(planned).pop("PermissionsBoundary"), bounded)
    assert lost == [f"{ROLE} no longer has the permissions boundary arn:aws:iam::1:policy/a"]
    assert "another permissions boundary" in gained(other, bounded)[0]


def test_function_that_works_as_a_stronger_role_broadens() -> None:
    def strong(planned: Templates) -> None:
        resources = planned[INFERENCE]["Resources"]
        resources["Strong"] = resource("AWS::IAM::Role", "Inference/Strong", role(planned))
        resources["Strong"]["Properties"]["Policies"] = [
            {"PolicyName": "p", "PolicyDocument": {"Statement": [allow("*", "*")]}}
        ]

    def use(planned: Templates) -> None:
        function = planned[INFERENCE]["Resources"]["Function"]["Properties"]
        function["Role"] = {"Fn::GetAtt": ["Strong", "Arn"]}

    assert gained(use, strong) == [
        "Function Predict/Function (vision-prod-inference) now works as role Strong (vision-prod-inference) "
        "instead of role Predict/Role (vision-prod-inference), and thereby may do more"
    ]


def test_bucket_that_no_longer_refuses_plain_connections_broadens() -> None:
    def change(planned: Templates) -> None:
        del planned[DATA]["Resources"]["BucketPolicy"]

    assert gained(change) == [
        "Bucket Images (vision-prod-data) no longer denies anybody: s3:*, if aws:SecureTransport is false"
    ]


def test_denial_that_goes_with_its_bucket_gives_nobody_anything() -> None:
    def change(planned: Templates) -> None:
        resources = planned[DATA]["Resources"]
        del resources["BucketPolicy"], resources["Bucket"]

    assert gained(change) == []


@pytest.mark.parametrize(
    ("type_name", "properties", "expected"),
    [
        (
            "AWS::Lambda::Permission",
            {"FunctionName": {"Ref": "Function"}, "Action": "lambda:InvokeFunction", "Principal": "*"},
            "Function Predict/Function (vision-prod-inference) now lets anybody do: lambda:InvokeFunction",
        ),
        (
            "AWS::KMS::Key",
            {"KeyPolicy": {"Statement": [allow("kms:*", "*", Principal={"AWS": "222222222222"})]}},
            "Key New (vision-prod-inference) now lets account 222222222222 do: kms:*",
        ),
        (
            "AWS::SQS::QueuePolicy",
            {
                "Queues": ["https://queue"],
                "PolicyDocument": {"Statement": [allow("sqs:SendMessage", "*", Principal="*")]},
            },
            "https://queue now lets anybody do: sqs:SendMessage",
        ),
        (
            "AWS::Logs::ResourcePolicy",
            {
                "PolicyDocument": '{"Statement":[{"Effect":"Allow","Action":"logs:PutLogEvents",'
                '"Resource":"*","Principal":{"Service":"es.amazonaws.com"}}]}'
            },
            "Resource policy New (vision-prod-inference) now lets the service es.amazonaws.com do: "
            "logs:PutLogEvents",
        ),
        (
            "AWS::ECR::Repository",
            {"RepositoryPolicyText": {"Statement": allow("ecr:BatchGetImage", "*", Principal={"AWS": "*"})}},
            "Image repository New (vision-prod-inference) now lets anybody do: ecr:BatchGetImage",
        ),
        (
            "AWS::Events::EventBusPolicy",
            {"EventBusName": "default", "Action": "events:PutEvents", "Principal": "222222222222"},
            "default now lets account 222222222222 do: events:PutEvents",
        ),
    ],
)
def test_every_kind_of_resource_policy_is_read(
    type_name: str, properties: dict[str, Any], expected: str
) -> None:
    def change(planned: Templates) -> None:
        planned[INFERENCE]["Resources"]["New"] = resource(type_name, "Inference/New", properties)

    assert gained(change) == [expected]


def test_nothing_is_broadened_where_nothing_was() -> None:
    found = compare(side({}), side(templates()), ACCOUNT)
    assert found.gained
    assert not found.broadened
