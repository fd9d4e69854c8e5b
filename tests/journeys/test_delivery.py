"""A push travels to the last environment and is proved in each; the next one changes only what it changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ops.demo import summary
from tests.journeys.changes import ALARM_THRESHOLD, SLOWEST_ALLOWED_MS, Change
from tests.journeys.conftest import Delivery
from tests.journeys.pipeline import Push
from tests.journeys.snapshot import ENVIRONMENTS

pytestmark = pytest.mark.delivery

STAGES = ["Source", "Build", "UpdatePipeline", "Assets", "Dev", "Staging"]
STACKS = ["foundation", "data", "promotion", "training", "streaming", "inference", "monitoring"]


def test_every_stage_succeeds_in_its_order(delivery: Delivery) -> None:
    first = delivery.first
    assert first.exit_code == 0, first.said
    assert first.last.stages == STAGES
    assert {action["status"] for action in first.last.actions} == {"Succeeded"}
    for environment in ENVIRONMENTS:
        deployments = [f"vision-{environment}-{stack}.Deploy" for stack in STACKS]
        assert first.last.ran(environment.capitalize()) == [*deployments, "Smoke"]


def test_a_pipeline_that_is_up_to_date_does_not_restart(delivery: Delivery) -> None:
    assert len(delivery.first.executions) == 1


def test_every_environment_has_a_smoke_report_that_passed(delivery: Delivery, tmp_path: Path) -> None:
    pipeline, execution = delivery.pipeline, delivery.first.last
    reports = summary.smoke_reports(pipeline.account("tooling"), execution.id, ENVIRONMENTS, tmp_path)
    assert list(reports) == list(ENVIRONMENTS)
    for name, report in reports.items():
        assert report["passed"]
        assert report["commit"] == delivery.first.commit
        assert report["accuracy"] >= 0.95
        assert report["images"]["right"] >= 28
        assert "<img" in (tmp_path / name / "index.html").read_text()


def test_the_pipeline_knows_where_each_report_lies(delivery: Delivery) -> None:
    execution = delivery.first.last
    bucket = delivery.pipeline.account("tooling").output("ReportsBucketName")
    told = [
        action["output"]["outputVariables"].get("SMOKE_REPORT")
        for action in execution.actions
        if action["actionName"] == "Smoke"
    ]
    assert told == [f"s3://{bucket}/smoke/{execution.id}/{name}/index.html" for name in ENVIRONMENTS]


def test_iam_has_decided_everything_and_denied_nothing(delivery: Delivery) -> None:
    decided = delivery.pipeline.twin.get(f"iam?since={delivery.first.since:.3f}")
    assert decided["decisions"] > 1000
    smoke_tested = {
        f"arn:aws:iam::{delivery.pipeline.twin.account(name)}:role/vision-{name}-smoke"
        for name in ENVIRONMENTS
    }
    assert smoke_tested <= set(decided["used"])
    # Smoke tests try one call without a signature, which no policy decides.
    assert decided["denials"] == []


def test_another_alarm_threshold_deploys_nothing_but_the_alarms(
    delivery: Delivery, push: Callable[[Change], Push]
) -> None:
    pipeline = delivery.pipeline
    before = {name: pipeline.stacks(name) for name in ENVIRONMENTS}
    pushed = push(ALARM_THRESHOLD)
    assert pushed.exit_code == 0, pushed.said
    assert pushed.last.stages == STAGES
    assert len(pushed.executions) == 1, "the pipeline itself has not changed"
    for name in ENVIRONMENTS:
        after = pipeline.stacks(name)
        assert [stack for stack in after if after[stack] != before[name].get(stack)] == [
            f"vision-{name}-monitoring"
        ]
        alarms = pipeline.twin.client("cloudwatch", name).describe_alarms(
            AlarmNames=[f"vision-{name}-api-latency-p99"]
        )["MetricAlarms"]
        assert [alarm["Threshold"] for alarm in alarms] == [SLOWEST_ALLOWED_MS]
