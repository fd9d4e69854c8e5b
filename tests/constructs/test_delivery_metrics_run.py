"""The delivery metrics at work in the twin: a small pipeline succeeds, fails and recovers (R9)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.assembly import ROOT, Assembly
from tests.twin.conftest import REGION, TOOLING, Twin
from tests.twin.pipelines.builders import build_action, buildspec
from tests.twin.pipelines.conftest import make_pipeline, pipeline_twin
from tests.twin.pipelines.pipeline import Pipeline, wait_for
from twin import figures

__all__ = ["make_pipeline", "pipeline_twin"]  # fixtures
pytestmark = pytest.mark.twin
ASSETS = "assets-of-the-delivery-metrics"
BREAKS = {"configuration": {"EnvironmentVariables": json.dumps([{"name": "STAGE", "value": "prod"}])}}
COMMAND = 'if [ "$STAGE" = prod ] && [ -e broken ]; then exit 3; fi'


def synthesize(folder: Path, pipeline: str) -> Assembly:
    from aws_cdk import App, DefaultStackSynthesizer, Environment, Stack

    from vision_platform.delivery_metrics import DeliveryMetrics, DeliveryMetricsProps
    from vision_platform.encryption import PlatformKey

    app = App(outdir=str(folder), analytics_reporting=False)
    synthesizer = DefaultStackSynthesizer(
        file_assets_bucket_name=ASSETS, generate_bootstrap_version_rule=False
    )
    stack = Stack(
        app,
        "Measured",
        stack_name=f"{pipeline}-metrics",
        env=Environment(account=TOOLING, region=REGION),
        synthesizer=synthesizer,
    )
    props = DeliveryMetricsProps(
        pipeline_name=pipeline,
        production_stages=["Prod"],
        source=ROOT / "lambda_src",
        log_retention_days=1,
    )
    DeliveryMetrics(stack, "Metrics", props=props, key=PlatformKey(stack, "Key", alias=f"alias/{pipeline}"))
    app.synth()
    return Assembly(folder)


def deploy(twin: Twin, assembly: Assembly) -> str:
    """Deploy the stack; returns the function's name."""
    storage, formation = twin.client("s3"), twin.client("cloudformation")
    code = assembly.only("AWS::Lambda::Function").properties["Code"]
    storage.create_bucket(Bucket=ASSETS)
    storage.put_object(
        Bucket=ASSETS,
        Key=code["S3Key"],
        Body=(assembly.folder / f"asset.{code['S3Key']}").read_bytes(),
    )
    (name,) = assembly.templates
    formation.create_stack(
        StackName=name, TemplateBody=json.dumps(assembly.templates[name]), Capabilities=["CAPABILITY_IAM"]
    )

    def settled() -> str | None:
        status = formation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        return None if status.endswith("IN_PROGRESS") else status

    assert wait_for(settled, "the stack") == "CREATE_COMPLETE", [
        event.get("ResourceStatusReason")
        for event in formation.describe_stack_events(StackName=name)["StackEvents"]
    ]
    resources = formation.list_stack_resources(StackName=name)["StackResourceSummaries"]
    return next(
        each["PhysicalResourceId"] for each in resources if each["ResourceType"] == "AWS::Lambda::Function"
    )


def held(twin: Twin, pipeline: Pipeline, metric: str, **more: str) -> dict[str, float]:
    """What CloudWatch holds of a metric over all time: sum and number of samples."""
    dimensions = {"Pipeline": pipeline.name, **more}
    points = twin.client("cloudwatch").get_metric_statistics(
        Namespace="VisionDelivery",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=time.time() - 7200,
        EndTime=time.time() + 7200,
        Period=3600,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    return {name: sum(point[name] for point in points) for name in ("Sum", "SampleCount")}


def push(pipeline: Pipeline, files: dict[str, str], status: str) -> dict[str, Any]:
    """Push, wait for the end, and return the runs of the actions."""
    execution = pipeline.of_commit(pipeline.push(buildspec(COMMAND) | files))["pipelineExecutionId"]
    assert pipeline.wait(execution)["status"] == status
    return pipeline.actions(execution)


def committed(pipeline: Pipeline, run: dict[str, Any]) -> datetime:
    """When the commit of a push was made, as git knows it: by the second."""
    commit = run["Code"]["output"]["outputVariables"]["CommitId"]
    return datetime.fromisoformat(pipeline.git("show", "--no-patch", "--format=%cI", commit))


def test_metrics_in_cloudwatch_are_what_the_history_says(
    pipeline_twin: Twin, make_pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    pipeline = make_pipeline(
        stages=[
            {"Name": "Build", "Actions": [build_action("Synth")]},
            {"Name": "Prod", "Actions": [build_action("Deploy", **BREAKS)]},
        ]
    )
    function = deploy(pipeline_twin, synthesize(tmp_path / "cdk.out", pipeline.name))
    pipeline.deploy()
    pipeline.wait(
        pipeline.executions()[0]["pipelineExecutionId"]
    )  # nothing was pushed yet: it fails in Source
    good = push(pipeline, {}, "Succeeded")
    bad = push(pipeline, {"broken": ""}, "Failed")
    (pipeline.checkout / "broken").unlink()
    fixed = push(pipeline, {"fixed": ""}, "Succeeded")

    # Each stage's end is told by itself: what came last need not be measured last.
    awaited = [
        ("Deployments", {}, 3),
        ("DeploymentFailures", {}, 3),
        ("LeadTimeSeconds", {}, 3),
        ("RestoreSeconds", {}, 1),
        ("StageSeconds", {"Stage": "Build"}, 3),
        ("StageSeconds", {"Stage": "Prod"}, 2),
    ]
    wait_for(
        lambda: all(
            held(pipeline_twin, pipeline, metric, **more)["SampleCount"] == count
            for metric, more, count in awaited
        ),
        "the metrics",
    )
    assert held(pipeline_twin, pipeline, "Deployments") == {"Sum": 2, "SampleCount": 3}
    assert held(pipeline_twin, pipeline, "DeploymentFailures")["Sum"] == 1
    restored = (fixed["Deploy"]["lastUpdateTime"] - bad["Deploy"]["lastUpdateTime"]).total_seconds()
    assert held(pipeline_twin, pipeline, "RestoreSeconds")["Sum"] == pytest.approx(restored, abs=0.01)
    # The change that failed was delivered with the one that fixed it.
    ends = [(good, good), (bad, fixed), (fixed, fixed)]
    lead = sum(
        (carrier["Deploy"]["lastUpdateTime"] - committed(pipeline, change)).total_seconds()
        for change, carrier in ends
    )
    told = held(pipeline_twin, pipeline, "LeadTimeSeconds")
    assert told["SampleCount"] == 3
    assert told["Sum"] == pytest.approx(lead, abs=0.03)
    working = [
        (run["Synth"]["lastUpdateTime"] - run["Synth"]["startTime"]).total_seconds()
        for run in (good, bad, fixed)
    ]
    assert held(pipeline_twin, pipeline, "StageSeconds", Stage="Build")["Sum"] == pytest.approx(
        sum(working), abs=0.1
    )

    event = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "detail": {
            "pipeline": pipeline.name,
            "execution-id": fixed["Deploy"]["pipelineExecutionId"],
            "stage": "Prod",
            "state": "SUCCEEDED",
        },
    }
    again = pipeline_twin.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    assert json.loads(again["Payload"].read()) == {"measured": 3}
    assert held(pipeline_twin, pipeline, "Deployments") == {"Sum": 2, "SampleCount": 3}

    settings = pipeline_twin_settings() | {"dimensions": {"Pipeline": pipeline.name}}
    shown = figures.read(pipeline_twin.client("cloudwatch"), settings)
    assert {each.title: each.value for each in shown.totals} == {
        "deployments to production": 2,
        "lead time of a change": pytest.approx(told["Sum"] / 3),
        "changes that failed in production": pytest.approx(1 / 3),
        "time to restore": pytest.approx(restored, abs=0.01),
    }
    assert set(shown.rows) == {"Source", "Build", "Prod"}


def pipeline_twin_settings() -> dict[str, Any]:
    """What the project's twin.toml asks for."""
    import tomllib

    return tomllib.loads((ROOT / "twin.toml").read_text())["figures"]
