"""A dossier of real stacks: deployed, changed, compared by change sets, and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from delivery.dossier.model import Action, Basis, Dossier
from tests.delivery.dossier.world import TAGS, Templates, allow, trust, write_assembly
from tests.twin.conftest import SERVER_PYTHON, Twin, start_twin

pytestmark = pytest.mark.twin
ROOT = Path(__file__).resolve().parents[3]
ACCOUNT, TOOLING, REGION = "444444444444", "111111111111", "us-east-1"
REPORTS, PIPELINE, STACK = "vision-reports", "vision-delivery", "vision-prod-data"
LOOKUP, DOSSIER, STEP = "lookup", "vision-prod-dossier", "vision-delivery-prod-dossier"


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    running = start_twin(tmp_path_factory.mktemp("dossier-twin"))
    yield running
    running.stop()


def template() -> dict[str, Any]:
    return {
        "Resources": {
            "Table": {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    "TableName": "lineage",
                    "BillingMode": "PAY_PER_REQUEST",
                    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                },
            },
            "Images": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "vision-prod-images"}},
            "Reader": {
                "Type": "AWS::IAM::Role",
                "Properties": {"AssumeRolePolicyDocument": {"Statement": [trust("lambda.amazonaws.com")]}},
            },
            "ReaderPolicy": {
                "Type": "AWS::IAM::Policy",
                "Properties": {
                    "PolicyName": "reader",
                    "Roles": [{"Ref": "Reader"}],
                    "PolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [allow("dynamodb:GetItem", {"Fn::GetAtt": ["Table", "Arn"]})],
                    },
                },
            },
        }
    }


def role(iam: Any, name: str, trusted: dict[str, Any], *statements: dict[str, Any]) -> str:
    document = {"Version": "2012-10-17", "Statement": [{**trusted, "Effect": "Allow"}]}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    return made["Role"]["Arn"]


@pytest.fixture(scope="module")
def place(twin: Twin) -> dict[str, str]:
    """The accounts as they are before a dossier: reports, a pipeline that ran once, roles, and the stack."""
    twin.client("s3").create_bucket(Bucket=REPORTS)
    step = role(
        twin.client("iam"),
        STEP,
        {"Action": "sts:AssumeRole", "Principal": {"Service": "codebuild.amazonaws.com"}},
        allow("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/*"),
        allow(
            [
                f"codepipeline:{action}"
                for action in ("ListPipelineExecutions", "GetPipelineExecution", "GetPipeline")
            ],
            f"arn:aws:codepipeline:{REGION}:{TOOLING}:{PIPELINE}",
        ),
        allow(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{REPORTS}/*"),
        allow("s3:ListBucket", f"arn:aws:s3:::{REPORTS}"),
    )
    trusted = {"Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{TOOLING}:root"}}
    iam = twin.client("iam", ACCOUNT)
    lookup = role(iam, LOOKUP, trusted, allow(["cloudformation:Describe*", "cloudformation:Get*"], "*"))
    changes = ["CreateChangeSet", "DescribeChangeSet", "DeleteChangeSet", "DescribeStacks"]
    dossier = role(
        iam,
        DOSSIER,
        trusted,
        allow(
            [f"cloudformation:{action}" for action in changes],
            f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/*",
        ),
    )
    cloudformation = twin.client("cloudformation", ACCOUNT)
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=json.dumps(template()),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Tags=[{"Key": key, "Value": value} for key, value in TAGS.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
    return {"step": step, "lookup": lookup, "dossier": dossier, "execution": execution(twin)}


def execution(twin: Twin) -> str:
    """The id of an execution of a pipeline that has come to its stage Prod."""
    twin.client("s3").create_bucket(Bucket="source")
    twin.client("s3").put_bucket_versioning(Bucket="source", VersioningConfiguration={"Status": "Enabled"})
    twin.client("s3").put_object(Bucket="source", Key="source.zip", Body=b"zip")
    pipeline_role = role(
        twin.client("iam"),
        "pipeline",
        {"Action": "sts:AssumeRole", "Principal": {"Service": "codepipeline.amazonaws.com"}},
        allow("*", "*"),
    )
    source = {
        "name": "Source",
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
        "configuration": {"S3Bucket": "source", "S3ObjectKey": "source.zip", "PollForSourceChanges": "false"},
        "outputArtifacts": [{"name": "Source"}],
    }
    approval = {
        "name": "Promote",
        "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
    }
    codepipeline = twin.client("codepipeline")
    codepipeline.create_pipeline(
        pipeline={
            "name": PIPELINE,
            "roleArn": pipeline_role,
            "pipelineType": "V2",
            "executionMode": "QUEUED",
            "artifactStore": {"type": "S3", "location": "source"},
            "stages": [{"name": "Source", "actions": [source]}, {"name": "Prod", "actions": [approval]}],
        }
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        state = codepipeline.get_pipeline_state(name=PIPELINE)["stageStates"][1]
        if "latestExecution" in state:
            return state["latestExecution"]["pipelineExecutionId"]
        time.sleep(0.1)
    raise AssertionError(codepipeline.get_pipeline_state(name=PIPELINE))


def start(twin: Twin, place: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    """Start the command as the pipeline runs it, as the step's role."""
    given = twin.client("sts").assume_role(RoleArn=place["step"], RoleSessionName="step")["Credentials"]
    variables = {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
        "PIPELINE_NAME": PIPELINE,
        "PIPELINE_EXECUTION_ID": place["execution"],
        "ENVIRONMENT": "prod",
        "TARGET_ACCOUNT": ACCOUNT,
        "TARGET_REGIONS": REGION,
        "ASSEMBLY": str(folder / "cdk.out"),
        "REPORTS_BUCKET": REPORTS,
        "LOOKUP_ROLE_ARN": place["lookup"],
        "DOSSIER_ROLE_ARN": place["dossier"],
    }
    return subprocess.Popen(
        [sys.executable, "-m", "delivery.dossier", "--output", str(folder / "dossier")],
        cwd=ROOT,
        env={**os.environ, **twin.environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def run(twin: Twin, place: dict[str, str], folder: Path, planned: Templates) -> Done:
    """Run the command on what is planned."""
    write_assembly(folder / "cdk.out", planned)
    process = start(twin, place, folder)
    try:
        said, complained = process.communicate(timeout=60)
    finally:
        process.kill()
    return Done(process.returncode, said, complained)


def kept(twin: Twin, place: dict[str, str]) -> Dossier:
    key = f"dossier/{place['execution']}/prod/dossier.json"
    body = twin.client("s3").get_object(Bucket=REPORTS, Key=key)["Body"].read()
    return Dossier.model_validate_json(body)


def test_change_sets_tell_what_would_happen_and_are_gone(
    twin: Twin, place: dict[str, str], tmp_path: Path
) -> None:
    changed = template()
    changed["Resources"]["Table"]["Properties"]["TableName"] = "lineage-2"
    changed["Resources"]["Images"]["Properties"]["Tags"] = [{"Key": "a", "Value": "b"}]
    statements = changed["Resources"]["ReaderPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    statements.append(allow("s3:GetObject", "*"))
    done = run(twin, place, tmp_path, {STACK: changed})
    assert (done.returncode, done.stderr) == (0, "")
    dossier = kept(twin, place)
    assert [stack.basis for stack in dossier.stacks] == [Basis.CHANGE_SET], dossier.stacks
    fates = {each.logical_id: each.action for each in dossier.stacks[0].resources}
    # The table's ARN follows its name: the policy changes with it.
    assert fates == {
        "Table": Action.REPLACED,
        "Images": Action.CHANGED,
        "ReaderPolicy": Action.CHANGED,
    }
    assert [each.kind for each in dossier.stateful] == ["replaced"]
    assert [each.sentence for each in dossier.permissions.gained] == [
        f"Role Reader ({STACK}) may now do: s3:GetObject on any resource"
    ]
    cloudformation = twin.client("cloudformation", ACCOUNT)
    assert cloudformation.list_change_sets(StackName=STACK)["Summaries"] == []
    assert cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    script = f'. {tmp_path}/dossier/variables.sh && printf %s "$DOSSIER_RISK|$DOSSIER_URL"'
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == f"confirm|s3://{REPORTS}/dossier/{place['execution']}/prod/index.html"


def test_same_template_changes_nothing(twin: Twin, place: dict[str, str], tmp_path: Path) -> None:
    done = run(twin, place, tmp_path, {STACK: template()})
    assert done.returncode == 0, done.stderr
    assert "Nothing changes in prod." in done.stdout
    assert kept(twin, place).risk == "none"


def test_without_its_role_the_dossier_says_what_it_goes_by(
    twin: Twin, place: dict[str, str], tmp_path: Path
) -> None:
    absent = {**place, "dossier": f"arn:aws:iam::{ACCOUNT}:role/not-there-yet"}
    changed = template()
    changed["Resources"]["Table"]["Properties"]["TableName"] = "lineage-2"
    done = run(twin, absent, tmp_path, {STACK: changed})
    assert done.returncode == 0, done.stderr
    stack = kept(twin, place).stacks[0]
    assert stack.basis is Basis.TEMPLATE
    assert "not-there-yet: access denied to AssumeRole" in stack.basis_because
    assert [each.action for each in stack.resources] == [Action.REPLACED]


def test_who_may_not_look_gets_no_dossier(twin: Twin, place: dict[str, str], tmp_path: Path) -> None:
    blind = {**place, "lookup": f"arn:aws:iam::{ACCOUNT}:role/not-there-yet"}
    done = run(twin, blind, tmp_path, {STACK: template()})
    assert done.returncode == 1
    assert "nobody should approve without it" in done.stderr
    assert "access denied to AssumeRole" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "dossier/variables.sh").exists()


def test_stopped_step_leaves_no_change_set(twin: Twin, place: dict[str, str], tmp_path: Path) -> None:
    changed = template()
    changed["Resources"]["Images"]["Properties"]["Tags"] = [{"Key": "c", "Value": "d"}]
    write_assembly(tmp_path / "cdk.out", {STACK: changed})
    cloudformation = twin.client("cloudformation", ACCOUNT)
    process = start(twin, place, tmp_path)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            if cloudformation.list_change_sets(StackName=STACK)["Summaries"]:
                break
        process.terminate()
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    # It may have been quicker than this test; it never explains itself with a trace, nor leaves anything.
    assert process.returncode in (0, 143)
    assert "Traceback" not in said
    assert cloudformation.list_change_sets(StackName=STACK)["Summaries"] == []
