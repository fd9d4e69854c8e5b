"""The IAM check: which statements break a rule, and which reasons are accepted for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from delivery.gate.iam import iam_check
from tests.delivery.gate import handmade
from tests.delivery.gate.handmade import REASON, STACK

POLICY = f"{STACK}/Role/DefaultPolicy/Resource"
ALLOW = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/key"}
ARN = {"Fn::GetAtt": ["Bucket", "Arn"]}
INSIDE = {"Fn::Join": ["", [ARN, "/models/*"]]}


def document(**statement: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{**ALLOW, **statement}]}


def identity(**statement: Any) -> dict[str, dict[str, Any]]:
    return {POLICY: {"Type": "AWS::IAM::Policy", "Properties": {"PolicyDocument": document(**statement)}}}


def bucket_policy(**statement: Any) -> dict[str, dict[str, Any]]:
    properties = {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": document(**statement)}
    return {
        f"{STACK}/Bucket/Resource": {"Type": "AWS::S3::Bucket"},
        f"{STACK}/Bucket/Policy/Resource": {"Type": "AWS::S3::BucketPolicy", "Properties": properties},
    }


def one(type: str, name: str, value: Any) -> dict[str, dict[str, Any]]:
    return {f"{STACK}/It/Resource": {"Type": type, "Properties": {name: value}}}


def found(folder: Path, resources: dict[str, dict[str, Any]], **given: Any) -> list[str]:
    check = iam_check(handmade.assembly(folder, resources=resources, **given))
    return [each.rule for each in check.open]


TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole"}
MODELS = "Models are keyed by their run, which does not exist yet"
ROLE = {"AWS": "arn:aws:iam::222222222222:role/reader"}


@pytest.mark.parametrize(
    ("resources", "rules"),
    [
        (identity(), []),
        (identity(Action="s3:Get*"), ["IAM-WildcardAction[s3:Get*]"]),
        (identity(Action=["s3:GetObject", "*"]), ["IAM-WildcardAction[*]"]),
        (identity(Action="s3:GetObjec?"), ["IAM-WildcardAction[s3:GetObjec?]"]),
        (identity(Resource="*"), ["IAM-WildcardResource[*]"]),
        (identity(Resource=["arn:aws:s3:::b/key", INSIDE]), ["IAM-WildcardResource[<Bucket.Arn>/models/*]"]),
        (identity(Effect="Deny", Action="*", Resource="*"), []),
        (identity(Resource=[], NotResource="arn:aws:s3:::b"), ["IAM-AllBut[NotResource]"]),
        (identity(Action=[], NotAction="iam:PassRole"), ["IAM-AllBut[NotAction]"]),
        # Inline policies of a role, its trust, and permissions of functions.
        (
            one("AWS::IAM::Role", "Policies", [{"PolicyDocument": document(Resource="*")}]),
            ["IAM-WildcardResource[*]"],
        ),
        (
            one("AWS::IAM::Role", "AssumeRolePolicyDocument", {"Statement": [{**TRUST, "Principal": "*"}]}),
            ["IAM-AnyPrincipal[*]"],
        ),
        (
            one("AWS::IAM::Role", "AssumeRolePolicyDocument", {"Statement": {**TRUST, "Principal": ROLE}}),
            [],
        ),
        (
            one(
                "AWS::IAM::Role",
                "AssumeRolePolicyDocument",
                {"Statement": [{**TRUST, "Action": "sts:*", "Principal": ROLE}]},
            ),
            ["IAM-WildcardAction[sts:*]"],
        ),
        (one("AWS::Lambda::Permission", "Principal", "*"), ["IAM-AnyPrincipal[*]"]),
        (one("AWS::Lambda::Permission", "Principal", "s3.amazonaws.com"), []),
        # In a key's policy `*` is the key; its actions are no different from others.
        (one("AWS::KMS::Key", "KeyPolicy", document(Resource="*", Principal=ROLE)), []),
        (
            one("AWS::KMS::Key", "KeyPolicy", document(Action="kms:*", Resource="*", Principal=ROLE)),
            ["IAM-WildcardAction[kms:*]"],
        ),
        # A bucket's own objects: the service of AWS that writes them names them; a role needs a reason.
        (bucket_policy(Resource=INSIDE, Principal={"Service": "logging.s3.amazonaws.com"}), []),
        (
            bucket_policy(Resource=INSIDE, Principal=ROLE),
            ["IAM-WildcardResource[<Bucket.Arn>/models/*]"],
        ),
        (
            bucket_policy(Resource="arn:aws:s3:::other/*", Principal={"Service": "s3.amazonaws.com"}),
            ["IAM-WildcardResource[arn:aws:s3:::other/*]"],
        ),
        # To everyone: a condition must say who calls; that it calls by TLS does not.
        (bucket_policy(Principal="*"), ["IAM-AnyPrincipal[*]"]),
        (bucket_policy(Principal={"AWS": "*"}), ["IAM-AnyPrincipal[*]"]),
        (
            bucket_policy(Principal="*", Condition={"Bool": {"aws:SecureTransport": "true"}}),
            ["IAM-AnyPrincipal[*]"],
        ),
        (bucket_policy(Principal="*", Condition={"StringEquals": {"AWS:SourceAccount": "1"}}), []),
        (
            bucket_policy(NotPrincipal=ROLE),
            ["IAM-AllBut[NotPrincipal]"],
        ),
        # Documents may be text, statements may lie in an event bus policy's own property.
        (
            one("AWS::Logs::ResourcePolicy", "PolicyDocument", '{"Statement": [{"Effect": "Allow", '
                '"Action": "logs:*", "Resource": "*", "Principal": {"Service": "es.amazonaws.com"}}]}'),
            ["IAM-WildcardAction[logs:*]"],
        ),
        (
            one("AWS::Events::EventBusPolicy", "Statement", {**ALLOW, "Action": "events:*"}),
            ["IAM-WildcardAction[events:*]"],
        ),
        # It limits what passes and grants nothing.
        (one("AWS::EC2::VPCEndpoint", "PolicyDocument", document(Action="*", Principal="*")), []),
    ],
)  # fmt: skip
def test_what_breaks_a_rule(tmp_path: Path, resources: dict[str, Any], rules: list[str]) -> None:
    assert found(tmp_path, resources) == rules


@pytest.mark.parametrize(
    "finding", ["IAM::IAM-WildcardResource[*]", "AwsSolutions::AwsSolutions-IAM5[Resource::*]"]
)
@pytest.mark.parametrize("at", [POLICY, f"{STACK}/Role"])
def test_one_reason_is_enough_at_the_construct_or_around_it(tmp_path: Path, finding: str, at: str) -> None:
    assert found(tmp_path, identity(Resource="*"), acknowledged=[(at, finding, REASON)]) == []


@pytest.mark.parametrize(
    ("at", "finding"),
    [
        (f"{STACK}/Role2", "IAM::IAM-WildcardResource[*]"),
        (POLICY, "IAM::IAM-WildcardResource[arn:*]"),
        (POLICY, "IAM::IAM-WildcardAction[*]"),
        (POLICY, "AwsSolutions::AwsSolutions-IAM5"),
    ],
)
def test_a_reason_for_something_else_is_none(tmp_path: Path, at: str, finding: str) -> None:
    resources = identity(Resource="*")
    assert found(tmp_path, resources, acknowledged=[(at, finding, REASON)]) == ["IAM-WildcardResource[*]"]


def test_a_reason_may_stand_in_metadata_for_some_actions_only(tmp_path: Path) -> None:
    mine = {"resource": INSIDE, "reason": MODELS, "actions": ["s3:GetObject"]}
    other = {"resource": INSIDE, "reason": MODELS + " too", "actions": ["s3:PutObject"]}
    resources = bucket_policy(Resource=INSIDE, Principal=ROLE)
    at = f"{STACK}/Bucket"
    check = iam_check(
        handmade.assembly(tmp_path / "1", resources=resources, reasons=[(at, other), (at, mine)])
    )
    assert [each.reason for each in check.findings] == [MODELS]
    assert found(tmp_path / "2", resources, reasons=[(at, other)]) != []


def test_an_open_statement_is_told_with_its_construct_and_cure(tmp_path: Path) -> None:
    (told,) = iam_check(handmade.assembly(tmp_path, resources=identity(Resource="*"))).open
    assert told.construct == POLICY
    assert "s3:GetObject on *" in told.says
    assert "name the resource" in told.cure


@pytest.mark.parametrize("reason", ["", "because", "Notanythingthatanybodywouldcallasentenceatall"])
def test_a_reason_in_metadata_must_be_a_sentence(tmp_path: Path, reason: str) -> None:
    given = [(POLICY, {"resource": "*", "reason": reason})]
    assert found(tmp_path, identity(Resource="*"), reasons=given) == ["IAM-WildcardResource[*]"]
