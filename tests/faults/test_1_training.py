"""Faults in the training workflow: refused, throttled, killed, interrupted, poisoned, repeated, stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import requests

from ops.datasets import publish
from ops.models.execution import Execution
from tests.faults.sweep import Sweep, path, throttled
from tests.faults.world import World, sample_data, wait_for


def failed_run(world: World, run_id: str, execution: Execution) -> str:
    """Holds what must hold after a run has failed; answers it in words."""
    error = execution.failure[0]
    world.announced("Training Failed", execution_arn=execution.arn)
    recorded = world.records.run(run_id)
    if recorded is None:
        said = "announced; nothing was registered"
    else:
        recorded = world.recorded(run_id, "FAILED")
        said = f"attempt {recorded['attempt']} recorded as {recorded.get('error')} and announced"
    world.champion_serves()
    world.nothing_orphaned()
    return f"FAILED ({error}): {said}"


def survived(world: World, number: int, execution: Execution) -> str:
    """Holds what must hold after a run that a fault could not stop."""
    world.champion_serves()
    return "went on without it and succeeded"


def succeeded(world: World, execution: Execution) -> dict[str, Any]:
    """Waits for a run's end, which must be a good one."""
    world.ended(execution)
    assert execution.status == "SUCCEEDED", execution.failure
    world.champion_serves()
    return execution.output


def test_each_state_refused_in_turn(world: World) -> None:
    sweep = Sweep(
        world,
        "training",
        begin=lambda number: world.train(f"refused-{number}"),
        failed=lambda number, execution: failed_run(world, f"refused-{number}", execution),
        survived=partial(survived, world),
    )
    sweep.run(path(world, "training"))
    # However often a run was begun again: finished work was not repeated.
    for number in range(1, sweep.number + 1):
        jobs = world.jobs(f"refused-{number}")
        assert len([job for job in jobs if job.startswith("evaluation")]) <= 1, jobs
        assert len([job for job in jobs if not job.startswith("evaluation")]) <= 1, jobs


def test_each_state_throttled_once(world: World) -> None:
    throttled(world, "training", path(world, "training"), lambda: world.train("throttled"))
    world.nothing_orphaned()


def test_the_tuning_states_refused_in_turn(world: World) -> None:
    sweep = Sweep(
        world,
        "training",
        begin=lambda number: world.train(f"tuned-{number}", tune=True),
        failed=lambda number, execution: failed_run(world, f"tuned-{number}", execution),
        survived=partial(survived, world),
        only=frozenset({"Tune", "FindTuning", "SelectModel"}),
    )
    sweep.run(["Tune", "SelectModel"])


def test_a_run_without_a_manifest_and_without_the_record_of_the_newest(world: World) -> None:
    state = world.states()["training", "FindDataset"]
    given = {"line": "champion", "reason": "schedule", "run_id": "newest"}
    with world.fault(state, "denied", 3) as hits:
        execution = world.ended(world.start("training", given))
        assert hits()
    outcome = failed_run(world, "newest", execution)
    succeeded(world, world.start("training", given))
    world.note(state, "denied", f"{outcome}; the next start succeeded")


def test_a_training_job_is_killed(world: World) -> None:
    killed(world, "Train", "CreateTrainingJob", "killed-job")


def test_an_evaluation_is_killed(world: World) -> None:
    killed(world, "Evaluate", "CreateProcessingJob", "killed-evaluation")


def killed(world: World, name: str, operation: str, run_id: str) -> None:
    state = world.states()["training", name]
    wanted = {"service": "sagemaker", "operation": operation, "error": "crash", "times": 1, "match": run_id}
    with world.injected(wanted) as hits:
        execution = world.ended(world.train(run_id))
        assert hits()
    outcome = failed_run(world, run_id, execution)
    before = set(world.jobs(run_id))
    succeeded(world, world.train(run_id))
    again = set(world.jobs(run_id)) - before
    world.nothing_orphaned()
    world.note(state, "its container is killed", f"{outcome}; a rerun made {len(again)} job(s) and succeeded")


def test_functions_are_killed_and_take_too_long(world: World) -> None:
    definition = world.definitions()["training"]
    calls = {
        "PlanDataset": definition["States"]["PlanDataset"],
        "PreprocessBatch": definition["States"]["PreprocessBatches"]["ItemProcessor"]["States"][
            "PreprocessBatch"
        ],
        "CollectDataset": definition["States"]["CollectDataset"],
        "Gate": definition["States"]["Gate"],
    }
    for error in ("crash", "timeout"):
        for name, state in calls.items():
            function = state["Arguments"]["FunctionName"].rpartition(":")[2]
            wanted = {
                "service": "lambda",
                "operation": "Invoke",
                "error": error,
                "times": 1,
                "match": function,
            }
            with world.injected(wanted) as hits:
                succeeded(world, world.train(f"{error}-{name.lower()}"[:25]))
                assert hits()
            what = "its process is killed" if error == "crash" else "it takes too long"
            world.note(f"training / {name}", what, "called again and succeeded")
    world.nothing_orphaned()


def test_spot_capacity_is_taken_away(world: World) -> None:
    execution = world.train("interrupted", hyperparameters={"epochs": "4"})
    world.entered(execution, "Train")
    job, home = f"{world.platform.home.prefix}-interrupted", world.platform.home
    url = f"{world.platform.twin.endpoint}/_twin/interrupt/{job}?account={home.place.account}"
    wait_for(lambda: requests.post(url, timeout=30).ok, f"{job} to be interrupted")
    succeeded(world, execution)
    told = world.client("sagemaker").describe_training_job(TrainingJobName=job)
    seen = [each["Status"] for each in told["SecondaryStatusTransitions"]]
    assert "Interrupted" in seen
    assert len([each for each in world.jobs("interrupted") if not each.startswith("evaluation")]) == 1
    world.note("training / Train", "spot capacity is taken away", "waited, went on, and succeeded as one job")


def poisoned(world: World, folder: Path, images: int, version: str) -> str:
    """A version of the dataset of which so many training images are no images; answers its manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    bad = [each for each in manifest["images"] if each["split"] == "train"][:images]
    made = folder.parent / version
    shutil.copytree(folder, made)
    for number, each in enumerate(bad):
        data = b"\x89PNG\r\n\x1a\nthis is no picture, and neither is any other: %d" % number
        (made / each["key"]).write_bytes(data)
        each["sha256"] = hashlib.sha256(data).hexdigest()
    (made / "manifest.json").write_text(json.dumps(manifest | {"version": version}))
    home = world.platform.home
    return publish(home, made, bucket=home.datasets, starts_a_run=False).uri


def test_poison_images(world: World, tmp_path: Path) -> None:
    folder = sample_data(tmp_path / "good")
    state = world.states()["training", "CollectDataset"]
    few = poisoned(world, folder, 3, "few-bad")
    told = succeeded(world, world.train("poison-few", manifest_uri=few))
    assert told["counts"]["rejected"] == 3
    world.note(state, "3 poison images", "left out, reported, and trained without them")

    many = poisoned(world, folder, 40, "many-bad")
    execution = world.ended(world.train("poison-many", manifest_uri=many))
    assert execution.failure[0] == "TooManyRejectedImages"
    world.note(state, "40 poison images", failed_run(world, "poison-many", execution))


def test_the_same_start_twice_is_one_run(world: World) -> None:
    first, second = world.train("twice"), world.train("twice")
    told = [world.ended(each).output for each in (first, second)]
    assert all(each.status == "SUCCEEDED" for each in (first, second))
    assert sorted(each["repeated"] for each in told) == [False, True]
    third = succeeded(world, world.train("twice"))
    assert third["repeated"] and third["model_package_arn"]
    assert len(world.jobs("twice")) == 2, "one training, one evaluation"
    world.nothing_orphaned()
    world.note("training / RegisterRun", "started three times", "one run; the others say that they repeat it")


def test_runs_of_a_line_wait_for_each_other(world: World) -> None:
    first = world.train("waits-1")
    world.entered(first, "AnnounceStart")
    second = world.train("waits-2")
    world.entered(second, "WaitForTurn")
    for each in (first, second):
        succeeded(world, each)
    world.nothing_orphaned()
    world.note("training / WaitForTurn", "two runs at once", "the second waited; both succeeded")


def test_the_queue_states_refused(world: World) -> None:
    holder = world.train("holds", hyperparameters={"epochs": "8"})
    world.entered(holder, "AnnounceStart")
    state = world.states()["training", "FindHolder"]
    with world.fault(state, "denied", 3) as hits:
        execution = world.ended(world.train("refused-waiting"))
        assert hits()
    world.announced("Training Failed", run_id="refused-waiting")
    world.recorded("refused-waiting", "FAILED")
    succeeded(world, holder)
    succeeded(world, world.train("refused-waiting"))
    world.nothing_orphaned()
    world.note(state, "denied", f"FAILED ({execution.failure[0]}): recorded, announced; a rerun succeeded")


def test_the_states_that_look_back_refused(world: World) -> None:
    states = world.states()
    first = world.train("looked-at", hyperparameters={"epochs": "8"})
    world.entered(first, "AnnounceStart")
    with world.fault(states["training", "FindExecution"], "denied", 3) as hits:
        second = world.ended(world.train("looked-at", hyperparameters={"epochs": "8"}))
        assert hits()
    world.announced("Training Failed", execution_arn=second.arn)
    succeeded(world, first)
    found = world.recorded("looked-at", "SUCCEEDED")
    assert found["execution_arn"] == first.arn, "the other's failure must not be written over it"
    words = f"FAILED ({second.failure[0]}): announced; the run that it met went on and succeeded"
    world.note(states["training", "FindExecution"], "denied, beside a running one", words)

    with world.fault(states["training", "LeaveQueue"], "denied", 3) as hits:
        succeeded(world, world.train("stays"))
        assert hits()
    with world.fault(states["training", "PassBy"], "denied", 3) as hits:
        execution = world.ended(world.train("passes"))
        assert hits()
    world.announced("Training Failed", execution_arn=execution.arn)
    succeeded(world, world.again("passes"))
    world.nothing_orphaned()
    words = f"FAILED ({execution.failure[0]}): announced; a rerun passed by it and succeeded"
    world.note(states["training", "PassBy"], "denied, behind an ended one", words)


def test_a_run_cannot_be_recalled(world: World) -> None:
    state = world.states()["training", "RecallRun"]
    succeeded(world, world.train("recalled"))
    with world.fault(state, "denied", 3) as hits:
        execution = world.ended(world.again("recalled"))
        assert hits()
    outcome = failed_again(world, execution)
    told = succeeded(world, world.again("recalled"))
    assert told["repeated"]
    world.note(state, "denied", f"{outcome}; the next start answers with the run's result")


def failed_again(world: World, execution: Execution) -> str:
    """Holds that a start which changed nothing was announced as failed, and nothing is left of it."""
    world.announced("Training Failed", execution_arn=execution.arn)
    world.champion_serves()
    world.nothing_orphaned()
    return f"FAILED ({execution.failure[0]}): announced, and nothing was changed"


def test_a_stopped_execution_is_cleared_up_after(world: World) -> None:
    execution = stopped_in_training(world, "stopped")
    outcome = failed_run(world, "stopped", execution)
    before = len(world.jobs("stopped"))
    succeeded(world, world.again("stopped"))
    assert len(world.jobs("stopped")) == before + 2, "another training, and its evaluation"
    world.note("training / Train", "the execution is stopped", f"{outcome}; a rerun succeeded")


def stopped_in_training(world: World, run_id: str) -> Execution:
    execution = world.train(run_id, hyperparameters={"epochs": "9"})
    world.entered(execution, "Train")
    wait_for(lambda: world.jobs(run_id), "the training job")
    world.client("stepfunctions").stop_execution(executionArn=execution.arn)
    return world.ended(execution)


def test_each_state_of_the_aftermath_refused(world: World) -> None:
    tasks = [each for (machine, _), each in world.states().items() if machine == "aftermath" and each.service]
    wrong: list[str] = []
    for number, state in enumerate(tasks):
        run_id = f"after-{number}"
        with world.fault(state, "denied", 3) as hits:
            stopped_in_training(world, run_id)
            struck = hits
            wait_for(struck, f"{state} to be struck")
            wait_for(lambda: not _running(world), "the aftermath to end")
        told = succeeded(world, world.again(run_id))
        try:
            world.nothing_orphaned()
        except AssertionError as miss:
            wrong.append(f"{state}: {miss}")
        good = not wrong or not wrong[-1].startswith(str(state))
        words = f"a rerun took the run over (attempt {told['attempt']}) and succeeded"
        world.note(state, "denied", words if good else wrong[-1], good=good)
    assert not wrong, "\n".join(wrong)


def _running(world: World) -> bool:
    newest = world.last("aftermath")
    if newest is None:
        return True
    newest.look()
    return newest.status == "RUNNING"


def test_records_of_a_failure_are_refused(world: World) -> None:
    states = world.states()
    gate = states["training", "Gate"]
    for names in (
        ("RecordFailure",),
        ("RecordFailure", "AnnounceUnrecorded"),
        ("AnnounceFailure",),
        ("LeaveQueueAfterFailure",),
    ):
        state, run_id = states["training", names[-1]], f"no-{names[-1].lower()}"[:25]
        with contextlib.ExitStack() as faults:
            faults.enter_context(world.fault(gate, "denied", 3))
            hits = [
                faults.enter_context(world.fault(states["training", each], "denied", 3)) for each in names
            ]
            execution = world.ended(world.train(run_id))
            assert all(count() for count in hits)
        assert execution.status == "FAILED"
        recorded = world.recorded(run_id, "FAILED")
        world.champion_serves()
        succeeded(world, world.again(run_id))
        world.nothing_orphaned()
        words = f"FAILED ({execution.failure[0]}), recorded as {recorded.get('error')}; a rerun succeeded"
        world.note(state, "denied, after another failure", words)
