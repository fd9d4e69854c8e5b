"""Faults that the build step finds: the delivery stops there, and no environment is touched (R3, R4)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.changes import UNACKNOWLEDGED_FINDING, Change
from tests.journeys.conftest import Delivery, StoppedDemo
from tests.journeys.pipeline import Push, log_of_the_stop
from tests.journeys.snapshot import ENVIRONMENTS

pytestmark = pytest.mark.delivery


def test_a_failing_unit_test_ends_the_demo_with_step_reason_and_log(stopped_demo: StoppedDemo) -> None:
    said = stopped_demo.said
    assert stopped_demo.exit_code == 1, said
    assert "Failed: Build / Synth" in said
    assert "why: Build terminated with state: FAILED" in said
    assert "make verify" in said
    (named,) = [line.split("log: ")[1] for line in said.splitlines() if line.startswith("  log: ")]
    fault = "test_thresholds_only_leaves_it_out"
    assert fault in Path(named).read_text()
    assert fault in said
    assert "Traceback" not in said


def test_a_failing_unit_test_stops_in_build(stopped_demo: StoppedDemo) -> None:
    summary = stopped_demo.summary
    assert summary["pipeline"] == "Failed"
    assert summary["commit"] == stopped_demo.commit
    statuses = {stage["name"]: stage["status"] for stage in summary["stages"]}
    assert statuses.pop("Source") == "Succeeded"
    assert statuses.pop("Build") == "Failed"
    assert set(statuses.values()) == {"NotReached"}
    assert summary["smoke"] == {}


def test_nothing_is_deployed_after_a_failing_unit_test(delivery: Delivery) -> None:
    assert delivery.stacks_before == {name: ["CDKToolkit"] for name in ENVIRONMENTS}


def test_an_unacknowledged_finding_inside_a_stage_stops_in_build(
    delivery: Delivery, push: Callable[[Change], Push]
) -> None:
    with delivery.pipeline.unchanged(*ENVIRONMENTS):
        pushed = push(UNACKNOWLEDGED_FINDING)
    log = log_of_the_stop(pushed, "Build", "Synth")
    for said in (log, pushed.said):
        assert "AwsSolutions-SNS3" in said
        assert "Delivery/Staging/Monitoring/Bare/Resource" in said
    assert "Traceback" not in log
