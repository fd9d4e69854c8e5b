"""Builds run through CodeBuild's API: phases, variables, reports, caches, stops, permissions."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.twin
DEV = "222222222222"
Run = Callable[..., dict[str, Any]]


class Builds:
    """Projects of one test, and builds of them."""

    def __init__(self, twin: Any) -> None:
        self.twin, self.api = twin, twin.client("codebuild", DEV)
        self.projects: list[str] = []
        self.role = "arn:aws:iam::222222222222:role/builder"

    def project(self, name: str, spec: dict[str, Any] | str, **more: Any) -> None:
        text = spec if isinstance(spec, str) else json.dumps({"version": "0.2", **spec}, indent=1)
        request = {
            "name": name,
            "source": {"type": "NO_SOURCE", "buildspec": text},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:7.0",
                "computeType": "BUILD_GENERAL1_SMALL",
            },
            "serviceRole": self.role,
            **more,
        }
        self.api.create_project(**request)
        self.projects.append(name)

    def run(self, name: str, **request: Any) -> dict[str, Any]:
        key = self.api.start_build(projectName=name, **request)["build"]["id"]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            build = self.api.batch_get_builds(ids=[key])["builds"][0]
            if build["buildComplete"]:
                return build
            time.sleep(0.05)
        raise AssertionError(f"build {key} did not end")

    def log(self, build: dict[str, Any]) -> str:
        return (self.twin.home / "logs/builds" / f"{build['id'].replace(':', '-')}.log").read_text()

    def allow(self, *statements: dict[str, Any]) -> None:
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **s} for s in statements]}
        self.twin.client("iam", DEV).put_role_policy(
            RoleName="builder", PolicyName="own", PolicyDocument=json.dumps(policy)
        )


@pytest.fixture
def builds(twin: Any) -> Iterator[Builds]:
    iam = twin.client("iam", DEV)
    statement = {
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "codebuild.amazonaws.com"}
    }  # fmt: skip
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    iam.create_role(RoleName="builder", AssumeRolePolicyDocument=json.dumps(trust))
    made = Builds(twin)
    made.allow({"Action": "logs:*", "Resource": "*"})
    yield made
    for name in made.projects:
        made.api.delete_project(name=name)
    iam.delete_role_policy(RoleName="builder", PolicyName="own")
    iam.delete_role(RoleName="builder")


def phases(build: dict[str, Any]) -> dict[str, str]:
    return {p["phaseType"]: p.get("phaseStatus", "") for p in build["phases"]}


def test_successful_build_tells_its_phases_and_variables(builds: Builds) -> None:
    spec = {
        "env": {"variables": {"A": "spec", "B": "spec", "C": "spec"}, "exported-variables": ["SEEN"]},
        "phases": {
            "install": {"runtime-versions": {"python": "3.13"}, "commands": ["echo installing"]},
            "build": {"commands": ["export SEEN=$A-$B-$C", "python3 --version", "aws_region=$AWS_REGION"]},
            "post_build": {
                "commands": ['test "$CODEBUILD_BUILD_SUCCEEDING" = 1', 'test "$aws_region" = us-east-1']
            },
        },
    }
    environment = {
        "type": "LINUX_CONTAINER",
        "image": "aws/codebuild/standard:7.0",
        "computeType": "BUILD_GENERAL1_SMALL",
        "environmentVariables": [{"name": "B", "value": "project"}, {"name": "C", "value": "project"}],
    }
    builds.project("good", spec, environment=environment)
    build = builds.run("good", environmentVariablesOverride=[{"name": "C", "value": "caller"}])
    assert build["buildStatus"] == "SUCCEEDED", builds.log(build)
    assert build["exportedEnvironmentVariables"] == [{"name": "SEEN", "value": "spec-project-caller"}]
    assert list(phases(build)) == [
        "SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD",
        "POST_BUILD", "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED",
    ]  # fmt: skip
    assert build["buildNumber"] == 1
    assert builds.run("good", environmentVariablesOverride=[{"name": "C", "value": "x"}])["buildNumber"] == 2
    listed = builds.api.list_builds_for_project(projectName="good")["ids"]
    assert listed[1] == build["id"] and len(listed) == 2
    events = builds.twin.client("logs", DEV).get_log_events(
        logGroupName=build["logs"]["groupName"], logStreamName=build["logs"]["streamName"]
    )["events"]
    assert "installing" in [event["message"] for event in events]


def test_failed_build_still_runs_finally_and_post_build(builds: Builds) -> None:
    spec = {
        "phases": {
            "build": {"commands": ["echo before", "exit 4", "echo never"], "finally": ["echo cleaning"]},
            "post_build": {"commands": ['echo "succeeding: $CODEBUILD_BUILD_SUCCEEDING"']},
        }
    }
    builds.project("bad", spec)
    build = builds.run("bad")
    assert build["buildStatus"] == "FAILED"
    assert phases(build)["BUILD"] == "FAILED" and phases(build)["POST_BUILD"] == "SUCCEEDED"
    context = next(p for p in build["phases"] if p["phaseType"] == "BUILD")["contexts"][0]
    assert context == {
        "statusCode": "COMMAND_EXECUTION_ERROR",
        "message": "Error while executing command: exit 4. Reason: exit status 4",
    }
    lines = builds.log(build).splitlines()
    assert "cleaning" in lines and "succeeding: 0" in lines and "never" not in lines

    builds.project(
        "early", {"phases": {"install": {"commands": ["false"]}, "build": {"commands": ["echo no"]}}}
    )
    early = builds.run("early")
    assert early["buildStatus"] == "FAILED" and "BUILD" not in phases(early)
    builds.project("retried", {"phases": {"build": {
        "on-failure": "RETRY-1", "commands": ["test -e seen || { touch seen; false; }"]}}})  # fmt: skip
    assert builds.run("retried")["buildStatus"] == "SUCCEEDED"
    builds.project("kept-going", {"phases": {"pre_build": {"on-failure": "CONTINUE", "commands": ["false"]}}})
    assert builds.run("kept-going")["buildStatus"] == "SUCCEEDED"


def test_wrong_buildspec_is_named(builds: Builds) -> None:
    builds.project("wrong", "version: 0.2\nphases:\n  bild: {}\n")
    build = builds.run("wrong")
    assert build["buildStatus"] == "FAILED"
    context = next(p for p in build["phases"] if p["phaseType"] == "DOWNLOAD_SOURCE")["contexts"][0]
    assert context["statusCode"] == "YAML_FILE_ERROR" and "phases.bild" in context["message"]


def test_parameters_and_secrets_are_read_with_the_service_role(builds: Builds) -> None:
    builds.twin.client("ssm", DEV).put_parameter(Name="/build/color", Type="String", Value="red")
    builds.twin.client("secretsmanager", DEV).create_secret(
        Name="build-key", SecretString='{"key": "s3cret"}'
    )
    spec = {
        "env": {"parameter-store": {"COLOR": "/build/color"}, "secrets-manager": {"KEY": "build-key:key"}},
        "phases": {"build": {"commands": ['test "$COLOR$KEY" = reds3cret']}},
    }
    builds.project("reading", spec)
    refused = builds.run("reading")
    assert refused["buildStatus"] == "FAILED"
    message = next(p for p in refused["phases"] if p["phaseType"] == "DOWNLOAD_SOURCE")["contexts"][0][
        "message"
    ]
    assert "parameter '/build/color' of variable COLOR" in message and "ssm:GetParameter" in message
    builds.allow(
        {"Action": "ssm:GetParameter*", "Resource": "*"},
        {"Action": "secretsmanager:GetSecretValue", "Resource": "*"},
    )
    build = builds.run("reading")
    assert build["buildStatus"] == "SUCCEEDED", builds.log(build)


def test_reports_are_kept_and_need_permission(builds: Builds) -> None:
    cases = '<testcase name="a" time="1"/><testcase name="b"><failure message="no"/></testcase>'
    junit = f'<testsuite name="s">{cases}</testsuite>'
    spec = {
        "phases": {
            "build": {"commands": ["mkdir -p out", f"printf '%s' '{junit}' > out/junit.xml", "false"]}
        },
        "reports": {"unit": {"files": ["*.xml"], "base-directory": "out"}},
    }
    builds.project("tested", spec)
    refused = builds.run("tested")
    assert "codebuild:CreateReportGroup" in json.dumps(refused["phases"], default=str)
    group = f"arn:aws:codebuild:us-east-1:{DEV}:report-group/tested-unit"
    actions = ["CreateReportGroup", "CreateReport", "UpdateReport", "BatchPutTestCases"]
    builds.allow({"Action": [f"codebuild:{a}" for a in actions], "Resource": group})
    build = builds.run("tested")
    assert build["buildStatus"] == "FAILED"  # the report is kept all the same
    report = builds.api.batch_get_reports(reportArns=build["reportArns"])["reports"][0]
    assert report["status"] == "FAILED" and report["reportGroupArn"] == group
    assert report["testSummary"]["statusCounts"]["SUCCEEDED"] == 1
    assert builds.api.list_reports_for_report_group(reportGroupArn=group)["reports"] == build["reportArns"]
    failed = builds.api.describe_test_cases(reportArn=report["arn"], filter={"status": "FAILED"})["testCases"]
    assert [(c["name"], c["message"]) for c in failed] == [("b", "no")]
    with pytest.raises(builds.api.exceptions.InvalidInputException):
        builds.api.delete_report_group(arn=group)
    builds.api.delete_report_group(arn=group, deleteReports=True)


def test_source_and_artifacts_in_s3_with_a_cache_between_builds(builds: Builds, tmp_path: Path) -> None:
    from twin.archives import pack_contents

    s3 = builds.twin.client("s3", DEV)
    s3.create_bucket(Bucket="build-files")
    spec = """version: 0.2
phases:
  build:
    commands:
      - mkdir -p kept && echo x >> kept/log
      - cp kept/log count.txt && pwd > where.txt
cache: {paths: ["kept/**/*"]}
artifacts: {files: [count.txt, where.txt]}
"""
    s3.put_object(Bucket="build-files", Key="in.zip", Body=pack_contents({"buildspec.yml": spec.encode()}))
    builds.allow({"Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::build-files/*"})
    builds.project(
        "cached",
        "",
        source={"type": "S3", "location": "build-files/in.zip"},
        artifacts={"type": "S3", "location": "build-files", "name": "out", "packaging": "NONE"},
        cache={"type": "LOCAL", "modes": ["LOCAL_CUSTOM_CACHE"]},
    )
    folders: list[bytes] = []
    for expected in (b"x\n", b"x\nx\n"):
        build = builds.run("cached")
        assert build["buildStatus"] == "SUCCEEDED", builds.log(build)
        assert s3.get_object(Bucket="build-files", Key="out/count.txt")["Body"].read() == expected
        folders.append(s3.get_object(Bucket="build-files", Key="out/where.txt")["Body"].read())
    assert folders[0] == folders[1]


def test_stopped_build_leaves_no_process(builds: Builds) -> None:
    nap = f"sleep {100_000 + os.getpid()}"  # of this process alone: other tests may run beside this one
    builds.project("slow", {"phases": {"build": {"commands": [nap]}}})
    key = builds.api.start_build(projectName="slow")["build"]["id"]
    while nap not in builds.log({"id": key}):
        time.sleep(0.05)
    assert builds.api.stop_build(id=key)["build"]["buildStatus"] == "STOPPED"
    deadline = time.monotonic() + 10
    while (left := nap in commands()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def commands() -> list[str]:
    """What runs on this machine."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "command="], capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def test_temporary_folder_takes_sockets_and_goes_with_the_build(builds: Builds) -> None:
    listen = (
        "import multiprocessing.connection as c, pathlib, tempfile\n"
        "folder = pathlib.Path(tempfile.mkdtemp()) / ('x' * 40)\n"
        "folder.mkdir()\n"
        "c.Listener(str(folder / 'socket'))\n"
    )
    spec = {
        "env": {"exported-variables": ["TMPDIR"]},
        "phases": {"build": {"commands": ["export TMPDIR", f"python3 -c {shlex.quote(listen)}"]}},
    }
    builds.project("a-name-as-long-as-projects-of-pipelines-have", spec)
    build = builds.run("a-name-as-long-as-projects-of-pipelines-have")
    assert build["buildStatus"] == "SUCCEEDED", builds.log(build)
    (told,) = build["exportedEnvironmentVariables"]
    deadline = time.monotonic() + 10
    while (left := Path(told["value"]).exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert told["value"]
    assert not left


def test_arm_environments_are_run_here_and_say_so(builds: Builds) -> None:
    image = "aws/codebuild/amazonlinux-aarch64-standard:3.0"
    arm = {"type": "ARM_CONTAINER", "image": image, "computeType": "BUILD_GENERAL1_LARGE"}
    builds.project("arm", {"phases": {"build": {"commands": ["true"]}}}, environment=arm)
    build = builds.run("arm")
    assert build["buildStatus"] == "SUCCEEDED", builds.log(build)
    assert f"ARM_CONTAINER, BUILD_GENERAL1_LARGE and image {image} asked for; the commands run on this" in (
        builds.log(build)
    )
    with pytest.raises(builds.api.exceptions.InvalidInputException, match="does not run in environment type"):
        builds.project("mixed", {"phases": {}}, environment={**arm, "type": "LINUX_CONTAINER"})


def test_what_the_twin_does_not_do_is_refused_by_name(builds: Builds) -> None:
    faults = builds.api.exceptions.ClientError
    with pytest.raises(faults, match="source type GITHUB is not implemented"):
        builds.project("refused", "", source={"type": "GITHUB", "location": "https://example.com"})
    with pytest.raises(faults, match="must both be CODEPIPELINE"):
        builds.project("refused", "", source={"type": "CODEPIPELINE"})
    with pytest.raises(faults, match="needs an inline buildspec"):
        builds.project("refused", "file.yml")
    with pytest.raises(faults, match="Project cannot be found"):
        builds.api.start_build(projectName="nobody")
    with pytest.raises(faults, match="StartBuildBatch is not implemented"):
        builds.api.start_build_batch(projectName="nobody")
    with pytest.raises(faults, match="member autoRetryLimit is not implemented"):
        builds.project("refused", {"phases": {}}, autoRetryLimit=1)
    builds.role = "arn:aws:iam::222222222222:role/not-there"
    builds.project("roleless", {"phases": {}})
    build = builds.run("roleless")
    assert build["buildStatus"] == "FAILED"
    assert "not authorized to perform: sts:AssumeRole" in json.dumps(build["phases"], default=str)
