"""The pipeline's shape: what happens in which order, with which versions, and who approves."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from smoke_tests.settings import Settings
from tests.assembly import ROOT, Assembly, Resource

STACKS = ["foundation", "data", "promotion", "training", "streaming", "inference", "monitoring"]


@pytest.fixture(scope="module")
def pipeline(assembly: Assembly) -> Resource:
    return assembly.only("AWS::CodePipeline::Pipeline")


@pytest.fixture(scope="module")
def stages(pipeline: Resource) -> dict[str, list[dict[str, Any]]]:
    """Actions in the order in which they run, by stage."""
    return {
        stage["Name"]: sorted(stage["Actions"], key=lambda action: action["RunOrder"])
        for stage in pipeline.properties["Stages"]
    }


def buildspec(assembly: Assembly, project: str) -> dict[str, Any]:
    """The build specification of the project whose logical id contains `project`."""
    (found,) = [each for each in assembly.resources("AWS::CodeBuild::Project") if project in each.logical_id]
    return json.loads(found.properties["Source"]["BuildSpec"])


def names(actions: list[dict[str, Any]]) -> list[str]:
    return [action["Name"] for action in actions]


def test_commits_queue_in_a_pipeline_of_the_second_type(pipeline: Resource) -> None:
    assert pipeline.properties["Name"] == "vision-delivery"
    assert pipeline.properties["PipelineType"] == "V2"
    assert pipeline.properties["ExecutionMode"] == "QUEUED"
    assert pipeline.properties["RestartExecutionOnUpdate"] is True


def test_stages_follow_the_order_of_the_settings(stages: dict[str, Any]) -> None:
    own = ["Source", "Build", "UpdatePipeline", "Assets"]
    assert list(stages) == [*own, "Dev", "Staging", "Review", "Confirm", "Approve", "Prod"]


def test_smoke_tests_come_last_in_every_environment(stages: dict[str, Any]) -> None:
    for stage in ("Dev", "Staging", "Prod"):
        assert stages[stage][-1]["Name"] == "Smoke"


@pytest.mark.parametrize("environment", ["dev", "staging"])
def test_unattended_environments_deploy_each_stack_in_one_action(
    stages: dict[str, Any], environment: str
) -> None:
    *deployments, _ = stages[environment.capitalize()]
    assert names(deployments) == [f"vision-{environment}-{stack}.Deploy" for stack in STACKS]
    assert {action["Configuration"]["ActionMode"] for action in deployments} == {"CREATE_UPDATE"}
    assert [action["RunOrder"] for action in deployments] == [1, 2, 3, 4, 5, 6, 7]
    for action in deployments:
        assert action["InputArtifacts"] == [{"Name": "Synth_Output"}]
        assert "ChangeSetName" not in action["Configuration"]


def test_prod_is_deployed_by_change_sets(stages: dict[str, Any]) -> None:
    *deployments, _ = stages["Prod"]
    modes = [action["Configuration"]["ActionMode"] for action in deployments]
    assert modes == ["CHANGE_SET_REPLACE", "CHANGE_SET_EXECUTE"] * len(STACKS)


def test_the_build_is_the_command_that_an_engineer_runs(assembly: Assembly) -> None:
    specification = buildspec(assembly, "BuildSynth")
    assert specification["phases"]["build"]["commands"] == ["make verify"]
    assert specification["artifacts"]["base-directory"] == "cdk.out"
    assert specification["phases"]["install"]["runtime-versions"] == {"python": "3.11", "nodejs": "22"}


def test_every_build_names_its_image_and_its_versions(assembly: Assembly) -> None:
    published = [json.loads(path.read_text()) for path in assembly.folder.glob("buildspec-*.yaml")]
    for specification in [buildspec(assembly, "SelfMutation"), *published]:
        assert specification["phases"]["install"]["runtime-versions"] == {"nodejs": "22"}


def test_builds_run_on_graviton_except_the_one_of_the_serving_image(assembly: Assembly) -> None:
    x86: list[str] = []
    for project in assembly.resources("AWS::CodeBuild::Project"):
        environment = project.properties["Environment"]
        if (environment["Type"], environment["Image"]) == (
            "LINUX_CONTAINER",
            "aws/codebuild/amazonlinux-x86_64-standard:5.0",
        ):
            x86.append(project.logical_id)
        else:
            assert environment["Type"] == "ARM_CONTAINER", project.logical_id
            assert environment["Image"] == "aws/codebuild/amazonlinux-aarch64-standard:3.0"
    assert [name.rstrip("0123456789ABCDEF") for name in x86] == ["PipelineAssetsDockerAsset"]


def test_no_build_runs_for_longer_than_it_should(assembly: Assembly) -> None:
    limits = {
        each.properties["Description"].rsplit("/", 1)[-1]: each.properties["TimeoutInMinutes"]
        for each in assembly.resources("AWS::CodeBuild::Project")
    }
    assert limits == {
        "Synth": 60,
        "SelfMutate": 45,
        "DockerAssets": 30,
        "FileAssets": 30,
        "Dossier": 30,
        # The smoke test's own budget is an hour; set-up and the report come on top.
        "Smoke": 75,
    }


def test_what_set_up_installs_is_cached_between_builds(assembly: Assembly) -> None:
    paths = buildspec(assembly, "BuildSynth")["cache"]["paths"]
    assert {".venv/**/*", "build/envs/**/*", "node_modules/**/*"} < set(paths)
    (project,) = [
        each for each in assembly.resources("AWS::CodeBuild::Project") if "BuildSynth" in each.logical_id
    ]
    assert project.properties["Cache"]["Type"] == "S3"


def test_deployment_tools_are_those_of_the_lock_file(assembly: Assembly) -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    mutation = json.dumps(buildspec(assembly, "SelfMutation"))
    assert f"aws-cdk@{lock['node_modules/aws-cdk']['version']}" in mutation
    publishing = "".join(path.read_text() for path in assembly.folder.glob("buildspec-*.yaml"))
    assert f"cdk-assets@{lock['node_modules/cdk-assets']['version']}" in publishing
    assert "@latest" not in mutation + publishing


def test_the_publisher_starts_once_for_a_manifest_and_takes_all_of_its_assets(assembly: Assembly) -> None:
    asked: dict[str, list[str]] = {}
    for path in assembly.folder.glob("buildspec-*.yaml"):
        manifests: list[str] = []
        for command in json.loads(path.read_text())["phases"]["build"]["commands"]:
            words = shlex.split(command)
            assert [*words[:2], *words[3:5]] == ["cdk-assets", "--path", "--verbose", "publish"]
            manifests.append(words[2])
            asked.setdefault(words[2], []).extend(words[5:])
        assert len(manifests) == len(set(manifests))
    assert len(asked) >= 3 * 4  # stacks with assets, in three environments
    for manifest, wanted in asked.items():
        document = json.loads((assembly.folder / manifest).read_text())
        declared = {
            f"{asset}:{place}"
            for kind in ("files", "dockerImages")
            for asset, each in document.get(kind, {}).items()
            for place in each["destinations"]
            if not each["source"].get("path", "").endswith(".template.json")
        }
        assert set(wanted) == declared
        assert len(wanted) == len(set(wanted))


def test_assets_are_published_by_one_project_of_each_kind(stages: dict[str, Any], assembly: Assembly) -> None:
    assert names(stages["Assets"]) == ["DockerAssets", "FileAssets"]
    privileged = {
        each.logical_id: each.properties["Environment"]["PrivilegedMode"]
        for each in assembly.resources("AWS::CodeBuild::Project")
    }
    assert [name for name, value in privileged.items() if value] == [
        name for name in privileged if "DockerAsset" in name
    ]


def test_a_smoke_step_gets_what_the_environments_stacks_put_out(stages: dict[str, Any]) -> None:
    variables = {
        each["name"]: each["value"]
        for each in json.loads(stages["Dev"][-1]["Configuration"]["EnvironmentVariables"])
    }
    assert variables["PIPELINE_EXECUTION_ID"] == "#{codepipeline.PipelineExecutionId}"
    outputs = {"API_URL", "STATE_MACHINE_ARN", "DATASETS_BUCKET", "ARTIFACTS_BUCKET", "LINEAGE_TABLE"}
    outputs |= {"PREDICT_LOG_GROUP", "PROMOTION_MACHINE_ARN"}
    assert outputs <= set(variables)
    deployed = {action.get("Namespace") for action in stages["Dev"]}
    assert {variables[name].strip("#{}").split(".")[0] for name in outputs} <= deployed


def test_a_smoke_step_knows_its_environment_and_reports(assembly: Assembly) -> None:
    (project,) = [
        each for each in assembly.resources("AWS::CodeBuild::Project") if "ProdSmoke" in each.logical_id
    ]
    variables = {
        each["Name"]: each["Value"] for each in project.properties["Environment"]["EnvironmentVariables"]
    }
    assert variables["ENVIRONMENT"] == "prod"
    assert variables["SMOKE_ROLE_ARN"] == "arn:aws:iam::444444444444:role/vision-prod-smoke"
    assert variables["SMOKE_ENDPOINT_NAME"] == variables["SMOKE_MODEL_PACKAGE_GROUP"] == "vision-prod-smoke"
    assert "REPORTS_BUCKET" in variables
    budget = {name: variables[f"SMOKE_{name}"] for name in ("TIMEOUT_SECONDS", "MAX_COST_USD", "IMAGES")}
    assert budget == {"TIMEOUT_SECONDS": "3600", "MAX_COST_USD": "2", "IMAGES": "1000"}
    specification = buildspec(assembly, "ProdSmoke")
    assert specification["reports"]["smoke-prod"]["files"] == ["build/smoke/junit.xml"]
    assert specification["phases"]["build"]["commands"][-1] == ".venv/bin/python -m smoke_tests"


def test_a_smoke_step_gives_all_that_smoke_tests_want(
    stages: dict[str, list[dict[str, Any]]], assembly: Assembly
) -> None:
    (project,) = [
        each for each in assembly.resources("AWS::CodeBuild::Project") if "DevSmoke" in each.logical_id
    ]
    given = {each["Name"] for each in project.properties["Environment"]["EnvironmentVariables"]}
    given |= {each["name"] for each in json.loads(stages["Dev"][-1]["Configuration"]["EnvironmentVariables"])}
    wanted = {str(field.alias) for field in Settings.model_fields.values() if field.is_required()}
    assert wanted
    assert wanted - given == set()


def test_every_smoke_step_tells_the_pipeline_where_its_report_lies(assembly: Assembly) -> None:
    for environment in ("Dev", "Staging", "Prod"):
        variables = buildspec(assembly, f"{environment}Smoke")["env"]["exported-variables"]
        assert variables == ["SMOKE_REPORT"], environment


def test_a_smoke_step_may_assume_its_own_environments_role_and_no_other(assembly: Assembly) -> None:
    for environment, account in (("Dev", "222222222222"), ("Prod", "444444444444")):
        statements = list(assembly.statements(role=f"{environment}SmokeRole", stack="vision-delivery"))
        (assuming,) = [each for each in statements if "sts:AssumeRole" in each.actions]
        assert assuming.resources == (f"arn:aws:iam::{account}:role/vision-{environment.lower()}-smoke",)


def test_both_sides_name_the_smoke_roles_alike(assembly: Assembly) -> None:
    roles = {each.properties.get("RoleName") for each in assembly.resources("AWS::IAM::Role")}
    for environment in ("dev", "staging", "prod"):
        assert {f"vision-{environment}-smoke", f"vision-delivery-{environment}-smoke"} <= roles


def test_builds_log_into_an_encrypted_group_of_their_own(assembly: Assembly) -> None:
    (group,) = [
        each
        for each in assembly.resources("AWS::Logs::LogGroup", stack="vision-delivery")
        if each.logical_id.startswith("BuildLog")
    ]
    assert group.properties["RetentionInDays"] == 365
    assert group.properties["KmsKeyId"]["Fn::GetAtt"][0].startswith("EncryptionKey")
    for project in assembly.resources("AWS::CodeBuild::Project"):
        assert project.properties["LogsConfig"]["CloudWatchLogs"]["GroupName"] == {"Ref": group.logical_id}


def test_the_deliverys_key_is_rotated(assembly: Assembly) -> None:
    key = assembly.only("AWS::KMS::Key", stack="vision-delivery")
    assert key.properties["EnableKeyRotation"] is True
    store = assembly.only("AWS::CodePipeline::Pipeline").properties["ArtifactStore"]
    assert store["EncryptionKey"]["Id"] == {"Fn::GetAtt": [key.logical_id, "Arn"]}


def test_reports_outlive_artifacts(assembly: Assembly) -> None:
    days = {
        bucket.logical_id: max(
            rule.get("ExpirationInDays", 0) for rule in bucket.properties["LifecycleConfiguration"]["Rules"]
        )
        for bucket in assembly.resources("AWS::S3::Bucket", stack="vision-delivery")
    }
    (reports,) = [value for name, value in days.items() if "Reports" in name]
    (artifacts,) = [value for name, value in days.items() if "Artifacts" in name]
    assert (reports, artifacts) == (400, 30)
