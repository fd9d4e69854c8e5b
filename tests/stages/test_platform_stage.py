"""One environment: what stands where, what survives, what the settings change and what they leave alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.assembly import Assembly, synthesize

STATEFUL = {
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::KMS::Key",
    "AWS::SageMaker::ModelPackageGroup",
}
# CloudFormation stops at 500 resources and 1 MB; there must be room for a platform that grows.
MOST_RESOURCES, MOST_BYTES = 400, 800_000


def sandbox(folder: Path, change: Any = None) -> Assembly:
    """One environment by itself, which synthesizes faster than the pipeline with all of them."""
    return synthesize(folder, change=change, context={"sandbox": "dev"})


def test_each_environment_has_its_seven_stacks(assembly: Assembly) -> None:
    expected = {
        f"vision-{environment}-{stack}"
        for environment in ("dev", "staging", "prod")
        for stack in ("foundation", "data", "promotion", "training", "streaming", "inference", "monitoring")
    }
    assert set(assembly.templates) == expected | {"vision-delivery"}


def test_environments_are_deployed_into_their_own_accounts(assembly: Assembly) -> None:
    places = {name: artifact["environment"] for name, artifact in assembly.artifacts.items()}
    assert places["vision-dev-data"] == "aws://222222222222/us-east-1"
    assert places["vision-staging-data"] == "aws://333333333333/us-east-1"
    assert places["vision-prod-data"] == "aws://444444444444/us-east-1"
    assert places["vision-delivery"] == "aws://111111111111/us-east-1"


def test_what_has_a_memory_stands_apart_and_survives_its_stack(assembly: Assembly) -> None:
    for resource in assembly.resources(*STATEFUL, stack="vision-dev"):
        assert resource.stack in {"vision-dev-foundation", "vision-dev-data"}, resource.logical_id
        assert resource.definition["DeletionPolicy"] == "RetainExceptOnCreate", resource.logical_id
        assert resource.definition["UpdateReplacePolicy"] == "Retain", resource.logical_id


def test_prod_alone_is_protected_against_deletion(assembly: Assembly) -> None:
    protected = {
        name
        for name, artifact in assembly.artifacts.items()
        if artifact["properties"].get("terminationProtection")
    }
    assert protected == {"vision-prod-foundation", "vision-prod-data"}
    tables = {
        each.stack: each.properties["DeletionProtectionEnabled"]
        for each in assembly.resources("AWS::DynamoDB::Table")
        if each.stack != "vision-delivery"
    }
    assert tables == {"vision-dev-data": False, "vision-staging-data": False, "vision-prod-data": True}


def test_nothing_is_done_by_custom_resources(assembly: Assembly) -> None:
    types = {resource.type for resource in assembly.resources()}
    assert not {each for each in types if each.startswith("Custom::") or "CustomResource" in each}


def test_no_template_comes_near_cloudformations_limits(assembly: Assembly) -> None:
    for name, template in assembly.templates.items():
        assert len(template["Resources"]) < MOST_RESOURCES, name
        assert len(json.dumps(template)) < MOST_BYTES, name


def test_synthesis_asks_aws_nothing(assembly: Assembly) -> None:
    for manifest in assembly.folder.rglob("manifest.json"):
        assert "missing" not in json.loads(manifest.read_text()), manifest


def test_stacks_refer_to_each_other_without_exports_that_would_lock_them(assembly: Assembly) -> None:
    text = json.dumps(assembly.templates)
    assert "Fn::ImportValue" not in text
    assert "Fn::GetStackOutput" in text


def test_smoke_tests_find_their_inputs_among_the_outputs(assembly: Assembly) -> None:
    outputs = {
        output
        for name, template in assembly.templates.items()
        if "vision-dev" in name
        for output in template.get("Outputs", {})
    }
    assert {"ApiUrl", "StateMachineArn", "DatasetsBucket", "ArtifactsBucket", "LineageTableName"} <= outputs


def test_a_network_comes_with_one_setting_and_needs_no_look_up(tmp_path: Path) -> None:
    def with_network(platform: Any) -> None:
        platform["network"] = {"vpc": True, "zones": ["b", "c"]}

    assembly = sandbox(tmp_path, with_network)
    assert assembly.report["conclusion"] == "success"
    zones = {each.properties["AvailabilityZone"] for each in assembly.resources("AWS::EC2::Subnet")}
    assert zones == {"us-east-1b", "us-east-1c"}
    assert not assembly.resources("AWS::EC2::InternetGateway", "AWS::EC2::NatGateway")
    assert all("VpcConfig" in each.properties for each in assembly.resources("AWS::Lambda::Function"))
    # Training jobs, trials, evaluation jobs and models.
    machines = assembly.resources("AWS::StepFunctions::StateMachine")
    assert sum(json.dumps(each.properties["DefinitionString"]).count("VpcConfig") for each in machines) == 4
    test_synthesis_asks_aws_nothing(assembly)


def test_an_alarm_threshold_changes_the_monitoring_stack_and_no_other(tmp_path: Path) -> None:
    def slower(platform: Any) -> None:
        platform["monitoring"] = {"api_p99_latency_ms": 2500}

    before, after = sandbox(tmp_path / "before"), sandbox(tmp_path / "after", slower)
    changed = {name for name, template in after.templates.items() if template != before.templates[name]}
    assert changed == {"vision-dev-monitoring"}


def test_gate_hosting_and_triggers_come_from_the_settings(tmp_path: Path) -> None:
    def stricter(platform: Any) -> None:
        platform["environments"][0] |= {
            "gate": {"min_accuracy": 0.99},
            "training": {"schedule": "cron(0 3 ? * MON *)", "on_drift": False},
            "hosting": {"instance_type": "ml.c7i.2xlarge"},
            "retention": {"prediction_days": 7},
        }

    assembly = sandbox(tmp_path, stricter)
    variables = [
        each.properties["Environment"]["Variables"] for each in assembly.resources("AWS::Lambda::Function")
    ]
    gates = [json.loads(each["GATE_SETTINGS"]) for each in variables if "GATE_SETTINGS" in each]
    assert [each["min_accuracy"] for each in gates] == [0.99]
    assert [each["PREDICTION_RETENTION_DAYS"] for each in variables if "CHAMPION_ENDPOINT" in each] == [
        "7",
        "7",
    ]
    promotion = assembly.only("AWS::StepFunctions::StateMachine", stack="promotion")
    assert '\\"InstanceType\\":\\"ml.c7i.2xlarge\\"' in json.dumps(promotion.properties)
    rules = {
        each.logical_id: each.properties for each in assembly.resources("AWS::Events::Rule", stack="training")
    }
    schedule = next(each for name, each in rules.items() if "Schedule" in name)
    assert schedule["ScheduleExpression"] == "cron(0 3 ? * MON *)"
    assert '\\"reason\\":\\"schedule\\"' in json.dumps(schedule["Targets"])
    assert not any("Drift" in name for name in rules)


@pytest.mark.parametrize("stack", ["vision-dev-training", "vision-dev-promotion", "vision-dev-inference"])
def test_functions_run_as_they_were_packaged(assembly: Assembly, stack: str) -> None:
    for function in assembly.resources("AWS::Lambda::Function", stack=stack):
        assert function.properties["Runtime"] == "python3.14"
        assert function.properties["Architectures"] == ["arm64"]
        assert function.properties["Handler"] == "handler.handler"
        assert function.properties["TracingConfig"] == {"Mode": "Active"}
