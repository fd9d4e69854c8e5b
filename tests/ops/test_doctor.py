"""The doctor finds each fault by its name, in a twin where it was really made, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from ops.access import Access
from ops.doctor.examination import examine
from ops.doctor.findings import Finding, Verdict
from tests.ops.conftest import DEV, REGION, STAGING, TOOLING, Twin

pytestmark = pytest.mark.twin

CONNECTION = f"arn:aws:codeconnections:{REGION}:{TOOLING}:connection/00000000-0000-0000-0000-000000000000"
Checkout = Callable[..., Path]
Seed = Callable[[Twin, Checkout], AbstractContextManager[Path]]


def faults(root: Path, profiles: dict[str, str] | None = None) -> list[Finding]:
    found = examine(root, lambda deployment: Access(deployment, profiles or {}))
    return [each for each in found if each.verdict is Verdict.FAULT]


def environment(name: str, account: str, region: str = REGION, **more: Any) -> dict[str, Any]:
    return {"name": name, "account": account, "region": region, **more}


# ---- the faults, each really made


@contextmanager
def account_without_bootstrap(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    yield checkout(environments=[environment("dev", DEV), environment("staging", "555555555555")])


@contextmanager
def old_bootstrap(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    ssm, name = twin.client("ssm", DEV), "/cdk-bootstrap/hnb659fds/version"
    before = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    ssm.put_parameter(Name=name, Value="5", Type="String", Overwrite=True)
    yield checkout()
    ssm.put_parameter(Name=name, Value=before, Type="String", Overwrite=True)


@contextmanager
def no_trust(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    iam, role = twin.client("iam", STAGING), f"cdk-hnb659fds-deploy-role-{STAGING}-{REGION}"
    before = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    own = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": STAGING}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [own]})
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=document)
    yield checkout()
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(before))


@contextmanager
def no_execution_policy(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    policy = {
        "RoleName": f"cdk-hnb659fds-cfn-exec-role-{DEV}-{REGION}",
        "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess",
    }
    twin.client("iam", DEV).detach_role_policy(**policy)
    yield checkout()
    twin.client("iam", DEV).attach_role_policy(**policy)


@contextmanager
def asset_bucket_gone(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    s3, bucket = twin.client("s3", STAGING), f"cdk-hnb659fds-assets-{STAGING}-{REGION}"
    s3.delete_bucket(Bucket=bucket)
    yield checkout()
    s3.create_bucket(Bucket=bucket)


@contextmanager
def handshake_not_done(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    twin.post(f"connections?{urlencode({'arn': CONNECTION, 'status': 'PENDING'})}")
    yield checkout()
    twin.post(f"connections?{urlencode({'arn': CONNECTION, 'status': 'AVAILABLE'})}")


@contextmanager
def no_connection(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    source = {
        "kind": "connection",
        "repository": "example/vision-platform",
        "connection_arn": CONNECTION[:-1] + "9",
    }
    yield checkout(source=source)


@contextmanager
def source_without_versions(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    twin.client("s3").create_bucket(Bucket="sources-without-versions")
    yield checkout(source={"kind": "s3", "bucket": "sources-without-versions", "key": "source.zip"})


@contextmanager
def quota_too_low(
    twin: Twin, checkout: Checkout, account: str = DEV, service: str = "sagemaker", name: str = ""
) -> Iterator[Path]:
    quota = {
        "account": account,
        "region": REGION,
        "service": service,
        "name": name or "ml.c7i.xlarge for training job usage",
    }
    twin.post(f"quotas?{urlencode({**quota, 'value': 0})}")
    yield checkout()
    twin.post(f"quotas?{urlencode({**quota, 'value': 20})}")


def few_builds(twin: Twin, checkout: Checkout) -> AbstractContextManager[Path]:
    name = "Concurrently running builds for ARM/Small environment"
    return quota_too_low(twin, checkout, TOOLING, "codebuild", name)


@contextmanager
def more_concurrency_than_there_is(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    yield checkout(environments=[environment("dev", DEV, api={"reserved_concurrency": 5000})])


@contextmanager
def failed_first_deployment(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    api, name = twin.client("cloudformation", DEV), "vision-dev-monitoring"
    template = {
        "Resources": {
            "Topic": {"Type": "AWS::SNS::Topic"},
            "Broken": {
                "Type": "AWS::Lambda::Function",
                "Properties": {"Role": "nobody", "Code": {"S3Bucket": "none", "S3Key": "none"}},
                "DependsOn": "Topic",
            },
        }
    }
    api.create_stack(StackName=name, TemplateBody=json.dumps(template))
    # The SDK's waiter knows the rollbacks of updates only.
    until = time.monotonic() + 30
    while api.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] != "ROLLBACK_COMPLETE":
        assert time.monotonic() < until, api.describe_stacks(StackName=name)
        time.sleep(0.2)
    yield checkout()
    api.delete_stack(StackName=name)


@contextmanager
def closed_transition(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    api, name = twin.client("codepipeline"), "vision-delivery"
    api.create_pipeline(pipeline=pipeline(twin, name))
    api.disable_stage_transition(
        pipelineName=name, stageName="Prod", transitionType="Inbound", reason="holidays"
    )
    yield checkout()
    api.delete_pipeline(name=name)


@contextmanager
def misspelt_setting(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    yield checkout(enviroments=[])


@contextmanager
def unknown_region(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    yield checkout(environments=[environment("dev", DEV), environment("moon", STAGING, "us-moon-1")])


@contextmanager
def another_cli(twin: Twin, checkout: Checkout) -> Iterator[Path]:
    root = checkout()
    lock = json.loads((root / "package-lock.json").read_text())
    lock["packages"]["node_modules/aws-cdk"]["version"] = "2.1.0"
    (root / "package-lock.json").unlink()
    (root / "package-lock.json").write_text(json.dumps(lock))
    yield root


# ---- each is found


@pytest.mark.parametrize(
    ("seed", "name", "where"),
    [
        (account_without_bootstrap, "bootstrap-missing", "staging"),
        (old_bootstrap, "bootstrap-outdated", "dev"),
        (no_trust, "bootstrap-trust-missing", "staging"),
        (no_execution_policy, "bootstrap-policy-missing", "dev"),
        (asset_bucket_gone, "bootstrap-bucket-missing", "staging"),
        (handshake_not_done, "connection-pending", "tooling"),
        (no_connection, "connection-missing", "tooling"),
        (source_without_versions, "source-bucket-unversioned", "tooling"),
        (quota_too_low, "quota-sagemaker", "dev"),
        (few_builds, "quota-codebuild", "tooling"),
        (more_concurrency_than_there_is, "quota-lambda-concurrency", "dev"),
        (failed_first_deployment, "stack-rollback-complete", "dev"),
        (closed_transition, "transition-disabled", "tooling"),
        (misspelt_setting, "settings-invalid", "cdk.json"),
        (another_cli, "version-cdk-cli", "node_modules"),
    ],
)
def test_a_fault_is_found_by_its_name_and_nothing_else(
    root_of: Twin, checkout: Checkout, seed: Seed, name: str, where: str
) -> None:
    with seed(root_of, checkout) as root:
        found = faults(root)
    assert [each.name for each in found] == [name], found
    assert where in found[0].where
    assert found[0].cure, "a fault without a cure helps nobody"


def test_a_region_that_does_not_exist_is_found(root_of: Twin, checkout: Checkout) -> None:
    with unknown_region(root_of, checkout) as root:
        found = faults(root)
    assert ("region-unknown", True) in [(each.name, "us-moon-1" in each.where) for each in found]


def test_nothing_is_found_where_nothing_is_wrong(root_of: Twin, checkout: Checkout) -> None:
    assert faults(checkout()) == []


def test_credentials_of_another_account_are_found(
    root_of: Twin, checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = root_of.client("iam", STAGING)
    user.create_user(UserName="somebody")
    key = user.create_access_key(UserName="somebody")["AccessKey"]
    profiles = tmp_path / "credentials"
    profiles.write_text(
        f"[mine]\naws_access_key_id={key['AccessKeyId']}\naws_secret_access_key={key['SecretAccessKey']}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profiles))
    (found,) = faults(checkout(), {"dev": "mine"})
    assert found.name == "credentials"
    assert f"profile 'mine' is of account {STAGING}" in found.what


def test_what_the_endpoint_does_not_offer_is_neither_well_nor_wrong() -> None:
    from botocore.exceptions import ClientError

    from ops.doctor.findings import unanswered

    answer: Any = {"Error": {"Code": "400"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    found = unanswered("quota", "dev", "service-quotas", ClientError(answer, "ListServiceQuotas"))
    assert found.verdict is Verdict.NOT_CHECKED
    assert found.what == "not checked: the endpoint does not offer service-quotas"


def pipeline(twin: Twin, name: str) -> dict[str, Any]:
    """A pipeline with a source that never comes, and one stage behind it."""
    iam = twin.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "codepipeline.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    if not any(each["RoleName"] == name for each in iam.list_roles()["Roles"]):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    source = {
        "name": "Source",
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
        "configuration": {"S3Bucket": "nowhere", "S3ObjectKey": "source.zip"},
        "outputArtifacts": [{"name": "source"}],
    }
    approval = {
        "name": "Promote",
        "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
    }
    return {
        "name": name,
        "roleArn": f"arn:aws:iam::{TOOLING}:role/{name}",
        "artifactStore": {"type": "S3", "location": "nowhere"},
        "stages": [{"name": "Source", "actions": [source]}, {"name": "Prod", "actions": [approval]}],
        "pipelineType": "V2",
        "executionMode": "QUEUED",
    }
