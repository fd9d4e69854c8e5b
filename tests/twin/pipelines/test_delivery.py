"""Pipelines run in the twin: pushes are built, queue, fail with their reason, and change their pipeline."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.twin.pipelines.builders import build_action, buildspec
from tests.twin.pipelines.pipeline import Pipeline, wait_for

pytestmark = pytest.mark.twin
Make = Callable[..., Pipeline]


def test_push_is_built_and_its_commit_known(make_pipeline: Make) -> None:
    pipeline = make_pipeline(stages=[{"Name": "Build", "Actions": [build_action(Namespace="Built")]}])
    pipeline.deploy()
    first = pipeline.executions()[0]
    assert first["trigger"]["triggerType"] == "CreatePipeline"
    failed = pipeline.wait(first["pipelineExecutionId"])
    assert failed["status"] == "Failed"  # nothing was pushed yet
    source = pipeline.actions(first["pipelineExecutionId"])["Code"]["output"]["executionResult"]
    assert source["errorDetails"]["code"] == "RevisionUnavailable"
    assert "has no branch 'main' yet" in source["errorDetails"]["message"]

    commit = pipeline.push(
        buildspec("export ANSWER=$(cat answer.txt)", env={"exported-variables": ["ANSWER"]})
        | {"answer.txt": "42"},
        message="First commit",
    )
    execution = pipeline.of_commit(commit)["pipelineExecutionId"]
    assert pipeline.wait(execution)["status"] == "Succeeded"
    actions = pipeline.actions(execution)
    assert actions["Code"]["output"]["outputVariables"]["CommitMessage"] == "First commit"
    assert actions["Build"]["output"]["outputVariables"] == {"ANSWER": "42"}
    build = pipeline.twin.client("codebuild").batch_get_builds(
        ids=[actions["Build"]["output"]["executionResult"]["externalExecutionId"]]
    )["builds"][0]
    assert build["buildStatus"] == "SUCCEEDED"
    assert build["initiator"] == f"codepipeline/{pipeline.name}"
    assert build["resolvedSourceVersion"] == commit


def test_failing_build_stops_everything_after_it(make_pipeline: Make) -> None:
    pipeline = make_pipeline(
        stages=[
            {"Name": "Build", "Actions": [build_action("Good"), build_action("Bad", configuration={
                "EnvironmentVariables": json.dumps([{"name": "FAIL", "value": "yes"}])}),
                build_action("Later", RunOrder=2)]},
            {"Name": "After", "Actions": [build_action("Never")]},
        ]
    )  # fmt: skip
    command = 'if [ "$FAIL" = yes ]; then echo "the reason is written here"; exit 3; fi'
    pipeline.push(buildspec(command))
    pipeline.deploy()
    execution = pipeline.executions()[0]["pipelineExecutionId"]
    ended = pipeline.wait(execution)
    assert ended["status"] == "Failed"
    actions = pipeline.actions(execution)
    assert {name: a["status"] for name, a in actions.items()} == {
        "Code": "Succeeded", "Good": "Succeeded", "Bad": "Failed"
    }  # fmt: skip
    result = actions["Bad"]["output"]["executionResult"]
    message = result["errorDetails"]["message"]
    assert message.startswith(
        "Build terminated with state: FAILED. Phase: BUILD, Code: COMMAND_EXECUTION_ERROR, Message: "
    )
    assert "exit status 3" in message and "the reason is written here" in message
    log = message.split("Log: ")[1].split(". Last output")[0]
    assert "the reason is written here" in Path(log).read_text()
    assert result["externalExecutionUrl"] == f"file://{log}"
    assert message in ended["statusSummary"]
    group, stream = result["logStreamARN"].split(":log-group:")[1].split(":log-stream:")
    events = pipeline.twin.client("logs").get_log_events(logGroupName=group, logStreamName=stream)["events"]
    assert any(e["message"] == "the reason is written here" for e in events)


def test_two_pushes_at_once_queue_in_order_and_share_no_stage(make_pipeline: Make, tmp_path: Path) -> None:
    pipeline = make_pipeline(stages=[{"Name": "Build", "Actions": [build_action()]}])
    pipeline.push(buildspec("true"))
    pipeline.deploy()
    pipeline.wait(pipeline.executions()[0]["pipelineExecutionId"])
    go = tmp_path / "go"
    one = pipeline.push(buildspec(f"until test -e {go}; do sleep 0.05; done"))
    first = pipeline.of_commit(one)["pipelineExecutionId"]
    two = pipeline.push(buildspec("true"))
    second = pipeline.of_commit(two)["pipelineExecutionId"]
    wait_for(lambda: _inbound(pipeline, "Build") == [second], "the second alone to wait")
    go.touch()
    assert pipeline.wait(second)["status"] == pipeline.wait(first)["status"] == "Succeeded"
    builds = [pipeline.actions(e)["Build"] for e in (first, second)]
    assert builds[0]["lastUpdateTime"] <= builds[1]["startTime"]


def _inbound(pipeline: Pipeline, stage: str) -> list[str]:
    return [e["pipelineExecutionId"] for e in pipeline.stage(stage).get("inboundExecutions", [])]


def test_self_mutation_restarts_with_the_new_definition(make_pipeline: Make) -> None:
    """The build deploys the pipeline's own stack: a push that adds a stage is delivered through it."""
    update = "python3 update.py"
    pipeline = make_pipeline(
        stages=[
            {"Name": "Update", "Actions": [build_action("SelfMutate")]},
            {"Name": "Dev", "Actions": [build_action("Old")]},
        ],
        build_statements=[
            {
                "Action": ["cloudformation:*", "codepipeline:*", "iam:*", "codebuild:*", "s3:*"],
                "Resource": "*",
            }
        ],
    )
    script = f"""
import json, os, subprocess, sys, time
sys.path[:0] = {_boto3_path()!r}
import boto3
cloudformation = boto3.client("cloudformation")
try:
    cloudformation.update_stack(StackName="{pipeline.name}", TemplateBody=open("pipeline.json").read(),
                                Capabilities=["CAPABILITY_NAMED_IAM"])
except Exception as fault:
    if "No updates" not in str(fault): raise
def status():
    return cloudformation.describe_stacks(StackName="{pipeline.name}")["Stacks"][0]["StackStatus"]
while status().endswith("_IN_PROGRESS"):
    time.sleep(0.1)
"""
    files = buildspec(update) | {"update.py": script, "pipeline.json": json.dumps(pipeline.template)}
    pipeline.push(files)
    pipeline.deploy()
    assert pipeline.wait(pipeline.executions()[0]["pipelineExecutionId"])["status"] == "Succeeded"

    longer = json.loads(json.dumps(pipeline.template))
    stages = longer["Resources"]["Pipeline"]["Properties"]["Stages"]
    stages.append({"Name": "Added", "Actions": [build_action("New")]})
    commit = pipeline.push(files | {"pipeline.json": json.dumps(longer)})
    before = pipeline.of_commit(commit)["pipelineExecutionId"]
    ended = pipeline.wait(before)
    assert ended["status"] == "Cancelled"
    assert pipeline.actions(before)["SelfMutate"]["status"] == "Succeeded"
    assert "Old" not in pipeline.actions(before)
    after = ended["statusSummary"].split("execution ")[-1].split(" ")[0]
    restarted = pipeline.wait(after)
    assert restarted["status"] == "Succeeded"
    assert restarted["pipelineVersion"] == 2
    assert restarted["artifactRevisions"][0]["revisionId"] == commit
    assert set(pipeline.actions(after)) == {"Code", "SelfMutate", "Old", "New"}
    assert len(pipeline.executions()) == 3  # the restart changed nothing, and restarted nothing


def _boto3_path() -> list[str]:
    import boto3

    return [boto3.__file__.rsplit("/boto3/", 1)[0]]
