"""What the demo's summary says of the pipeline's stages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ops.demo.summary import summarise

BEGAN = datetime(2026, 11, 20, tzinfo=UTC)


def run(stage: str, status: str = "Succeeded", seconds: float = 1.5) -> dict[str, Any]:
    ended = BEGAN + timedelta(seconds=seconds)
    return {"stageName": stage, "status": status, "startTime": BEGAN, "lastUpdateTime": ended}


def statuses(names: list[str], *runs: dict[str, Any]) -> list[str]:
    return [stage["status"] for stage in summarise(names, runs)]


def test_a_stage_that_was_passed_by_is_skipped_and_one_behind_the_failure_is_not_reached() -> None:
    names = ["Source", "Confirm", "Prod", "Later"]
    assert statuses(names, run("Source"), run("Prod", "Failed")) == [
        "Succeeded",
        "Skipped",
        "Failed",
        "NotReached",
    ]


def test_nothing_ran() -> None:
    assert statuses(["Source", "Build"]) == ["NotReached", "NotReached"]


def test_the_worst_action_and_all_of_the_time_count() -> None:
    (stage,) = summarise(["Prod"], [run("Prod", seconds=4.04), run("Prod", "Failed", seconds=2.0)])
    assert (stage["status"], stage["seconds"]) == ("Failed", 4.0)
