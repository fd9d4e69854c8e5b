"""Stages that fail are retried or rolled back, by themselves or by a person."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.twin.pipelines.builders import (
    approval_action,
    build_action,
    buildspec,
    conditions,
    exporting,
    variable_rule,
)
from tests.twin.pipelines.pipeline import Pipeline, decide, started, wait_for

pytestmark = pytest.mark.twin
Make = Callable[..., Pipeline]


def test_retry_runs_only_the_failed_actions_and_goes_on(make_pipeline: Make, tmp_path: Path) -> None:
    flag = tmp_path / "works-now"
    fragile = [{"name": "FLAG", "value": str(flag)}]
    pipeline = make_pipeline(
        stages=[
            {
                "Name": "Build",
                "Actions": [
                    build_action("Solid"),
                    build_action("Fragile", configuration={"EnvironmentVariables": json.dumps(fragile)}),
                ],
            },
            {"Name": "After", "Actions": [build_action("Last")]},
        ]
    )
    pipeline.push(buildspec('test -z "$FLAG" || test -e "$FLAG"'))
    execution = started(pipeline)
    assert pipeline.wait(execution)["status"] == "Failed"
    solid = pipeline.actions(execution)["Solid"]["actionExecutionId"]
    retry = {"pipelineName": pipeline.name, "pipelineExecutionId": execution, "retryMode": "FAILED_ACTIONS"}
    with pytest.raises(pipeline.api.exceptions.StageNotRetryableException):
        pipeline.api.retry_stage_execution(stageName="After", **retry)

    flag.touch()
    pipeline.api.retry_stage_execution(stageName="Build", **retry)
    assert pipeline.wait(execution)["status"] == "Succeeded"
    told = pipeline.stage("Build")["retryStageMetadata"]
    assert told == {"manualStageRetryAttempt": 1, "latestRetryTrigger": "ManualStageRetry"}
    actions = pipeline.actions(execution)
    assert actions["Solid"]["actionExecutionId"] == solid
    assert actions["Fragile"]["status"] == actions["Last"]["status"] == "Succeeded"


@pytest.mark.parametrize(("mode", "solid_runs"), [("FAILED_ACTIONS", 1), ("ALL_ACTIONS", 2)])
def test_stage_retries_itself_once_where_it_says_so(
    make_pipeline: Make, tmp_path: Path, mode: str, solid_runs: int
) -> None:
    flag, ran = tmp_path / "second-time", tmp_path / "ran"
    variables = [{"name": "FLAG", "value": str(flag)}]
    fragile = build_action("Fragile", configuration={"EnvironmentVariables": json.dumps(variables)})
    failure = {"Result": "RETRY", "RetryConfiguration": {"RetryMode": mode}}
    pipeline = make_pipeline(
        stages=[{"Name": "Build", "Actions": [build_action("Solid"), fragile], "OnFailure": failure}]
    )
    script = f'if [ -z "$FLAG" ]; then echo ran >> {ran}; else test -e $FLAG || {{ touch $FLAG; false; }}; fi'
    pipeline.push(buildspec(script))
    execution = started(pipeline)
    assert pipeline.wait(execution)["status"] == "Succeeded"  # it has not been Failed in between
    told = pipeline.stage("Build")["retryStageMetadata"]
    assert told == {"autoStageRetryAttempt": 1, "latestRetryTrigger": "AutomatedStageRetry"}
    assert ran.read_text().count("ran") == solid_runs

    broken = pipeline.of_commit(pipeline.push(buildspec("false")))["pipelineExecutionId"]
    ended = pipeline.wait(broken)
    assert ended["status"] == "Failed"
    assert "the second time: the stage was retried once" in ended["statusSummary"]


def test_stage_rolls_back_to_what_an_earlier_execution_delivered(make_pipeline: Make) -> None:
    build = build_action(Namespace="Built")
    pipeline = make_pipeline(
        stages=[{"Name": "Build", "Actions": [build], "OnFailure": {"Result": "ROLLBACK"}}]
    )
    pipeline.push(buildspec("false"))
    alone = started(pipeline)
    assert pipeline.wait(alone)["statusSummary"].endswith(
        "; not rolled back: no execution has succeeded in stage Build with version 1 of the pipeline's "
        "structure yet"
    )
    assert len(pipeline.executions()) == 1

    good = pipeline.push(exporting(SAID="good"))
    first = pipeline.of_commit(good)["pipelineExecutionId"]
    assert pipeline.wait(first)["status"] == "Succeeded"

    bad = pipeline.of_commit(pipeline.push(buildspec("false")))["pipelineExecutionId"]
    ended = pipeline.wait(bad)
    automatic = pipeline.executions()[0]
    assert automatic["executionType"] == "ROLLBACK"
    assert automatic["trigger"]["triggerType"] == "AutomatedRollback"
    assert json.loads(automatic["trigger"]["triggerDetail"]) == {"FailedPipelineExecutionId": bad}
    assert automatic["rollbackMetadata"]["rollbackTargetPipelineExecutionId"] == first
    assert [r["revisionId"] for r in automatic["sourceRevisions"]] == [good]
    key = automatic["pipelineExecutionId"]
    told = f"; execution {key} rolls it back to what execution {first} has delivered"
    assert ended["status"] == "Failed" and ended["statusSummary"].endswith(told)
    assert pipeline.wait(key)["status"] == "Succeeded"
    actions = pipeline.actions(key)
    assert set(actions) == {"Build"}
    assert actions["Build"]["output"]["outputVariables"] == {"SAID": "good"}
    latest = pipeline.stage("Build")["latestExecution"]
    assert latest == {"pipelineExecutionId": key, "status": "Succeeded", "type": "ROLLBACK"}

    here = {"pipelineName": pipeline.name, "stageName": "Build"}
    again = pipeline.api.rollback_stage(**here, targetPipelineExecutionId=first)["pipelineExecutionId"]
    assert pipeline.wait(again)["status"] == "Succeeded"
    assert pipeline.execution(again)["trigger"]["triggerType"] == "ManualRollback"
    with pytest.raises(pipeline.api.exceptions.UnableToRollbackStageException, match="is a rollback itself"):
        pipeline.api.rollback_stage(**here, targetPipelineExecutionId=again)
    with pytest.raises(pipeline.api.exceptions.UnableToRollbackStageException, match="source stage"):
        pipeline.api.rollback_stage(**(here | {"stageName": "Source"}), targetPipelineExecutionId=first)

    pipeline.template["Resources"]["Pipeline"]["Properties"]["Stages"][1]["Actions"].append(
        build_action("Second")
    )
    pipeline.deploy()
    with pytest.raises(pipeline.api.exceptions.PipelineExecutionOutdatedException, match="it has version 2"):
        pipeline.api.rollback_stage(**here, targetPipelineExecutionId=first)
    assert (
        pipeline.api.list_pipeline_executions(
            pipelineName=pipeline.name, filter={"succeededInStage": {"stageName": "Build"}}
        )["pipelineExecutionSummaries"]
        == []
    )


def test_rollback_comes_before_those_that_wait_and_asks_for_approval_again(
    make_pipeline: Make, tmp_path: Path
) -> None:
    check = build_action("Check", RunOrder=2)
    prod = {"Name": "Prod", "Actions": [approval_action(), check], "OnFailure": {"Result": "ROLLBACK"}}
    pipeline = make_pipeline(stages=[prod])
    pipeline.push(buildspec("true"))
    first = started(pipeline)
    decide(pipeline, "Prod")
    assert pipeline.wait(first)["status"] == "Succeeded"

    go = tmp_path / "go"
    bad = pipeline.push(buildspec(f"until test -e {go}; do sleep 0.05; done", "false"))
    failing = pipeline.of_commit(bad)["pipelineExecutionId"]
    decide(pipeline, "Prod")
    wait_for(lambda: "Check" in pipeline.actions(failing), "the check to begin")
    waiting = pipeline.of_commit(pipeline.push(buildspec("true")))["pipelineExecutionId"]
    wait_for(lambda: pipeline.stage("Prod").get("inboundExecutions"), "the next execution to wait")
    with pytest.raises(pipeline.api.exceptions.UnableToRollbackStageException, match="is in stage 'Prod'"):
        pipeline.api.rollback_stage(
            pipelineName=pipeline.name, stageName="Prod", targetPipelineExecutionId=first
        )
    go.touch()
    assert pipeline.wait(failing)["status"] == "Failed"

    def in_prod() -> Any:
        latest = pipeline.stage("Prod")["latestExecution"]
        return latest if latest["pipelineExecutionId"] != failing else None

    rolled_back = wait_for(in_prod, "the rollback to enter the stage")
    assert rolled_back["type"] == "ROLLBACK"
    decide(pipeline, "Prod")
    assert pipeline.wait(rolled_back["pipelineExecutionId"])["status"] == "Succeeded"
    decide(pipeline, "Prod")
    assert pipeline.wait(waiting)["status"] == "Succeeded"


def test_condition_on_success_can_roll_a_stage_back(make_pipeline: Make) -> None:
    stage = {
        "Name": "Prod",
        "Actions": [build_action("Check", Namespace="Checked")],
        "OnSuccess": conditions("ROLLBACK", variable_rule("#{Checked.HEALTH}", "EQ", "good")),
        "OnFailure": conditions("ROLLBACK", variable_rule("#{Code.CommitMessage}", "CONTAINS", "keep")),
    }
    pipeline = make_pipeline(stages=[stage])
    pipeline.push(exporting(HEALTH="good"))
    first = started(pipeline)
    assert pipeline.wait(first)["status"] == "Succeeded"
    sick = pipeline.of_commit(pipeline.push(exporting(HEALTH="bad")))["pipelineExecutionId"]
    ended = pipeline.wait(sick)
    assert ended["status"] == "Failed"
    assert ended["statusSummary"].startswith("Prod: its condition on success is not met: Check: ")
    rolled_back = pipeline.executions()[0]
    assert rolled_back["rollbackMetadata"]["rollbackTargetPipelineExecutionId"] == first
    assert pipeline.wait(rolled_back["pipelineExecutionId"])["status"] == "Succeeded"

    kept = pipeline.of_commit(pipeline.push(buildspec("false"), message="keep it"))["pipelineExecutionId"]
    assert "roll" not in pipeline.wait(kept)["statusSummary"]  # the condition is met: nothing engages
    assert pipeline.stage("Prod")["onFailureConditionState"]["latestExecution"]["status"] == "Succeeded"
