"""What the operator's commands look for by name is what the templates call so."""

from __future__ import annotations

from tests.assembly import Assembly


def test_outputs_that_operators_read(assembly: Assembly) -> None:
    wanted = {
        "vision-dev-data": {"DatasetsBucket", "ArtifactsBucket", "LineageTableName"},
        "vision-dev-inference": {"ApiUrl"},
    }
    for stack, names in wanted.items():
        assert names <= set(assembly.templates[stack]["Outputs"])


def test_workflows_endpoints_and_alarms_that_operators_name(assembly: Assembly) -> None:
    machines = {
        each.properties["StateMachineName"]
        for each in assembly.resources("AWS::StepFunctions::StateMachine", stack="-dev-")
    }
    assert machines >= {"vision-dev-training", "vision-dev-promotion"}
    alarms = {
        each.properties.get("AlarmName")
        for each in assembly.resources("AWS::CloudWatch::Alarm", stack="-dev-")
    }
    assert "vision-dev-champion-quality" in alarms
    groups = {
        each.properties["ModelPackageGroupName"]
        for each in assembly.resources("AWS::SageMaker::ModelPackageGroup", stack="-dev-")
    }
    assert "vision-dev-champion" in groups
