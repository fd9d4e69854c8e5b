"""Stage conditions at work: stages are skipped, kept shut, let pass by a person."""

from collections.abc import Callable

import pytest

from tests.twin.pipelines.builders import (
    approval_action,
    build_action,
    buildspec,
    conditions,
    exporting,
    variable_rule,
)
from tests.twin.pipelines.pipeline import Pipeline, decide, started

pytestmark = pytest.mark.twin
Make = Callable[..., Pipeline]
NAMESPACE = "Dossier@Review"
RISK = f"#{{{NAMESPACE}.RISK}}"


def test_stage_is_skipped_unless_its_entry_condition_is_met(make_pipeline: Make) -> None:
    pipeline = make_pipeline(
        stages=[
            {"Name": "Review", "Actions": [build_action("Dossier", Namespace=NAMESPACE)]},
            {
                "Name": "Confirm",
                "Actions": [approval_action()],
                "BeforeEntry": conditions("SKIP", variable_rule(RISK, "EQ", "confirm")),
            },
            {"Name": "Prod", "Actions": [build_action("Deploy")]},
        ]
    )
    pipeline.push(exporting(RISK="none"))
    harmless = started(pipeline)
    assert pipeline.wait(harmless)["status"] == "Succeeded"
    assert set(pipeline.actions(harmless)) == {"Code", "Dossier", "Deploy"}
    confirm = pipeline.stage("Confirm")
    assert confirm["latestExecution"]["status"] == "Skipped"
    why = f"Check: {RISK} is 'none', but must equal 'confirm'"
    state = confirm["beforeEntryConditionState"]
    assert state["latestExecution"] == {"status": "Failed", "summary": why}
    assert state["conditionStates"][0]["ruleStates"][0]["latestExecution"]["status"] == "Failed"
    rules = pipeline.api.list_rule_executions(
        pipelineName=pipeline.name, filter={"pipelineExecutionId": harmless}
    )["ruleExecutionDetails"]
    assert [(r["stageName"], r["ruleName"], r["status"]) for r in rules] == [("Confirm", "Check", "Failed")]
    assert rules[0]["input"]["resolvedConfiguration"] == {
        "Variable": "none", "Operator": "EQ", "Value": "confirm"
    }  # fmt: skip
    assert [t["id"]["provider"] for t in pipeline.api.list_rule_types()["ruleTypes"]] == ["VariableCheck"]

    here = {"pipelineName": pipeline.name, "stageName": "Confirm", "pipelineExecutionId": harmless}
    with pytest.raises(pipeline.api.exceptions.StageNotRetryableException, match="was skipped"):
        pipeline.api.retry_stage_execution(**here, retryMode="ALL_ACTIONS")
    with pytest.raises(pipeline.api.exceptions.ConditionNotOverridableException, match="SKIP has engaged"):
        pipeline.api.override_stage_condition(**here, conditionType="BEFORE_ENTRY")
    with pytest.raises(pipeline.api.exceptions.UnableToRollbackStageException, match="has not succeeded"):
        pipeline.api.rollback_stage(
            pipelineName=pipeline.name, stageName="Confirm", targetPipelineExecutionId=harmless
        )

    risky = pipeline.of_commit(pipeline.push(exporting(RISK="confirm")))["pipelineExecutionId"]
    decide(pipeline, "Confirm")
    assert pipeline.wait(risky)["status"] == "Succeeded"
    assert pipeline.stage("Confirm")["latestExecution"]["status"] == "Succeeded"
    assert pipeline.stage("Confirm")["beforeEntryConditionState"]["latestExecution"]["status"] == "Succeeded"

    nothing_said = pipeline.of_commit(pipeline.push(buildspec("true")))["pipelineExecutionId"]
    ended = pipeline.wait(nothing_said)
    assert ended["status"] == "Failed"  # nobody is let past a question that could not be put
    assert f"the variable {RISK} is not defined" in ended["statusSummary"]
    assert pipeline.stage("Confirm")["beforeEntryConditionState"]["latestExecution"]["status"] == "Errored"


def test_conditions_that_fail_a_stage_can_be_overridden(make_pipeline: Make) -> None:
    color = "#{Built.COLOR}"
    pipeline = make_pipeline(
        stages=[
            {
                "Name": "Build",
                "Actions": [build_action(Namespace="Built")],
                "OnSuccess": conditions(
                    "FAIL", variable_rule(color, "NE", "red"), variable_rule(color, "MATCHES", ".*", "Any")
                ),
            },
            {
                "Name": "Prod",
                "Actions": [build_action("Deploy")],
                "BeforeEntry": conditions("FAIL", variable_rule(color, "CONTAINS", "green")),
            },
        ]
    )
    pipeline.push(exporting(COLOR="red"))
    execution = started(pipeline)
    here = {"pipelineName": pipeline.name, "pipelineExecutionId": execution}
    ended = pipeline.wait(execution)
    assert ended["status"] == "Failed"
    assert ended["statusSummary"] == (
        f"Build: its condition on success is not met: Check: {color} is 'red', but must differ from 'red'"
    )
    state = pipeline.stage("Build")["onSuccessConditionState"]["conditionStates"][0]
    assert [rule["latestExecution"]["status"] for rule in state["ruleStates"]] == ["Failed", "Succeeded"]
    with pytest.raises(pipeline.api.exceptions.ConditionNotOverridableException, match="no condition"):
        pipeline.api.override_stage_condition(**here, stageName="Build", conditionType="BEFORE_ENTRY")

    pipeline.api.override_stage_condition(**here, stageName="Build", conditionType="ON_SUCCESS")
    ended = pipeline.wait(execution)
    assert ended["statusSummary"] == (
        f"Prod: its entry condition is not met: Check: {color} is 'red', but must contain 'green'"
    )
    assert "Deploy" not in pipeline.actions(execution)
    assert pipeline.stage("Build")["latestExecution"]["status"] == "Succeeded"

    pipeline.api.override_stage_condition(**here, stageName="Prod", conditionType="BEFORE_ENTRY")
    assert pipeline.wait(execution)["status"] == "Succeeded"
    assert pipeline.actions(execution)["Deploy"]["status"] == "Succeeded"
    state = pipeline.stage("Prod")["beforeEntryConditionState"]
    assert state["latestExecution"]["status"] == "Overridden"
