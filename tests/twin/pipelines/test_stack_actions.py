"""CloudFormation actions: stacks in another account, with everything that can stop them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.twin.pipelines.builders import DEV, REGION, TOOLING, approval_action, build_action, buildspec
from tests.twin.pipelines.pipeline import Pipeline, wait_for

pytestmark = pytest.mark.twin
Make = Callable[..., Pipeline]


def deploy_action(order: int = 1, **configuration: Any) -> dict[str, Any]:
    return {
        "Name": f"Deploy{order}",
        "ActionTypeId": {"Category": "Deploy", "Owner": "AWS", "Provider": "CloudFormation", "Version": "1"},
        "RunOrder": order,
        "RoleArn": f"arn:aws:iam::{DEV}:role/deployer",
        "InputArtifacts": [{"Name": "Source"}],
        "Configuration": {
            "StackName": "delivered",
            "ActionMode": "CREATE_UPDATE",
            "TemplatePath": "Source::stack.json",
            "RoleArn": f"arn:aws:iam::{DEV}:role/executor",
            "Capabilities": "CAPABILITY_NAMED_IAM",
            **configuration,
        },
    }


TEMPLATE = {
    "Parameters": {"Color": {"Type": "String"}, "Commit": {"Type": "String"}},
    "Resources": {
        "Setting": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": "/delivered/color", "Type": "String", "Value": {"Ref": "Color"}},
        }
    },
    "Outputs": {"Shown": {"Value": {"Fn::Sub": "${Color}-${Commit}"}}},
}


@pytest.fixture
def deployment_roles(pipeline_twin: Any) -> Any:
    """What bootstrapping brings: a role that the pipeline account assumes, one for CloudFormation."""
    iam = pipeline_twin.client("iam", DEV)
    trust = {
        "deployer": {"AWS": f"arn:aws:iam::{TOOLING}:root"},
        "executor": {"Service": "cloudformation.amazonaws.com"},
    }
    allowed = {"deployer": ["cloudformation:*", "s3:GetObject", "iam:PassRole"], "executor": ["ssm:*"]}
    for name, principal in trust.items():
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": allowed[name], "Resource": "*"}],
        }
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
    yield
    cloudformation = pipeline_twin.client("cloudformation", DEV)
    cloudformation.delete_stack(StackName="delivered")
    # With these roles, and the next test makes one of the same name.
    wait_for(lambda: _is_gone(cloudformation, "delivered"), "the stack to be deleted")
    for name in trust:
        iam.delete_role_policy(RoleName=name, PolicyName="own")
        iam.delete_role(RoleName=name)


def shared_bucket() -> dict[str, Any]:
    """The bucket policy that lets the deployment account read artifacts."""
    return {
        "BucketPolicy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": {"Ref": "Bucket"},
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"AWS": f"arn:aws:iam::{DEV}:root"},
                            "Action": "s3:GetObject",
                            "Resource": {"Fn::Sub": "${Bucket.Arn}/*"},
                        }
                    ],
                },
            },
        }
    }


ASSUME = {"Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{DEV}:role/deployer"}


def test_stack_is_deployed_to_another_account_after_approval(
    make_pipeline: Make, deployment_roles: Any
) -> None:
    overrides = json.dumps({"Commit": "#{Code.CommitId}"})
    pipeline = make_pipeline(
        stages=[
            {"Name": "Review", "Actions": [approval_action(CustomData="Deploy #{Code.CommitId}?")]},
            {
                "Name": "Dev",
                "Actions": [
                    deploy_action(1, ActionMode="CHANGE_SET_REPLACE", ChangeSetName="cs",
                                  TemplateConfiguration="Source::config.json", ParameterOverrides=overrides),
                    deploy_action(2, ActionMode="CHANGE_SET_EXECUTE", ChangeSetName="cs")
                    | {"Namespace": "Dev"},
                    build_action("Check", RunOrder=3, configuration={"EnvironmentVariables": json.dumps(
                        [{"name": "SHOWN", "value": "#{Dev.Shown}", "type": "PLAINTEXT"}])}),
                ],
            },
        ],
        pipeline_statements=[ASSUME],
        resources=shared_bucket(),
    )  # fmt: skip
    commit = pipeline.push(
        buildspec('test "$SHOWN" = "green-$CODEBUILD_RESOLVED_SOURCE_VERSION"')
        | {"stack.json": json.dumps(TEMPLATE), "config.json": json.dumps({"Parameters": {"Color": "green"}})}
    )
    pipeline.deploy()
    execution = pipeline.executions()[0]["pipelineExecutionId"]
    token = pipeline.token("Review", "Approve")
    assert pipeline.state("Review", "Approve")["summary"] == f"Deploy {commit}?"
    settings = pipeline.twin.client("ssm", DEV)
    assert settings.get_parameters(Names=["/delivered/color"])["InvalidParameters"] == ["/delivered/color"]
    pipeline.api.put_approval_result(
        pipelineName=pipeline.name, stageName="Review", actionName="Approve", token=token,
        result={"summary": "fine", "status": "Approved"},
    )  # fmt: skip
    ended = pipeline.wait(execution)
    assert ended["status"] == "Succeeded", ended
    value = settings.get_parameter(Name="/delivered/color")["Parameter"]["Value"]
    assert value == "green"
    actions = pipeline.actions(execution)
    assert actions["Approve"]["updatedBy"] == f"arn:aws:iam::{TOOLING}:root"
    assert actions["Deploy1"]["output"]["executionResult"]["externalExecutionSummary"].startswith(
        "Change set with 1 change"
    )
    assert actions["Deploy2"]["output"]["outputVariables"] == {"Shown": f"green-{commit}"}

    with pytest.raises(pipeline.api.exceptions.InvalidApprovalTokenException):
        pipeline.api.put_approval_result(
            pipelineName=pipeline.name, stageName="Review", actionName="Approve", token=token,
            result={"summary": "again", "status": "Approved"},
        )  # fmt: skip


def test_rolled_back_stage_deploys_the_older_template_again(
    make_pipeline: Make, deployment_roles: Any
) -> None:
    overrides = json.dumps({"Commit": "#{Code.CommitId}"})
    change_set = {"ChangeSetName": "cs", "TemplateConfiguration": "Source::config.json"}
    pipeline = make_pipeline(
        stages=[
            {
                "Name": "Prod",
                "Actions": [
                    deploy_action(
                        1, ActionMode="CHANGE_SET_REPLACE", ParameterOverrides=overrides, **change_set
                    ),
                    deploy_action(2, ActionMode="CHANGE_SET_EXECUTE", ChangeSetName="cs"),
                    build_action("Smoke", RunOrder=3),
                ],
                "OnFailure": {"Result": "ROLLBACK"},
            }
        ],
        pipeline_statements=[ASSUME],
        resources=shared_bucket(),
    )
    template = json.dumps(TEMPLATE)

    def color(name: str) -> dict[str, str]:
        return {"stack.json": template, "config.json": json.dumps({"Parameters": {"Color": name}})}

    def deployed() -> str:
        ssm = pipeline.twin.client("ssm", DEV)
        return ssm.get_parameter(Name="/delivered/color")["Parameter"]["Value"]

    pipeline.push(buildspec("true") | color("green"))
    pipeline.deploy()
    first = pipeline.executions()[0]["pipelineExecutionId"]
    assert pipeline.wait(first)["status"] == "Succeeded", pipeline.actions(first)
    assert deployed() == "green"
    commit = pipeline.push(buildspec("grep green config.json") | color("red"))
    failed = pipeline.of_commit(commit)["pipelineExecutionId"]
    assert pipeline.wait(failed)["status"] == "Failed"
    assert pipeline.actions(failed)["Deploy2"]["status"] == "Succeeded"  # red was there
    rollback = pipeline.executions()[0]["pipelineExecutionId"]
    assert pipeline.wait(rollback)["status"] == "Succeeded", pipeline.actions(rollback)
    assert deployed() == "green"

    # A stack that went back by itself needs nothing: its change set is empty, and its mark is no failure.
    pipeline.twin.client("s3").create_bucket(Bucket="taken-before-the-rollback")
    taken = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "taken-before-the-rollback"}}
    broken = {**TEMPLATE, "Resources": {**TEMPLATE["Resources"], "Taken": taken}}
    commit = pipeline.push(color("blue") | {"stack.json": json.dumps(broken)})
    failed = pipeline.of_commit(commit)["pipelineExecutionId"]
    assert pipeline.wait(failed)["status"] == "Failed"
    rollback = pipeline.executions()[0]["pipelineExecutionId"]
    assert pipeline.wait(rollback)["status"] == "Succeeded", pipeline.actions(rollback)
    assert deployed() == "green"
    stack = pipeline.twin.client("cloudformation", DEV).describe_stacks(StackName="delivered")["Stacks"][0]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"


def test_failing_stack_names_the_resource_and_rejection_stops(
    make_pipeline: Make, deployment_roles: Any
) -> None:
    pipeline = make_pipeline(
        stages=[
            {
                "Name": "Dev",
                "Actions": [deploy_action(1, ParameterOverrides='{"Color": "red", "Commit": "x"}')],
            },
            {"Name": "Review", "Actions": [approval_action()]},
            {"Name": "Prod", "Actions": [build_action()]},
        ],
        pipeline_statements=[ASSUME],
        resources=shared_bucket(),
    )
    pipeline.twin.client("s3").create_bucket(Bucket="name-taken-by-tooling")
    taken = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "name-taken-by-tooling"}}
    broken = {**TEMPLATE, "Resources": {**TEMPLATE["Resources"], "Taken": taken}}
    pipeline.push({"stack.json": json.dumps(broken)})
    pipeline.deploy()
    execution = pipeline.executions()[0]["pipelineExecutionId"]
    assert pipeline.wait(execution)["status"] == "Failed"
    error = pipeline.actions(execution)["Deploy1"]["output"]["executionResult"]["errorDetails"]
    assert error["code"] == "JobFailed"
    assert (
        f"stack delivered in {DEV}/{REGION} is ROLLBACK_COMPLETE: Taken (AWS::S3::Bucket)" in error["message"]
    )
    assert "already exists" in error["message"]
    assert set(pipeline.actions(execution)) == {"Code", "Deploy1"}

    cloudformation = pipeline.twin.client("cloudformation", DEV)
    cloudformation.delete_stack(StackName="delivered")
    wait_for(lambda: _is_gone(cloudformation, "delivered"), "the failed stack to be deleted")
    commit = pipeline.push({"stack.json": json.dumps(TEMPLATE)})
    token = pipeline.token("Review", "Approve")
    pipeline.api.put_approval_result(
        pipelineName=pipeline.name, stageName="Review", actionName="Approve", token=token,
        result={"summary": "not today", "status": "Rejected"},
    )  # fmt: skip
    ended = pipeline.wait(pipeline.of_commit(commit)["pipelineExecutionId"])
    assert ended["status"] == "Failed"
    assert ended["statusSummary"] == f"Review/Approve: Rejected by arn:aws:iam::{TOOLING}:root: not today"
    assert pipeline.state("Prod", "Build") == {}


def _is_gone(cloudformation: Any, name: str) -> bool:
    known = [s for s in cloudformation.list_stacks()["StackSummaries"] if s["StackName"] == name]
    return all(s["StackStatus"] == "DELETE_COMPLETE" for s in known)


def test_missing_permissions_are_named(make_pipeline: Make) -> None:
    stages = [{"Name": "Dev", "Actions": [deploy_action(1)]}]
    pipeline = make_pipeline(stages=stages)
    pipeline.push({"stack.json": "{}"})
    pipeline.deploy()
    execution = pipeline.executions()[0]["pipelineExecutionId"]
    assert pipeline.wait(execution)["status"] == "Failed"
    error = pipeline.actions(execution)["Deploy1"]["output"]["executionResult"]["errorDetails"]
    assert error["code"] == "PermissionError"
    assert "deployer" in error["message"] and "sts:AssumeRole" in error["message"]
