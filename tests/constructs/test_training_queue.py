"""Runs of a line take turns, the dead are passed by, and what stopped executions leave is cleared up."""

from __future__ import annotations

import pytest

from tests.constructs.workflow_bench import Bench, announced

pytestmark = pytest.mark.twin


def test_runs_of_a_line_follow_each_other_in_the_order_of_their_start(bench: Bench) -> None:
    first = bench.hold("run-1")
    later: list[str] = []
    for run in ("run-2", "run-3"):
        later.append(bench.start(run_id=run))
        bench.until_in(later[-1], "WaitForTurn")
    assert bench.record("run-2")["status"] == "QUEUED"
    bench.engine.order("set", world={"jobs": {"vision-dev-run-1": {"TrainingJobStatus": "Failed"}}})

    assert bench.wait(first).status == "FAILED"
    assert [bench.wait(arn).status for arn in later] == ["SUCCEEDED", "SUCCEEDED"]
    finished = [bench.record(run)["finished_at"] for run in ("run-1", "run-2", "run-3")]
    assert finished == sorted(finished)
    assert bench.in_line() == []


def test_another_line_does_not_wait(bench: Bench) -> None:
    first = bench.hold("run-1")

    smoke = bench.run(run_id="s-1", line="smoke", manifest_uri="s3://data/smoke/s-1/manifest.json")
    assert smoke.status == "SUCCEEDED"
    bench.abort(first)


def test_a_holder_whose_execution_has_ended_is_passed_by(bench: Bench) -> None:
    bench.abort(bench.hold("run-1"))
    assert len(bench.in_line()) == 2

    after = bench.run(run_id="run-2")
    assert after.states.count("PassBy") == 2
    assert bench.in_line() == []


def test_one_that_dies_while_it_waits_is_passed_by(bench: Bench) -> None:
    first, second = bench.hold("run-1"), bench.start(run_id="run-2")
    bench.until_in(second, "WaitForTurn")
    bench.abort(second)
    bench.abort(first)

    assert bench.run(run_id="run-3").status == "SUCCEEDED"
    assert bench.in_line() == []


def test_waiting_has_an_end_that_names_the_holder(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from vision_platform import training_queue

    monkeypatch.setattr(training_queue, "QUEUE_SECONDS", 0)
    first = bench.hold("run-1")
    late = bench.run(run_id="run-2")

    assert (late.error, first in late.cause) == ("QueueTimedOut", True)
    assert bench.record("run-2")["status"] == "FAILED"
    assert len(bench.in_line()) == 2
    bench.abort(first)


def test_a_stopped_run_is_recorded_announced_and_out_of_the_way(bench: Bench) -> None:
    stopped = bench.hold("run-1")
    bench.abort(stopped)
    bench.asked()
    cleared = bench.clear_up(stopped)

    assert cleared.output == {"run_id": "run-1"}
    record = bench.record("run-1")
    assert (record["status"], record["error"]) == ("FAILED", "Aborted")
    assert "goes on where it stopped" in record["cause"]
    asked = bench.asked()
    stops = [operation for operation, _ in asked if ":stop_" in operation]
    assert set(stops) == {
        "sagemaker:stop_training_job",
        "sagemaker:stop_hyper_parameter_tuning_job",
        "sagemaker:stop_processing_job",
    }
    assert [kind for kind, _ in announced(asked)] == ["Training Failed"]
    assert bench.in_line() == []
    assert bench.run(run_id="run-1").output["attempt"] == 2


def test_a_run_that_took_too_long_is_recorded_as_such(bench: Bench) -> None:
    late = bench.hold("run-1")
    bench.abort(late)
    bench.clear_up(late, "TIMED_OUT")

    assert bench.record("run-1")["error"] == "TimedOut"


def test_a_run_that_ended_by_itself_is_left_as_it_is(bench: Bench) -> None:
    bench.answer(gate={"passed": False, "reasons": ["weak"], "metrics": {}})
    failed = bench.run(run_id="run-1")
    before = bench.record("run-1")
    bench.asked()
    cleared = bench.clear_up(failed.arn, "FAILED", error=failed.error, cause=failed.cause)

    assert cleared.output == {"run_id": ""}
    assert bench.record("run-1") == before
    assert bench.operations() == ["dynamodb:query"]


def test_a_failure_that_could_not_be_announced_is_announced_afterwards(bench: Bench) -> None:
    away = {"error": "AccessDenied", "times": 99}
    bench.set(
        faults=[
            away | {"operation": "events:put_events"},
            away | {"operation": "dynamodb:transact_write_items", "match": "Delete"},
        ]
    )
    failed = bench.run(run_id="run-1")
    bench.set(faults=[])
    bench.asked()
    bench.clear_up(failed.arn, "FAILED", error=failed.error, cause=failed.cause)

    (kind, detail), *_ = bench.events()
    assert (kind, detail["error"]) == ("Training Failed", failed.error)
    assert bench.in_line() == []


def test_a_failure_that_could_not_be_recorded_is_recorded_afterwards(bench: Bench) -> None:
    bench.answer(gate={"passed": False, "reasons": ["weak"], "metrics": {}})
    refused = {"error": "AccessDenied", "times": 99, "operation": "dynamodb:update_item", "match": "FAILED"}
    bench.set(faults=[refused])
    failed = bench.run(run_id="run-1")
    bench.set(faults=[])
    assert [kind for kind, _ in announced(bench.asked())][-1] == "Training Failed"
    assert bench.record("run-1")["status"] == "RUNNING"
    assert bench.in_line() != [], "by its place it is found"
    bench.clear_up(failed.arn, "FAILED", error=failed.error, cause=failed.cause)

    record = bench.record("run-1")
    assert (record["status"], record["error"]) == ("FAILED", failed.error)
    assert bench.in_line() == []


def test_what_was_taken_over_meanwhile_is_not_marked_as_failed(bench: Bench) -> None:
    stopped = bench.hold("run-1")
    bench.abort(stopped)
    again = bench.hold("run-1")
    bench.clear_up(stopped)

    assert bench.record("run-1")["status"] == "RUNNING"
    assert len(bench.in_line()) == 2
    bench.abort(again)
