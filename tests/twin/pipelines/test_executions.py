"""What people and time do to executions: stop, supersede, hold back, restart of the twin."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.twin.conftest import Twin, start_twin
from tests.twin.pipelines.builders import TOOLING, approval_action, build_action, buildspec
from tests.twin.pipelines.conftest import write_project
from tests.twin.pipelines.pipeline import Pipeline, decide, started, wait_for

pytestmark = pytest.mark.twin
Make = Callable[..., Pipeline]


def test_stop_waits_for_the_action_and_abandon_does_not(make_pipeline: Make, tmp_path: Path) -> None:
    pipeline = make_pipeline(
        stages=[
            {"Name": "Build", "Actions": [build_action()]},
            {"Name": "Review", "Actions": [approval_action()]},
            {"Name": "After", "Actions": [build_action("Never")]},
        ]
    )
    go = tmp_path / "go"
    pipeline.push(buildspec(f"until test -e {go}; do sleep 0.05; done"))
    first = started(pipeline)
    wait_for(lambda: pipeline.state("Build", "Build").get("status") == "InProgress", "the build")
    stop = {"pipelineName": pipeline.name, "reason": "changed my mind"}
    pipeline.api.stop_pipeline_execution(pipelineExecutionId=first, **stop)
    assert (
        pipeline.execution(first)["status"]
        == pipeline.stage("Build")["latestExecution"]["status"]
        == "Stopping"
    )
    go.touch()
    ended = pipeline.wait(first)
    assert ended["status"] == "Stopped"
    assert "changed my mind" in ended["statusSummary"]
    assert pipeline.actions(first)["Build"]["status"] == "Succeeded"

    second = pipeline.api.start_pipeline_execution(name=pipeline.name, clientRequestToken="once")
    again = pipeline.api.start_pipeline_execution(name=pipeline.name, clientRequestToken="once")
    assert second["pipelineExecutionId"] == again["pipelineExecutionId"]
    pipeline.token("Review", "Approve")
    pipeline.api.stop_pipeline_execution(
        pipelineExecutionId=second["pipelineExecutionId"], abandon=True, **stop
    )
    assert pipeline.wait(second["pipelineExecutionId"])["status"] == "Stopped"
    assert pipeline.actions(second["pipelineExecutionId"])["Approve"]["status"] == "Abandoned"
    with pytest.raises(pipeline.api.exceptions.PipelineExecutionNotStoppableException):
        pipeline.api.stop_pipeline_execution(pipelineExecutionId=second["pipelineExecutionId"], **stop)


def test_superseded_mode_keeps_only_the_newest_waiting(make_pipeline: Make) -> None:
    pipeline = make_pipeline(
        stages=[{"Name": "Review", "Actions": [approval_action()]}], pipeline={"ExecutionMode": "SUPERSEDED"}
    )
    pipeline.push({"a": "1"})
    first = started(pipeline)
    pipeline.token("Review", "Approve")
    second = pipeline.of_commit(pipeline.push({"a": "2"}))["pipelineExecutionId"]
    third = pipeline.of_commit(pipeline.push({"a": "3"}))["pipelineExecutionId"]
    assert pipeline.wait(second)["status"] == "Superseded"
    decide(pipeline, "Review")
    assert pipeline.wait(first)["status"] == "Succeeded"
    wait_for(lambda: pipeline.state("Review", "Approve").get("token"), "the third")
    decide(pipeline, "Review")
    assert pipeline.wait(third)["status"] == "Succeeded"


def test_closed_transition_holds_executions_until_it_opens(make_pipeline: Make) -> None:
    closed = {"DisableInboundStageTransitions": [{"StageName": "Build", "Reason": "freeze"}]}
    pipeline = make_pipeline(stages=[{"Name": "Build", "Actions": [build_action()]}], pipeline=closed)
    pipeline.push(buildspec("true"))
    execution = started(pipeline)

    wait_for(lambda: pipeline.stage("Build").get("inboundExecution"), "the execution before the stage")
    state = pipeline.stage("Build")["inboundTransitionState"]
    assert state == {"enabled": False, "disabledReason": "freeze"}
    pipeline.api.enable_stage_transition(
        pipelineName=pipeline.name, stageName="Build", transitionType="Inbound"
    )
    assert pipeline.wait(execution)["status"] == "Succeeded"


def test_restart_of_the_twin_fails_what_ran_and_keeps_what_waited(
    tmp_path: Path, make_pipeline: Make
) -> None:
    home, project = tmp_path / "home", write_project(tmp_path / "project")
    first: Twin = start_twin(home, project=project)
    waiting = make_pipeline(first, stages=[{"Name": "Review", "Actions": [approval_action()]}])
    waiting.push({"a": "1"})
    approval = started(waiting)
    token = waiting.token("Review", "Approve")
    running = make_pipeline(first, stages=[{"Name": "Build", "Actions": [build_action()]}])
    # Of this process alone: other tests may run beside this one.
    nap = f"sleep {100_000 + os.getpid()}"
    running.push(buildspec("echo started", f"test ! -e slow || {nap}"))
    assert running.wait(started(running))["status"] == "Succeeded"
    build = running.of_commit(running.push({"slow": ""}))["pipelineExecutionId"]
    wait_for(lambda: _running_build(running, build, nap), "the build's command")
    assert first.stop() == 0
    wait_for(lambda: nap not in _commands(), "the build's command to end")

    second = start_twin(home, project=project)
    try:
        waiting.twin = running.twin = second
        ended = running.execution(build)
        assert ended["status"] == "Failed"
        assert (
            ended["statusSummary"] == "The twin was stopped in stage Build. Retry the stage, or push again."
        )
        error = running.actions(build)["Build"]["output"]["executionResult"]["errorDetails"]
        assert error == {"code": "SystemUnavailable", "message": "the twin was stopped while this ran"}
        key = running.actions(build)["Build"]["output"]["executionResult"]["externalExecutionId"]
        assert second.client("codebuild").batch_get_builds(ids=[key])["builds"][0]["buildStatus"] == "FAULT"
        assert waiting.token("Review", "Approve") == token
        decide(waiting, "Review")
        assert waiting.wait(approval)["status"] == "Succeeded"
        # What was pushed before the restart is no news after it.
        second.get("pushes?commit=none")
        assert [len(each.executions()) for each in (waiting, running)] == [1, 2]
        assert waiting.actions(approval)["Approve"]["updatedBy"] == f"arn:aws:iam::{TOOLING}:root"
        running.git("rm", "--quiet", "slow")
        commit = running.push({})
        assert running.wait(running.of_commit(commit)["pipelineExecutionId"])["status"] == "Succeeded"
    finally:
        second.stop()


def _commands() -> list[str]:
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "command="], capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def _running_build(pipeline: Pipeline, execution: str, command: str) -> bool:
    action = pipeline.actions(execution).get("Build", {}).get("output", {}).get("executionResult", {})
    log = action.get("externalExecutionUrl", "").removeprefix("file://")
    return bool(log) and command in Path(log).read_text()
