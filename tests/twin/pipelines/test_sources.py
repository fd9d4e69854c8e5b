"""What starts pipelines, and what their sources bring."""

import io
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.twin.pipelines.builders import build_action, buildspec, role
from tests.twin.pipelines.pipeline import Pipeline, reasons, wait_for

pytestmark = pytest.mark.twin
Make = Callable[..., Pipeline]


def trigger(**push: Any) -> dict[str, Any]:
    return {
        "Triggers": [
            {
                "ProviderType": "CodeStarSourceConnection",
                "GitConfiguration": {"SourceActionName": "Code", "Push": [push]},
            }
        ]
    }


def settle(pipeline: Pipeline) -> None:
    pipeline.deploy()
    pipeline.wait(pipeline.executions()[0]["pipelineExecutionId"])


def test_filters_choose_branches_and_paths(make_pipeline: Make) -> None:
    filters = trigger(
        Branches={"Includes": ["main", "release/**"]}, FilePaths={"Excludes": ["docs/**", "*.md"]}
    )
    pipeline = make_pipeline(stages=[{"Name": "Build", "Actions": [build_action()]}], pipeline=filters)
    pipeline.push(buildspec("cat note.txt || true"))
    settle(pipeline)
    pipeline.push({"docs/a.txt": "1", "README.md": "2"})
    pipeline.push({"note.txt": "1"}, branch="experiment")
    release = pipeline.push({"note.txt": "2", "docs/a.txt": "3"}, branch="release/1")
    execution = pipeline.of_commit(release)["pipelineExecutionId"]
    assert pipeline.wait(execution)["status"] == "Succeeded"
    assert pipeline.actions(execution)["Code"]["output"]["outputVariables"]["BranchName"] == "release/1"
    assert [e["trigger"]["triggerType"] for e in pipeline.executions()] == ["WebhookV2", "CreatePipeline"]


def test_full_clone_gives_the_build_its_history(make_pipeline: Make) -> None:
    pipeline = make_pipeline(
        stages=[{"Name": "Build", "Actions": [build_action()]}],
        build_statements=[{"Action": "codestar-connections:UseConnection", "Resource": "*"}],
    )
    source = pipeline.template["Resources"]["Pipeline"]["Properties"]["Stages"][0]["Actions"][0]
    source["Configuration"]["OutputArtifactFormat"] = "CODEBUILD_CLONE_REF"
    pipeline.push({"a": "1"}, message="One")
    commands = [
        'test "$(git log --format=%s | tr "\\n" " ")" = "Two One "',
        "git rev-parse --abbrev-ref HEAD | grep main",
    ]
    commit = pipeline.push(buildspec(*commands), message="Two")
    settle(pipeline)
    execution = pipeline.executions()[0]["pipelineExecutionId"]
    assert pipeline.wait(execution)["status"] == "Succeeded", pipeline.actions(execution)
    assert pipeline.execution(execution)["artifactRevisions"][0]["revisionId"] == commit


def test_zip_in_s3_is_a_source_and_a_new_one_starts_the_pipeline(make_pipeline: Make) -> None:
    pipeline = make_pipeline(
        stages=[{"Name": "Build", "Actions": [build_action(Namespace="Built")]}],
        pipeline_statements=[{"Action": "s3:GetObject*", "Resource": "arn:aws:s3:::zipped-source/*"}],
    )
    action = pipeline.template["Resources"]["Pipeline"]["Properties"]["Stages"][0]["Actions"][0]
    action["ActionTypeId"]["Provider"] = "S3"
    action["Configuration"] = {"S3Bucket": "zipped-source", "S3ObjectKey": "code.zip"}
    s3 = pipeline.twin.client("s3")
    s3.create_bucket(Bucket="zipped-source")

    def upload(said: str) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            spec = buildspec(f"export SAID={said}", env={"exported-variables": ["SAID"]})
            archive.writestr("buildspec.yml", spec["buildspec.yml"])
        s3.put_object(Bucket="zipped-source", Key="code.zip", Body=content.getvalue())

    upload("one")
    settle(pipeline)
    execution = pipeline.executions()[0]["pipelineExecutionId"]
    assert pipeline.actions(execution)["Build"]["output"]["outputVariables"] == {"SAID": "one"}
    assert pipeline.actions(execution)["Code"]["output"]["outputVariables"]["ObjectKey"] == "code.zip"
    uploaded = [time.monotonic()]

    def polled_execution() -> Any:
        """Upload again when nothing starts: the twin may not have looked at the object before."""
        if time.monotonic() > uploaded[-1] + 2:
            uploaded.append(time.monotonic())
            upload(f"two{len(uploaded)}")
        return pipeline.executions()[:-1]

    polled = wait_for(polled_execution, "an execution by polling")[-1]
    assert polled["trigger"]["triggerType"] == "PollForSourceChanges"
    pipeline.wait(polled["pipelineExecutionId"])
    actions = pipeline.actions(polled["pipelineExecutionId"])
    assert actions["Build"]["output"]["outputVariables"]["SAID"].startswith("two")


def test_unknown_kind_of_action_fails_its_stack_by_name(make_pipeline: Make) -> None:
    action = build_action()
    action["ActionTypeId"]["Provider"] = "Jenkins"
    pipeline = make_pipeline(stages=[{"Name": "Build", "Actions": [action]}])
    with pytest.raises(AssertionError):
        pipeline.deploy()
    said = "; ".join(reasons(pipeline.twin.client("cloudformation"), pipeline.name))
    assert "action type Build/AWS/Jenkins (action Build/Build) is not implemented by the local twin" in said


FUNCTION = """
import boto3
def handler(event, context):
    job = event["CodePipeline.job"]
    client = boto3.client("codepipeline")
    said = job["data"]["actionConfiguration"]["configuration"]["UserParameters"]
    if said == "crash":
        raise RuntimeError("the function crashed")
    if said == "refuse":
        details = {"type": "JobFailed", "message": "refused"}
        client.put_job_failure_result(jobId=job["id"], failureDetails=details)
    else:
        client.put_job_success_result(jobId=job["id"], outputVariables={"Said": said})
"""


def function_action(name: str, said: str) -> dict[str, Any]:
    return {
        "Name": name,
        "ActionTypeId": {"Category": "Invoke", "Owner": "AWS", "Provider": "Lambda", "Version": "1"},
        "Configuration": {"FunctionName": {"Ref": "Function"}, "UserParameters": said},
    }


def test_functions_report_their_result(make_pipeline: Make) -> None:
    names = {"Works": "#{Code.BranchName}", "Refuses": "refuse", "Crashes": "crash"}
    pipeline = make_pipeline(
        stages=[{"Name": "Invoke", "Actions": [function_action(*item) for item in names.items()]}],
        pipeline_statements=[
            {"Action": "lambda:InvokeFunction", "Resource": {"Fn::GetAtt": ["Function", "Arn"]}}
        ],
        resources={
            "FunctionRole": role(
                "lambda.amazonaws.com",
                [
                    {
                        "Action": ["codepipeline:PutJobSuccessResult", "codepipeline:PutJobFailureResult"],
                        "Resource": "*",
                    }
                ],
            ),
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Handler": "index.handler",
                    "Runtime": "python3.13",
                    "Timeout": 20,
                    "Role": {"Fn::GetAtt": ["FunctionRole", "Arn"]},
                    "Code": {"ZipFile": FUNCTION},
                },
            },
        },
    )
    pipeline.push({"a": "1"})
    settle(pipeline)
    execution = pipeline.executions()[0]["pipelineExecutionId"]
    actions = pipeline.actions(execution)
    assert actions["Works"]["output"]["outputVariables"] == {"Said": "main"}, actions["Works"]
    errors = {
        name: actions[name]["output"]["executionResult"]["errorDetails"]["message"]
        for name in ("Refuses", "Crashes")
    }
    assert errors["Refuses"] == "refused"
    assert "the function crashed" in errors["Crashes"]
