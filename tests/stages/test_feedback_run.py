"""Feedback deployed in the twin: labels by the API, the sweep by its rule, accuracy, its alarm (R25, R26)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from typer.testing import CliRunner

from tests.assembly import ROOT, Assembly
from tests.lambda_src.feedback.world import CLASSES, MODEL
from tests.twin.conftest import DEV, REGION, Twin, twin
from tests.twin.stacks import wait
from vision_runtime.lineage import PredictionRecord, record_prediction

__all__ = ["twin"]  # a fixture
pytestmark = pytest.mark.twin
ASSETS, STACK = "assets-of-feedback", "vision-dev-inference"
ALARM = "vision-dev-champion-accuracy"


def synthesize(folder: Path) -> Assembly:
    """The tables, the function with its schedule and grants, the alarm, and an API as small as can be."""
    from aws_cdk import App, CfnOutput, DefaultStackSynthesizer, Environment, Stack
    from aws_cdk import aws_apigateway as apigateway

    from stages.feedback import feedback_function
    from stages.settings import EnvironmentSettings
    from vision_platform.encryption import PlatformKey
    from vision_platform.feedback_table import FeedbackTable
    from vision_platform.feedback_watching import accuracy_alarm
    from vision_platform.lineage import LineageTable
    from vision_platform.monitoring import Alarms, AlertTopic
    from vision_platform.permissions import service_role

    app = App(outdir=str(folder), analytics_reporting=False)
    stack = Stack(
        app,
        "Feedback",
        stack_name=STACK,
        env=Environment(account=DEV, region=REGION),
        synthesizer=DefaultStackSynthesizer(
            file_assets_bucket_name=ASSETS, generate_bootstrap_version_rule=False
        ),
    )
    key = PlatformKey(stack, "Key", alias="alias/feedback")
    function = feedback_function(
        stack,
        "Function",
        project_root=ROOT,
        environment=EnvironmentSettings(name="dev", account=DEV, regions=(REGION,)),
        key=key,
        role=service_role(stack, "FeedbackRole", service="lambda.amazonaws.com", description="Feedback"),
        placement=None,
        feedback=FeedbackTable(stack, "Labels", key=key.key, protected=False),
        lineage=LineageTable(stack, "Lineage", key=key.key, protected=False),
    )
    api = apigateway.RestApi(stack, "Api", deploy_options=apigateway.StageOptions(stage_name="live"))
    api.root.add_resource("v1").add_resource("feedback").add_method(
        "POST",
        apigateway.LambdaIntegration(function.function),
        authorization_type=apigateway.AuthorizationType.IAM,
    )
    Alarms(
        stack,
        "Alarms",
        prefix="vision-dev",
        topic=AlertTopic(stack, "Alerts", key=key.key, emails=()).topic,
        objectives=[accuracy_alarm(min_accuracy=0.9, min_labels=200, days=7, confidence=0.95)],
        runbook_url=None,
    )
    CfnOutput(stack, "FeedbackFunctionName", value=function.function.function_name)
    CfnOutput(stack, "ApiId", value=api.rest_api_id)
    app.synth()
    return Assembly(folder)


@dataclass
class Deployed:
    """The stack in the twin."""

    twin: Twin
    outputs: dict[str, str]
    names: dict[str, str]
    caller: Credentials

    def table(self, part: str) -> str:
        return next(name for logical, name in self.names.items() if logical.startswith(part))

    def predict(self, id: str, label: str) -> None:
        record = PredictionRecord(
            id, "champion", MODEL, "r-1", "digits#v1", label, 0.9, datetime.now(UTC), 90
        )
        record_prediction(self.twin.client("dynamodb", DEV), self.table("LineageTable"), record)

    def label(self, id: str, label: str, **more: str) -> requests.Response:
        """A signed request of a caller who may do this and nothing else."""
        host = f"{self.outputs['ApiId']}.execute-api.{REGION}.amazonaws.com"
        body = json.dumps({"prediction_id": id, "label": label, **more})
        headers = {"Content-Type": "application/json"}
        request = AWSRequest("POST", f"https://{host}/live/v1/feedback", data=body, headers=headers)
        SigV4Auth(self.caller, "execute-api", REGION).add_auth(request)
        prepared = request.prepare()
        address = str(prepared.url).replace(f"https://{host}", self.twin.endpoint)
        return requests.post(address, data=body, headers={**dict(prepared.headers), "Host": host}, timeout=60)


@pytest.fixture(scope="module")
def deployed(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    assembly = synthesize(tmp_path_factory.mktemp("feedback") / "cdk.out")
    storage, formation = twin.client("s3", DEV), twin.client("cloudformation", DEV)
    storage.create_bucket(Bucket=ASSETS)
    for function in assembly.resources("AWS::Lambda::Function"):
        code = function.properties["Code"]
        package = assembly.folder / f"asset.{code['S3Key']}"
        storage.put_object(Bucket=ASSETS, Key=code["S3Key"], Body=package.read_bytes())
    template = json.dumps(assembly.templates[STACK])
    storage.put_object(Bucket=ASSETS, Key="template.json", Body=template.encode())
    formation.create_stack(
        StackName=STACK,
        TemplateURL=f"{twin.endpoint}/{ASSETS}/template.json",
        Capabilities=["CAPABILITY_IAM"],
    )
    made = wait(formation, STACK)
    assert made["StackStatus"] == "CREATE_COMPLETE", [
        event.get("ResourceStatusReason")
        for event in formation.describe_stack_events(StackName=STACK)["StackEvents"]
    ]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in made["Outputs"]}
    listed = formation.list_stack_resources(StackName=STACK)["StackResourceSummaries"]
    names = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in listed}
    yield Deployed(twin, outputs, names, caller(twin, outputs["ApiId"]))


def caller(twin: Twin, api: str) -> Credentials:
    iam = twin.client("iam", DEV)
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": DEV}}
    role = iam.create_role(
        RoleName="caller",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]["Arn"]
    allowed = {
        "Effect": "Allow",
        "Action": "execute-api:Invoke",
        "Resource": f"arn:aws:execute-api:{REGION}:{DEV}:{api}/live/POST/v1/feedback",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName="caller", PolicyName="Call", PolicyDocument=document)
    given = twin.client("sts", DEV).assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def until(condition: Any, what: str, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come in {seconds:g} s")


def operator(deployed: Deployed, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """The operator's command line in this process, as the account's root."""
    from ops.__main__ import app
    from ops.deployment import Deployment, Environment, Place

    environment = Environment("dev", DEV, (REGION,), False, {})
    deployment = Deployment("vision", Place("tooling", DEV, REGION), (environment,), {})
    monkeypatch.setattr("ops.options.read_deployment", lambda: deployment)
    monkeypatch.setattr("ops.models.home._STACKS", ("inference",))
    for name, value in deployed.twin.environment(DEV).items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, list(arguments))


def test_labels_sweep_metrics_and_command(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.time()
    dynamodb = deployed.twin.client("dynamodb", DEV)
    champion = {"pk": "LINE#champion", "sk": "CHAMPION", "model_package_arn": MODEL}
    dynamodb.put_item(
        TableName=deployed.table("LineageTable"),
        Item={name: {"S": value} for name, value in champion.items()},
    )
    for number in range(10):
        deployed.predict(f"p{number}", CLASSES[number % 3])
    for number in range(9):
        answer = deployed.label(f"p{number}", CLASSES[number % 3])
        assert (answer.status_code, answer.json()["status"]) == (200, "counted"), answer.text
    assert deployed.label("p0", CLASSES[0]).json()["status"] == "unchanged"
    assert deployed.label("p1", CLASSES[2]).json()["status"] == "corrected"
    bad = deployed.label("p2", "no such class")
    assert (bad.status_code, bad.headers["Content-Type"]) == (400, "application/problem+json")
    assert deployed.label("late", CLASSES[0]).status_code == 202

    deployed.predict("late", CLASSES[0])
    deployed.twin.post(f"fire/{deployed.table('FunctionSweep')}?account={DEV}")
    key = {"pk": {"S": "PREDICTION#late"}, "sk": {"S": "LABEL"}}

    def status() -> str:
        item = dynamodb.get_item(TableName=deployed.table("LabelsTable"), Key=key, ConsistentRead=True)
        return item["Item"]["status"]["S"]

    until(lambda: status() == "COUNTED", "the sweep")

    def accuracy() -> list[dict[str, Any]]:
        return deployed.twin.client("cloudwatch", DEV).get_metric_statistics(
            Namespace="Vision",
            MetricName="Accuracy",
            Dimensions=[{"Name": "service", "Value": "feedback"}, {"Name": "line", "Value": "champion"}],
            StartTime=started - 60,
            EndTime=started + 600,
            Period=60,
            Statistics=["Average"],
        )["Datapoints"]

    assert until(accuracy, "the metric")[0]["Average"] == pytest.approx(90)

    done = operator(deployed, monkeypatch, "accuracy", "--json", "--days", "2")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    (model,) = told["models"]
    assert (model["model"], model["champion"], model["labels"]) == (MODEL, True, 10)
    assert (model["accuracy"]["hits"], model["accuracy"]["trials"]) == (9, 10)
    assert (told["pending"], told["labels"]) == (0, 10)
    shown = operator(deployed, monkeypatch, "accuracy").stdout
    assert "vision-dev-champion/7 (champion): accuracy 0.900 [0.596, 0.982] of 10 labels" in shown

    role = deployed.table("FeedbackRole")
    denied = [each for each in deployed.twin.get(f"iam?since={started}")["denials"] if role in str(each)]
    assert denied == []


def test_alarm_needs_enough_labels_and_an_interval_below_the_limit(deployed: Deployed) -> None:
    """As if the sweep had written in the hour that is over: metric math is judged on whole periods.

    And in the hour that runs, which may be over before the test is.
    """
    cloudwatch = deployed.twin.client("cloudwatch", DEV)
    running = int(time.time() // 3600) * 3600

    def bring(name: str, average: float) -> None:
        """One more value in each, so that the average of all in that hour is this."""
        for hour in (running - 3600, running):
            about = {
                "MetricName": name,
                "Dimensions": [
                    {"Name": "service", "Value": "feedback"},
                    {"Name": "line", "Value": "champion"},
                ],
            }
            there = cloudwatch.get_metric_statistics(
                Namespace="Vision",
                StartTime=hour,
                EndTime=hour + 3600,
                Period=3600,
                Statistics=["Sum", "SampleCount"],
                **about,
            )["Datapoints"]
            total, count = (sum(each[what] for each in there) for what in ("Sum", "SampleCount"))
            value = average * (count + 1) - total
            cloudwatch.put_metric_data(
                Namespace="Vision", MetricData=[{**about, "Timestamp": hour, "Value": value}]
            )

    def state() -> str:
        (alarm,) = cloudwatch.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"]
        return alarm["StateValue"]

    cases = [(199, 20.0, "OK"), (200, 89.0, "ALARM"), (5000, 90.5, "OK"), (5000, 89.5, "ALARM")]
    for labels, high, expected in cases:
        bring("LabelledPredictions", labels)
        bring("AccuracyHigh", high)
        until(lambda expected=expected: state() == expected, f"{expected} at {labels} labels, {high:g} %")
