"""What measures the pipeline: woken by its stages, allowed to read that pipeline only, never silent (R9)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.assembly import ROOT, Assembly

PIPELINE = "arn:aws:codepipeline:us-east-1:111111111111:app-delivery"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assembly]:
    from aws_cdk import App, Environment, Stack
    from aws_cdk import aws_sns as sns

    from vision_platform.compliance import add_compliance_gate
    from vision_platform.delivery_metrics import DeliveryMetrics, DeliveryMetricsProps
    from vision_platform.encryption import PlatformKey

    out = tmp_path_factory.mktemp("measured")
    app = App(outdir=str(out), context={"aws:cdk:bundling-stacks": []}, analytics_reporting=False)
    stack = Stack(
        app, "Measured", stack_name="measured", env=Environment(account="111111111111", region="us-east-1")
    )
    key = PlatformKey(stack, "Key", alias="alias/measured")
    topic = sns.Topic(stack, "Alerts", master_key=key.key, enforce_ssl=True)
    DeliveryMetrics(
        stack,
        "Metrics",
        props=DeliveryMetricsProps(
            pipeline_name="app-delivery",
            production_stages=["Prod", "ProdEurope"],
            source=ROOT / "lambda_src",
            log_retention_days=30,
            alerts=cast("sns.ITopic", topic),
        ),
        key=key,
    )
    add_compliance_gate(app)
    app.synth()
    yield Assembly(Path(out))


def body(measured: Assembly) -> dict[str, Any]:
    return json.loads(measured.only("AWS::CloudWatch::Dashboard").properties["DashboardBody"])


def test_function_is_woken_when_a_stage_of_this_pipeline_ends(measured: Assembly) -> None:
    rule = measured.only("AWS::Events::Rule").properties
    assert rule["EventPattern"] == {
        "source": ["aws.codepipeline"],
        "detail-type": ["CodePipeline Stage Execution State Change"],
        "detail": {"pipeline": ["app-delivery"], "state": ["SUCCEEDED", "FAILED"]},
    }


def test_events_that_cannot_be_delivered_or_processed_wait_in_one_queue(measured: Assembly) -> None:
    queue = {"Fn::GetAtt": [measured.only("AWS::SQS::Queue").logical_id, "Arn"]}
    (target,) = measured.only("AWS::Events::Rule").properties["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": queue}
    assert measured.only("AWS::Lambda::Function").properties["DeadLetterConfig"] == {"TargetArn": queue}
    assert measured.only("AWS::CloudWatch::Alarm").properties["MetricName"] == (
        "ApproximateNumberOfMessagesVisible"
    )


def test_alarm_on_that_queue_may_tell_people(measured: Assembly) -> None:
    alarm, topic = measured.only("AWS::CloudWatch::Alarm").properties, measured.only("AWS::SNS::Topic")
    assert alarm["AlarmActions"] == [{"Ref": topic.logical_id}]
    statements = measured.only("AWS::SNS::TopicPolicy").properties["PolicyDocument"]["Statement"]
    assert {"Service": "cloudwatch.amazonaws.com"} in [each["Principal"] for each in statements]


def test_function_reads_the_history_of_this_pipeline_only(measured: Assembly) -> None:
    reading = [
        each
        for each in measured.statements()
        if any(action.startswith("codepipeline:") for action in each.actions)
    ]
    assert [each.actions for each in reading] == [
        ("codepipeline:ListActionExecutions", "codepipeline:ListPipelineExecutions")
    ]
    (resource,) = reading[0].resources
    assert re.sub(r"<AWS::Partition>", "aws", resource) == PIPELINE


def test_function_knows_what_it_measures(measured: Assembly) -> None:
    variables = measured.only("AWS::Lambda::Function").properties["Environment"]["Variables"]
    assert variables["PIPELINE_NAME"] == "app-delivery"
    assert variables["PRODUCTION_STAGES"] == "Prod,ProdEurope"


def test_records_are_given_up_by_themselves(measured: Assembly) -> None:
    table = measured.only("AWS::DynamoDB::Table").properties
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_dashboard_shows_the_four_figures_and_the_time_per_stage(measured: Assembly) -> None:
    widgets = [each["properties"] for each in body(measured)["widgets"]]
    titles = [each["title"] for each in widgets if each["view"] == "singleValue"]
    assert titles == [
        "Deployments to production",
        "Lead time of a change (s)",
        "Changes that failed in production (%)",
        "Time to restore (s)",
    ]
    assert [each["title"] for each in widgets[-2:]] == [
        "Stages: working (s)",
        "Stages: waiting for a turn or a person (s)",
    ]


def test_failure_rate_divides_by_all_deployments(measured: Assembly) -> None:
    (rate,) = [each for each in body(measured)["widgets"] if "failed" in each["properties"]["title"]]
    expression, failures, deployments = rate["properties"]["metrics"]
    assert expression[0]["expression"] == "100 * failures / deployments"
    assert (failures[1], failures[-1]["id"], failures[-1]["stat"]) == (
        "DeploymentFailures",
        "failures",
        "Sum",
    )
    assert (deployments[1], deployments[-1]["id"], deployments[-1]["stat"]) == (
        "Deployments",
        "deployments",
        "SampleCount",
    )


def test_dashboard_asks_for_metrics_that_the_function_writes(measured: Assembly) -> None:
    written = (ROOT / "lambda_src" / "delivery_metrics" / "measures.py").read_text()
    text = json.dumps(body(measured))
    for metric in set(re.findall(r"\b(?:Deployment\w*|\w+Seconds)\b", text)) - {"Deployments to"}:
        assert f'"{metric}"' in written, metric
    assert "VisionDelivery,Pipeline,Stage" in text


def test_nothing_is_open_for_the_compliance_gate(measured: Assembly) -> None:
    reports = json.loads((measured.folder / "validation-report.json").read_text())["pluginReports"]
    assert [each["violations"] for each in reports if each["violations"]] == []
    accepted = {each["ruleName"] for report in reports for each in report.get("suppressedViolations", [])}
    assert {name.rpartition("-")[2] for name in accepted} == {
        "DynamoDBInBackupPlan",
        "LambdaInsideVPC",
    }
