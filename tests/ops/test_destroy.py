"""Destroy takes a deployed environment away, all of it but what retention demands, and can be interrupted."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ops.access import Access
from ops.deployment import Deployment, read_deployment
from ops.destroy import journey
from ops.destroy.estate import estates
from ops.destroy.left import Left
from ops.doctor.bootstrap import NEEDED_VERSION
from ops.faults import Cancelled
from tests.ops.conftest import DEV, REGION, ROOT, TOOLING, Twin, bootstrap, person, write_profiles
from tests.twin.conftest import start_twin

pytestmark = [pytest.mark.twin, pytest.mark.delivery]

NAME = "vision"


@dataclass(frozen=True)
class Platform:
    """A platform whose only environment, a protected one, is deployed."""

    twin: Twin
    deployment: Deployment
    access: Access

    def destroy(self, **options: Any) -> list[Left]:
        return journey.run(self.deployment, self.access, **{"typed": NAME, **options})

    def client(self, service: str) -> Any:
        return self.twin.client(service, DEV)

    def stacks(self) -> list[str]:
        return sorted(
            stack["StackName"]
            for stack in self.client("cloudformation").describe_stacks()["Stacks"]
            if stack["StackName"].startswith(NAME)
        )


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    platform = json.loads((ROOT / "tests/platform.json").read_text())
    platform["environments"] = [{"name": "dev", "account": DEV, "region": REGION, "protected": True}]
    return platform


@pytest.fixture(scope="module")
def assembly(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment as a sandbox is synthesized."""
    from app import build_app
    from stages.settings_reader import read_context

    folder = tmp_path_factory.mktemp("sandbox") / "cdk.out"
    context = {**read_context(ROOT), "platform": settings, "sandbox": "dev"}
    build_app(ROOT, context=context, out=folder).synth()
    return folder


@pytest.fixture(scope="module")
def deployed(
    assembly: Path, bootstrap_template: str, node: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """A twin of its own, because destroy empties accounts, with the environment in it."""
    twin = start_twin(tmp_path_factory.mktemp("destroyed"))
    bootstrap(twin, bootstrap_template, TOOLING)
    bootstrap(twin, bootstrap_template, DEV)
    command = [str(node / "node"), str(ROOT / "node_modules/.bin/cdk"), "deploy", "--app", str(assembly)]
    done = subprocess.run(
        [*command, "Dev/*", "--no-notices", "--require-approval", "never"],
        env={
            **twin.environment(DEV),
            "CDK_DOCKER": str(twin.home / "codebuild/tools/docker"),
            "TMPDIR": str(tmp_path_factory.mktemp("images")),
        },
        capture_output=True,
        text=True,
        check=False,
        cwd=assembly.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield twin
    twin.stop()


@pytest.fixture
def platform(
    deployed: Twin,
    settings: dict[str, Any],
    checkout: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Platform:
    for name, value in deployed.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    found = read_deployment(checkout(**settings))
    return Platform(deployed, found, Access(found, {}))


def bucket_of(platform: Platform, word: str) -> str:
    (found,) = [
        bucket["Name"]
        for bucket in platform.client("s3").list_buckets()["Buckets"]
        if bucket["Name"].startswith("vision-dev-") and word in bucket["Name"]
    ]
    return found


def what_workflows_make(platform: Platform) -> None:
    """A dataset in two versions, a registered model, and a model with its endpoint's configuration."""
    s3 = platform.client("s3")
    datasets, artifacts = bucket_of(platform, "datasets"), bucket_of(platform, "artifacts")
    for version in (b"one", b"two"):
        s3.put_object(Bucket=datasets, Key="datasets/a", Body=version)
    s3.delete_object(Bucket=datasets, Key="datasets/a")
    s3.create_multipart_upload(Bucket=artifacts, Key="half")
    archive = io.BytesIO()
    tarfile.open(fileobj=archive, mode="w:gz").close()
    s3.put_object(Bucket=artifacts, Key="model.tar.gz", Body=archive.getvalue())
    sagemaker = platform.client("sagemaker")
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
    }
    iam = platform.client("iam")
    role = iam.create_role(
        RoleName="hosting",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]["Arn"]
    iam.attach_role_policy(RoleName="hosting", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    repository = f"cdk-hnb659fds-container-assets-{DEV}-{REGION}"
    digest = platform.client("ecr").list_images(repositoryName=repository)["imageIds"][0]["imageTag"]
    container = {
        "Image": f"{DEV}.dkr.ecr.{REGION}.amazonaws.com/{repository}:{digest}",
        "ModelDataUrl": f"s3://{artifacts}/model.tar.gz",
    }
    sagemaker.create_model_package(
        ModelPackageGroupName="vision-dev-champion",
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["application/octet-stream"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )
    sagemaker.create_model(
        ModelName="vision-dev-champion-r1",
        ExecutionRoleArn=role,
        PrimaryContainer=container,
    )
    variant = {
        "VariantName": "all",
        "ModelName": "vision-dev-champion-r1",
        "InstanceType": "ml.c7i.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName="vision-dev-champion-r1", ProductionVariants=[variant]
    )
    platform.client("cloudwatch").put_metric_alarm(
        AlarmName="vision-dev-champion-backlog",
        Namespace="AWS/SageMaker",
        MetricName="HasBacklogWithoutCapacity",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    # Another platform's, which must be left alone.
    sagemaker.create_model_package_group(ModelPackageGroupName="vision-dev2-champion")
    s3.create_bucket(Bucket="vision-dev2-data")


@pytest.fixture
def of_a_person(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The platform as somebody sees it who has the two documented policies, and nothing else."""
    policies = [
        json.loads((ROOT / "docs" / name).read_text())
        for name in ("deployer-policy.json", "destroyer-policy.json")
    ]
    accounts = platform.deployment.accounts()
    keys = {name: person(platform.twin, number, *policies) for name, number in accounts.items()}
    write_profiles(tmp_path / "credentials", keys)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    profiles = {name: name for name in accounts}
    return replace(platform, access=Access(platform.deployment, profiles))


def test_destroy_leaves_nothing_but_what_retention_demands(
    platform: Platform, of_a_person: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    what_workflows_make(platform)
    before = platform.stacks()
    parts = ("data", "foundation", "inference", "monitoring", "promotion", "streaming", "training")
    assert before == [f"vision-dev-{part}" for part in parts]

    with pytest.raises(Cancelled, match="'visoin' is not 'vision'"):
        platform.destroy(typed="visoin")
    with pytest.raises(Cancelled, match="--yes-destroy vision"):
        platform.destroy(typed=None)
    assert platform.stacks() == before, "nothing is touched without the name"

    interrupted = False

    def interrupt(text: str) -> None:
        nonlocal interrupted
        if "deletes stack vision-dev-training" in text and not interrupted:
            interrupted = True
            raise KeyboardInterrupt

    monkeypatch.setattr(journey, "say", interrupt)
    with pytest.raises(KeyboardInterrupt):
        of_a_person.destroy()
    assert 0 < len(platform.stacks()) < len(before)

    kept = of_a_person.destroy()
    assert platform.stacks() == []
    assert [each for each in kept if not each.reason] == []
    kinds = {each.kind for each in kept if each.name != "CDKToolkit"}
    assert {"bucket", "table", "log group", "key", "ModelPackageGroup"} <= kinds
    assert kinds <= {"bucket", "table", "log group", "key", "ModelPackageGroup", "backup vault"}
    sagemaker = platform.client("sagemaker")
    assert sagemaker.list_models()["Models"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []

    of_a_person.destroy(released=["dev"])
    denials = platform.twin.get("iam")["denials"]
    assert [each for each in denials if "user/deployer" in each["principal"]] == []

    left = platform.destroy(released=["dev"], with_bootstrap=True)
    assert [(each.kind, each.reason.partition(" on ")[0]) for each in left] == [("key", "pending deletion")]
    names = [bucket["Name"] for bucket in platform.client("s3").list_buckets()["Buckets"]]
    assert names == ["vision-dev2-data"], "and what is not ours is left alone"
    assert platform.client("cloudformation").describe_stacks()["Stacks"] == []
    assert platform.client("dynamodb").list_tables()["TableNames"] == []
    assert platform.client("logs").describe_log_groups(logGroupNamePattern=NAME)["logGroups"] == []
    groups = sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
    assert [group["ModelPackageGroupName"] for group in groups] == ["vision-dev2-champion"]


def test_names_that_only_begin_alike_are_not_ours(platform: Platform) -> None:
    found = list(estates(platform.deployment, platform.access, released=frozenset()))
    assert [(each.part, each.keeps) for each in found] == [("dev", True), ("delivery", True)]
    assert found[0].owns("vision-dev-data")
    assert found[0].owns("vision-dev")
    assert not found[0].owns("vision-dev2-data")
    assert not found[0].owns("other-vision-dev")


def test_the_doctor_asks_for_the_bootstrap_version_that_the_assembly_asks_for(assembly: Path) -> None:
    text = "".join(path.read_text() for path in assembly.rglob("manifest.json"))
    versions = [int(found) for found in re.findall(r'"requiresBootstrapStackVersion": (\d+)', text)]
    assert max(versions) == NEEDED_VERSION
