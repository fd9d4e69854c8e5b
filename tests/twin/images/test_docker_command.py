"""The docker command as cdk-assets calls it, and ECR behind it with the caller's own rights."""

import base64
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import PROD, REGION, ROOT, STAGING, Twin

REGISTRY = f"{STAGING}.dkr.ecr.{REGION}.amazonaws.com"
DOCKERFILE = """FROM public.ecr.aws/docker/library/python:3.13-slim
WORKDIR /opt/program
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY . ./
ENTRYPOINT ["python", "serve.py"]
"""
Docker = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "lib").mkdir(parents=True)
    files = {
        "Dockerfile": DOCKERFILE,
        ".dockerignore": "**/*.log\nDockerfile\n!lib/kept.log\n",
        "serve.py": "print(1)",
    }
    files |= {"lib/a.py": "a", "lib/x.log": "x", "lib/kept.log": "k", "requirements.txt": "# nothing\n"}
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    def run(*arguments: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "twin.docker_command", *arguments],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "TWIN_DOCKER_ROOT": str(tmp_path / "engine"),
                **environment,
            },
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_image_is_built_inspected_tagged_and_listed(docker: Docker, context: Path) -> None:
    assert docker("inspect", "cdkasset-1").returncode == 1
    assert docker("build", "--tag", "cdkasset-1", "--platform", "linux/arm64", str(context)).returncode == 0
    (found,) = json.loads(docker("inspect", "cdkasset-1").stdout)
    assert (found["Architecture"], found["Config"]["Entrypoint"]) == ("arm64", ["python", "serve.py"])
    assert docker("tag", "cdkasset-1", f"{REGISTRY}/assets:abc").returncode == 0
    listed = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=*/*:abc")
    assert listed.stdout.split() == [f"{REGISTRY}/assets:abc"]


def test_same_context_gives_the_same_image(docker: Docker, context: Path) -> None:
    first = docker("build", "--tag", "one", str(context)).stdout
    os.utime(context / "serve.py", (0, 0))
    assert docker("build", "--tag", "two", str(context)).stdout == first


def test_what_the_twin_does_not_do_fails_in_one_line(docker: Docker, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM python:3.13\nRUN make\n")
    done = docker("build", "--tag", "x", str(context))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "Dockerfile:2: RUN make is refused" in done.stderr
    done = docker("build", "--build-arg", "a=b", "--tag", "x", str(context))
    assert (done.returncode, "--build-arg" in done.stderr) == (125, True)
    done = docker("run", "x")
    assert (done.returncode, "run" in done.stderr) == (125, True)


def publisher(twin: Twin, *actions: str) -> Any:
    """Credentials of a role that may do only these actions."""
    iam = twin.client("iam", STAGING)
    name = f"publisher-{len(actions)}"
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{STAGING}:root"},
        "Action": "sts:AssumeRole",
    }
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
    sts = twin.client("sts", STAGING)
    return sts.assume_role(RoleArn=role["Role"]["Arn"], RoleSessionName="push")["Credentials"]


def log_in(twin: Twin, docker: Docker, credentials: Any) -> None:
    token = twin.client("ecr", credentials).get_authorization_token()["authorizationData"][0]
    assert token["proxyEndpoint"] == f"https://{REGISTRY}"
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    assert docker("login", "--username", user, "--password-stdin", REGISTRY, text=password).returncode == 0


def test_push_makes_the_tag_visible_and_needs_the_callers_rights(
    twin: Twin, docker: Docker, context: Path
) -> None:
    ecr = twin.client("ecr", STAGING)
    ecr.create_repository(repositoryName="assets", imageTagMutability="IMMUTABLE")
    with pytest.raises(ClientError) as caught:
        ecr.describe_images(repositoryName="assets", imageIds=[{"imageTag": "abc"}])
    assert caught.value.response["Error"]["Code"] == "ImageNotFoundException"
    uri = f"{REGISTRY}/assets:abc"
    assert docker("build", "--tag", uri, str(context)).returncode == 0

    log_in(twin, docker, publisher(twin, "ecr:GetAuthorizationToken"))
    done = docker("push", uri, AWS_ENDPOINT_URL=twin.endpoint)
    assert (done.returncode, "not authorized to perform: ecr:" in done.stderr) == (1, True)

    needed = ("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload")
    rights = [f"ecr:{action}" for action in (*needed, "PutImage", "GetAuthorizationToken")]
    log_in(twin, docker, publisher(twin, *rights))
    done = docker("push", uri, AWS_ENDPOINT_URL=twin.endpoint)
    assert done.returncode == 0, done.stderr
    (found,) = ecr.describe_images(repositoryName="assets", imageIds=[{"imageTag": "abc"}])["imageDetails"]
    assert f"digest: {found['imageDigest']}" in done.stdout
    assert found["imageSizeInBytes"] > 100


def test_push_to_another_accounts_registry_needs_its_repositorys_policy(
    twin: Twin, docker: Docker, context: Path
) -> None:
    owner = twin.client("ecr", PROD)
    owner.create_repository(repositoryName="shared")
    theirs = REGISTRY.replace(STAGING, PROD)
    uri = f"{theirs}/shared:abc"
    docker("build", "--tag", uri, str(context))
    token = twin.client("ecr", STAGING).get_authorization_token()["authorizationData"][0]
    password = base64.b64decode(token["authorizationToken"]).decode().partition(":")[2]
    assert docker("login", "--username", "AWS", "--password-stdin", theirs, text=password).returncode == 0
    done = docker("push", uri, AWS_ENDPOINT_URL=twin.endpoint)
    assert (done.returncode, "not authorized to perform: ecr:" in done.stderr) == (1, True)

    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{STAGING}:root"}, "Action": "ecr:*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    owner.set_repository_policy(repositoryName="shared", policyText=policy)
    done = docker("push", uri, AWS_ENDPOINT_URL=twin.endpoint)
    assert done.returncode == 0, done.stderr
    assert owner.list_images(repositoryName="shared")["imageIds"][0]["imageTag"] == "abc"


def test_push_without_login_says_so(docker: Docker, context: Path) -> None:
    docker("build", "--tag", f"{REGISTRY}/assets:x", str(context))
    assert "docker login" in docker("push", f"{REGISTRY}/assets:x").stderr


def test_manifest_without_its_layers_is_not_taken(twin: Twin) -> None:
    ecr = twin.client("ecr", STAGING)
    ecr.create_repository(repositoryName="hollow")
    digest = "sha256:" + "0" * 64
    manifest = {"schemaVersion": 2, "config": {"digest": digest}, "layers": []}
    with pytest.raises(ClientError) as caught:
        ecr.put_image(repositoryName="hollow", imageManifest=json.dumps(manifest), imageTag="x")
    assert caught.value.response["Error"]["Code"] == "LayersNotFoundException"


def test_cdk_assets_publishes_an_image(twin: Twin, context: Path, tmp_path: Path) -> None:
    command = ROOT / "node_modules/.bin/cdk-assets"
    node = ROOT / ".venv/bin/node"
    if not command.exists() or not node.exists():
        pytest.skip("node_modules is missing: run make setup")
    twin.client("ecr", STAGING).create_repository(repositoryName="from-cdk")
    destination = {"repositoryName": "from-cdk", "imageTag": "hash", "region": REGION}
    asset = {
        "source": {"directory": context.name, "platform": "linux/arm64"},
        "destinations": {"here": destination},
    }
    manifest = {"version": "54.0.0", "dockerImages": {"hash": asset}, "files": {}}
    (tmp_path / "assets.json").write_text(json.dumps(manifest))
    tools = tmp_path / "tools"
    tools.mkdir()
    shim = tools / "docker"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m twin.docker_command "$@"\n')
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    environment = twin.environment(STAGING)
    environment |= {"PATH": f"{tools}:{node.parent}:{environment['PATH']}", "PYTHONPATH": str(ROOT)}
    environment |= {"TWIN_DOCKER_ROOT": str(tmp_path / "engine"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [str(command), "publish", "--path", str(tmp_path / "assets.json")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = twin.client("ecr", STAGING).describe_images(repositoryName="from-cdk")["imageDetails"]
    assert [image["imageTags"] for image in found] == [["hash"]]
