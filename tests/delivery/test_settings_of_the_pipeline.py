"""What changes of the settings do to the pipeline: each variation synthesizes and meets the gate."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.assembly import Assembly, synthesize

pytestmark = pytest.mark.slow  # every assembly here is the whole app, synthesized anew

HOME, ABROAD = "us-east-1", "eu-west-1"


def pipeline(assembly: Assembly) -> dict[str, list[dict[str, Any]]]:
    """Actions in the order in which they run, by stage."""
    stages = assembly.only("AWS::CodePipeline::Pipeline").properties["Stages"]
    return {stage["Name"]: sorted(stage["Actions"], key=lambda each: each["RunOrder"]) for stage in stages}


def without_findings(assembly: Assembly) -> bool:
    return {report["conclusion"] for report in assembly.reports.values()} == {"success"}


def variables(assembly: Assembly, project: str) -> dict[str, Any]:
    """The environment variables of the project whose logical id contains `project`."""
    (found,) = [each for each in assembly.resources("AWS::CodeBuild::Project") if project in each.logical_id]
    return {each["Name"]: each["Value"] for each in found.properties["Environment"]["EnvironmentVariables"]}


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """One more environment that is approved, prod in two regions, and people to tell."""

    def change(platform: Any) -> None:
        environments = platform["environments"]
        test = {"name": "test", "account": "555555555555", "region": HOME, "approval": True}
        environments.insert(1, test)
        del environments[3]["region"]
        environments[3]["regions"] = [HOME, ABROAD]
        platform["delivery"] = {"emails": ["team@example.com"], "approval_timeout_hours": 24}
        platform["smoke"] = {"timeout_seconds": 600, "max_cost_usd": 0.5, "images": 200}

    return synthesize(tmp_path_factory.mktemp("larger"), change=change)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Every environment and the pipeline in one account and region."""

    def change(platform: Any) -> None:
        for place in [platform["tooling"], *platform["environments"]]:
            place["account"] = "222222222222"

    return synthesize(tmp_path_factory.mktemp("single"), change=change)


def test_a_larger_platform_meets_the_gate(larger: Assembly) -> None:
    assert without_findings(larger)


def test_one_entry_adds_an_environment_in_its_place(larger: Assembly) -> None:
    own = ["Source", "Build", "UpdatePipeline", "Assets"]
    gated = [f"{stage}{name}" for name in ("Test", "Prod") for stage in ("Review", "Confirm", "Approve", "")]
    assert list(pipeline(larger)) == [*own, "Dev", *gated[:4], "Staging", *gated[4:]]
    assert larger.artifacts["vision-test-data"]["environment"] == "aws://555555555555/us-east-1"


def test_each_approval_has_a_dossier_of_its_own(larger: Assembly) -> None:
    test, prod = variables(larger, "ReviewTest"), variables(larger, "ReviewProd")
    assert (test["ENVIRONMENT"], test["BEFORE"], test["TARGET_REGIONS"]) == ("test", "dev", HOME)
    assert (prod["ENVIRONMENT"], prod["BEFORE"]) == ("prod", "staging")
    # The home region comes first.
    assert prod["TARGET_REGIONS"] == f"{HOME},{ABROAD}"
    stages = larger.only("AWS::CodePipeline::Pipeline").properties["Stages"]
    asked = {
        stage["Name"]: stage["BeforeEntry"]["Conditions"][0]["Rules"][0]["Configuration"]["Variable"]
        for stage in stages
        if "BeforeEntry" in stage
    }
    assert asked == {
        "ConfirmTest": "#{ReviewTest@Dossier.DOSSIER_RISK}",
        "ConfirmProd": "#{ReviewProd@Dossier.DOSSIER_RISK}",
    }
    rolled_back = {stage["Name"] for stage in stages if stage.get("OnFailure") == {"Result": "ROLLBACK"}}
    assert rolled_back == {"Test", "Prod"}


def test_two_regions_are_deployed_side_by_side_each_with_its_smoke_test(larger: Assembly) -> None:
    prod = pipeline(larger)["Prod"]
    stage_of = {HOME: "Prod", ABROAD: f"Prod-{ABROAD}"}
    by_region = {
        region: [(each["RunOrder"], each["Name"]) for each in prod if each["Name"].startswith(f"{stage}.")]
        for region, stage in stage_of.items()
    }
    home, abroad = by_region.values()
    assert len(home) + len(abroad) == len(prod)
    assert [order for order, _ in home] == [order for order, _ in abroad] == list(range(1, 16))
    for region, actions in by_region.items():
        assert actions[-1][1] == f"{stage_of[region]}.Smoke"
        deploying = [each for each in prod if (each["RunOrder"], each["Name"]) in actions[:-1]]
        # Without one it is the pipeline's own.
        assert {each.get("Region", HOME) for each in deploying} == {region}


def test_the_second_region_stands_on_its_own(larger: Assembly) -> None:
    places = Counter(
        artifact["environment"]
        for artifact in stacks(larger)
        if artifact["properties"]["stackName"].startswith("vision-prod")
    )
    assert places == {f"aws://444444444444/{HOME}": 7, f"aws://444444444444/{ABROAD}": 7}
    home, abroad = variables(larger, "ProdProdSmoke"), variables(larger, "Prodeuwest1Smoke")
    assert (home["ENVIRONMENT"], abroad["ENVIRONMENT"]) == ("prod", f"prod-{ABROAD}")
    assert home["SMOKE_ROLE_ARN"] == "arn:aws:iam::444444444444:role/vision-prod-smoke"
    assert abroad["SMOKE_ROLE_ARN"] == f"arn:aws:iam::444444444444:role/vision-prod-{ABROAD}-smoke"


@pytest.mark.parametrize("stack", ["data", "training", "inference", "monitoring"])
def test_a_further_region_leaves_what_runs_at_home_as_it_is(
    larger: Assembly, assembly: Assembly, stack: str
) -> None:
    (home,) = [
        json.loads(each["template"].read_text())
        for each in stacks(larger)
        if each["properties"]["stackName"] == f"vision-prod-{stack}"
        and each["environment"].endswith(f"/{HOME}")
    ]
    assert home == assembly.templates[f"vision-prod-{stack}"]


def test_a_region_without_the_pipeline_gets_its_artifacts_there(larger: Assembly) -> None:
    assert larger.artifacts["vision-delivery-eu-west-1"]["environment"] == "aws://111111111111/eu-west-1"
    stores = larger.only("AWS::CodePipeline::Pipeline").properties["ArtifactStores"]
    assert {store["Region"] for store in stores} == {HOME, ABROAD}
    using_keys = [
        statement
        for statement in larger.statements(role="PipelineRole")
        if any(action.startswith("kms:") for action in statement.actions)
    ]
    assert using_keys
    assert not [each for each in using_keys if "*" in each.resources]


def test_people_and_time_limits_come_from_the_settings(larger: Assembly) -> None:
    subscription = larger.only("AWS::SNS::Subscription", stack="vision-delivery")
    assert subscription.properties["Endpoint"] == "team@example.com"
    assert subscription.properties["Protocol"] == "email"
    waits = {
        action["TimeoutInMinutes"]
        for actions in pipeline(larger).values()
        for action in actions
        if action["ActionTypeId"]["Category"] == "Approval"
    }
    assert waits == {24 * 60}


def test_the_smoke_tests_budget_reaches_it_and_limits_its_project(larger: Assembly) -> None:
    given = variables(larger, "DevSmoke")
    assert (given["SMOKE_TIMEOUT_SECONDS"], given["SMOKE_MAX_COST_USD"], given["SMOKE_IMAGES"]) == (
        "600",
        "0.5",
        "200",
    )
    (project,) = [
        each for each in larger.resources("AWS::CodeBuild::Project") if "DevSmoke" in each.logical_id
    ]
    assert project.properties["TimeoutInMinutes"] == 10 + 15


def test_one_account_can_hold_everything(single: Assembly) -> None:
    assert without_findings(single)
    assert {each["environment"] for each in single.artifacts.values()} == {"aws://222222222222/us-east-1"}


@pytest.mark.parametrize("variation", ["single", "larger"])
def test_no_two_resources_of_one_place_have_the_same_name(
    variation: str, request: pytest.FixtureRequest
) -> None:
    assembly: Assembly = request.getfixturevalue(variation)
    names: Counter[tuple[str, str, str, str]] = Counter()
    for artifact in stacks(assembly):
        template = json.loads(artifact["template"].read_text())
        account, region = artifact["environment"].removeprefix("aws://").split("/")
        for resource in template["Resources"].values():
            # IAM's names know no regions.
            place = account if resource["Type"].startswith("AWS::IAM::") else f"{account}/{region}"
            for field, value in resource.get("Properties", {}).items():
                naming = field.endswith("Name") and field not in REFERRING.get(resource["Type"], ())
                if naming and isinstance(value, str):
                    names[place, resource["Type"], field, value] += 1
    assert len(names) > 20
    assert [name for name, count in names.items() if count > 1] == []


# Names of other resources that a resource mentions.
REFERRING = {
    "AWS::ApiGateway::Stage": ("StageName",),
    "AWS::CloudWatch::Alarm": ("MetricName",),
    "AWS::EC2::VPCEndpoint": ("ServiceName",),
    # Of a group's own streams.
    "AWS::Logs::LogStream": ("LogStreamName",),
}


def test_no_policy_of_a_single_account_names_a_principal_or_a_statement_twice(single: Assembly) -> None:
    twice: list[str] = []
    for resource in single.resources():
        for document in documents(resource.properties):
            statements = [json.dumps(each, sort_keys=True) for each in document["Statement"]]
            principals = [
                [json.dumps(each, sort_keys=True) for each in group if isinstance(group, list)]
                for statement in document["Statement"]
                if isinstance(statement.get("Principal"), dict)
                for group in statement["Principal"].values()
            ]
            if any(len(set(each)) < len(each) for each in [statements, *principals]):
                twice.append(f"{resource.stack} {resource.logical_id}")
    assert twice == []


def documents(value: Any) -> list[dict[str, Any]]:
    """All policy documents within a resource's properties."""
    if isinstance(value, list):
        return [found for each in value for found in documents(each)]
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("Statement"), list):
        return [value]
    return [found for each in value.values() for found in documents(each)]


def test_commits_can_come_as_a_zip_in_s3(tmp_path: Path) -> None:
    def from_s3(platform: Any) -> None:
        platform["source"] = {"kind": "s3", "bucket": "commits", "key": "main.zip"}

    assembly = synthesize(tmp_path, change=from_s3)
    assert without_findings(assembly)
    stages = pipeline(assembly)
    (action,) = stages["Source"]
    assert action["ActionTypeId"]["Provider"] == "S3"
    assert action["Configuration"]["S3Bucket"] == "commits"
    assert "Triggers" not in assembly.only("AWS::CodePipeline::Pipeline").properties
    (approval,) = stages["Approve"]
    assert ".VersionId}" in approval["Configuration"]["CustomData"]


def test_a_sandbox_is_one_environment_without_a_pipeline(tmp_path: Path) -> None:
    assembly = synthesize(tmp_path, context={"sandbox": "dev"})
    assert not assembly.resources("AWS::CodePipeline::Pipeline")
    assert len(assembly.templates) == 7
    assert "vision-dev-inference" in json.dumps(list(assembly.templates))


def stacks(assembly: Assembly) -> list[dict[str, Any]]:
    """Every stack's manifest entry: in several regions stacks have the same name."""
    found: list[dict[str, Any]] = []
    for manifest in sorted(assembly.folder.rglob("manifest.json")):
        for artifact in json.loads(manifest.read_text())["artifacts"].values():
            if artifact["type"] == "aws:cloudformation:stack":
                found.append(
                    artifact | {"template": manifest.parent / artifact["properties"]["templateFile"]}
                )
    return found
