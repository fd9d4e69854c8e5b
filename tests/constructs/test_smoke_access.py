"""The smoke role: enough for the smoke line, and no way to change the champion."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from tests.assembly import Assembly, Statement, allowed

READS = ("BatchGet", "Describe", "Get", "List", "Query")


@pytest.fixture(scope="module")
def statements(assembly: Assembly) -> list[Statement]:
    return list(assembly.statements(role="SmokePermissions", stack="vision-dev-inference"))


@pytest.fixture(scope="module")
def on_objects(assembly: Assembly) -> list[Statement]:
    """What the buckets' own policies let the role do."""
    return [
        statement
        for policy in assembly.resources("AWS::S3::BucketPolicy", stack="vision-dev-data")
        for each in policy.properties["PolicyDocument"]["Statement"]
        if "IdentitiesSmoke" in str(each.get("Principal"))
        for statement in allowed(policy, {"Statement": [each]})
    ]


def may(statements: list[Statement], action: str, resource: str) -> bool:
    """Whether a statement allows `action` on `resource`; conditions only narrow, so they are left out."""
    return any(
        action in each.actions and any(fnmatchcase(resource, pattern) for pattern in each.resources)
        for each in statements
    )


@pytest.mark.parametrize(
    ("action", "kind", "smoke", "champion"),
    [
        ("sagemaker:DeleteEndpoint", "endpoint", "vision-dev-smoke", "vision-dev-champion"),
        (
            "sagemaker:DeleteEndpointConfig",
            "endpoint-config",
            "vision-dev-smoke-run",
            "vision-dev-champion-run",
        ),
        ("sagemaker:DeleteModel", "model", "vision-dev-smoke-run", "vision-dev-champion-run"),
        ("sagemaker:DeleteModelPackage", "model-package", "vision-dev-smoke/1", "vision-dev-champion/1"),
    ],
)
def test_smoke_tests_clean_up_their_own_line_and_no_other(
    statements: list[Statement], action: str, kind: str, smoke: str, champion: str
) -> None:
    arn = f"arn:aws:sagemaker:us-east-1:222222222222:{kind}/"
    assert may(statements, action, arn + smoke)
    assert not may(statements, action, arn + champion)


def test_only_the_smoke_path_of_the_api_may_be_called(statements: list[Statement]) -> None:
    invoking = [each for each in statements if "execute-api:Invoke" in each.actions]
    called = {resource.partition("/live/")[2] for each in invoking for resource in each.resources}
    assert called == {
        "POST/v1/smoke/predictions",
        "POST/v1/smoke/predictions:submit",
        "GET/v1/smoke/predictions/*",
    }


def test_objects_are_touched_under_smoke_prefixes_only(on_objects: list[Statement]) -> None:
    assert {action for each in on_objects for action in each.actions} == {
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:PutObject",
    }
    for statement in on_objects:
        names = statement.condition.get("StringLike", {}).get("s3:prefix") or statement.resources
        assert all("/smoke/" in f"/{name}" for name in ([names] if isinstance(names, str) else names))


def test_the_champion_is_only_looked_at(statements: list[Statement]) -> None:
    about_champion = {
        action
        for statement in statements
        if any("champion" in resource for resource in statement.resources)
        for action in statement.actions
    }
    assert about_champion == {"sagemaker:DescribeEndpoint"}


def test_logs_are_read_of_the_function_the_workflow_and_the_jobs_only(statements: list[Statement]) -> None:
    reading = {
        action: str(statement.resources)
        for statement in statements
        for action in statement.actions
        if action.startswith("logs:")
    }
    assert set(reading) == {"logs:FilterLogEvents", "logs:DescribeLogStreams", "logs:GetLogEvents"}
    assert "PredictLogs" in reading["logs:FilterLogEvents"]
    assert "Workflow" in reading["logs:FilterLogEvents"]
    assert "'*'" not in str(reading)


def test_the_run_is_looked_for_in_metrics_and_traces_and_nothing_is_written(assembly: Assembly) -> None:
    everywhere = {
        action
        for statement in assembly.statements(
            role="IdentitiesAccountLevelSmoke", stack="vision-dev-foundation"
        )
        for action in statement.actions
    }
    assert {"cloudwatch:GetMetricData", "xray:BatchGetTraces"} <= everywhere


def test_the_endpoint_may_be_asked_directly_and_the_champions_may_not(statements: list[Statement]) -> None:
    arn = "arn:aws:sagemaker:us-east-1:222222222222:endpoint/"
    assert may(statements, "sagemaker:InvokeEndpoint", arn + "vision-dev-smoke")
    assert not may(statements, "sagemaker:InvokeEndpoint", arn + "vision-dev-champion")


def test_lineage_is_only_read(statements: list[Statement]) -> None:
    actions = {each for statement in statements for each in statement.actions if each.startswith("dynamodb:")}
    assert actions == {"dynamodb:GetItem", "dynamodb:Query"}


def test_only_the_pipelines_smoke_step_may_take_the_role(assembly: Assembly) -> None:
    (role,) = [
        each
        for each in assembly.resources("AWS::IAM::Role", stack="vision-dev-foundation")
        if each.properties.get("RoleName") == "vision-dev-smoke"
    ]
    (statement,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
    assert "111111111111" in str(statement["Principal"])
    trusted = "arn:aws:iam::111111111111:role/vision-delivery-dev-smoke"
    assert statement["Condition"] == {"ArnEquals": {"aws:PrincipalArn": trusted}}


def test_what_it_does_on_everything_is_reading(assembly: Assembly) -> None:
    account_level = [
        statement
        for statement in assembly.statements(
            role="IdentitiesAccountLevelSmoke", stack="vision-dev-foundation"
        )
        if statement.resources == ("*",)
    ]
    assert account_level
    for statement in account_level:
        assert all(action.split(":")[1].startswith(READS) for action in statement.actions)
