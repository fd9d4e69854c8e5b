"""Faults in the promotion workflow: whatever fails, the champion answers, and nothing is left behind."""

from __future__ import annotations

import contextlib
import io
import tarfile

import pytest

from ops.models.bad_package import BadPackage
from ops.models.execution import Execution
from tests.faults.sweep import Sweep, path, throttled
from tests.faults.world import World, wait_for

# The item that holds a line for one promotion.
_LOCK = "PROMOTION"


def promote(world: World, deployment: str) -> Execution:
    """Starts a promotion of the champion's own package: what serves stays as good as it is."""
    champion = world.records.champion()
    assert champion is not None
    return world.start(
        "promotion",
        {
            "line": "champion",
            "deployment_id": deployment,
            "model_package_arn": champion["model_package_arn"],
            "reason": "package",
        },
    )


def settled(world: World, deployment: str, execution: Execution) -> None:
    """Holds what must hold after a promotion has failed."""
    world.announced("Promotion Failed", deployment_id=deployment, error=execution.failure[0])
    world.champion_serves()
    record = world.records.item(f"DEPLOYMENT#champion#{deployment}", "DEPLOYMENT")
    assert record is None or record["status"] != "RUNNING", record


def _but_for_a_lock(world: World, allowed: tuple[str, ...] = ()) -> str:
    """Holds that nothing is left but what is allowed, and an ended execution's lock, which is passed by."""
    allowed = (*allowed, _LOCK)
    wait_for(
        lambda: all(each.startswith(allowed) for each in world.orphans()),
        lambda: f"nothing to be left: {world.orphans()}",
    )
    return "; the next passes by its lock" if _LOCK in world.orphans() else ""


def failed(world: World, sweep: Sweep, number: int, execution: Execution) -> str:
    """What became of a promotion that failed. One that had changed the endpoint is taken to its end."""
    settled(world, f"p-refused-{number}", execution)
    said = f"FAILED ({execution.failure[0]}): recorded, announced"
    endpoint = world.client("sagemaker").describe_endpoint(EndpointName=world.platform.home.endpoint())
    pending = endpoint.get("PendingDeploymentSummary", {}).get("EndpointConfigName", "")
    own = f"{world.platform.home.endpoint()}-p-refused-{number}"
    if own not in (endpoint["EndpointConfigName"], pending):
        return said + _but_for_a_lock(world)
    again = world.ended(promote(world, f"p-refused-{number}"))
    assert again.status == "SUCCEEDED", again.failure
    world.champion_serves()
    world.nothing_orphaned()
    sweep.finish()
    return f"{said}; the endpoint had changed, and the next start recorded its champion"


def survived(world: World, number: int, execution: Execution) -> str:
    """What became of a promotion that a fault could not stop: it writes down what it could not delete."""
    world.champion_serves()
    said = "went on without it and succeeded" + _but_for_a_lock(world, allowed=("config", "model"))
    record = world.records.item(f"DEPLOYMENT#champion#p-refused-{number}", "DEPLOYMENT")
    left = [each for each in world.orphans() if each != _LOCK]
    if not left:
        return said
    assert record is not None
    named = [each for each in left if each.split()[-1] in str(record["left_behind"])]
    assert named == left, f"left and not written down: {left}"
    api = world.client("sagemaker")
    for kind, name in (each.split() for each in left):
        if kind == "config":
            api.delete_endpoint_config(EndpointConfigName=name)
        else:
            api.delete_model(ModelName=name)
    return f"succeeded; the record names what it could not delete: {', '.join(left)}"


def test_each_state_refused_in_turn(world: World) -> None:
    sweep = Sweep(
        world,
        "promotion",
        begin=lambda number: promote(world, f"p-refused-{number}"),
        failed=lambda number, execution: failed(world, sweep, number, execution),
        survived=lambda number, execution: survived(world, number, execution),
    )
    sweep.run(path(world, "promotion"))
    world.nothing_orphaned()


def test_each_state_throttled_once(world: World) -> None:
    throttled(world, "promotion", path(world, "promotion"), lambda: promote(world, "p-throttled"))
    world.nothing_orphaned()


def test_the_same_promotion_twice_is_one(world: World) -> None:
    first, second = promote(world, "p-twice"), promote(world, "p-twice")
    told = [world.ended(each) for each in (first, second)]
    assert [each.status for each in told] == ["SUCCEEDED", "SUCCEEDED"], [each.failure for each in told]
    assert told[0].output["endpoint_config_name"] == told[1].output["endpoint_config_name"]
    world.champion_serves()
    world.nothing_orphaned()
    world.note("promotion / RecordDeployment", "started twice", "one promotion; the other answers the same")


def test_promotions_wait_for_each_other(world: World) -> None:
    first, second = promote(world, "line-1"), promote(world, "line-2")
    for each in (first, second):
        assert world.ended(each).status == "SUCCEEDED", each.failure
    world.champion_serves()
    world.nothing_orphaned()
    world.note("promotion / WaitForLine", "two promotions at once", "one waited; both succeeded")


def test_a_stopped_promotion_is_brought_to_its_end(world: World) -> None:
    execution = promote(world, "p-stopped")
    world.entered(execution, "WaitForEndpoint")
    world.client("stepfunctions").stop_execution(executionArn=execution.arn)
    world.ended(execution)
    world.nothing_orphaned()
    world.champion_serves()
    record = world.records.item("DEPLOYMENT#champion#p-stopped", "DEPLOYMENT")
    assert record is not None and record["status"] != "RUNNING"
    world.note("promotion / WaitForEndpoint", "the execution is stopped", f"settled: {record['status']}")


def test_what_follows_a_failure_is_refused(world: World) -> None:
    states = world.states()
    first = states["promotion", "UpdateEndpoint"]
    names = (
        "ExamineEndpoint",
        "RemoveRefusedConfig",
        "RemoveRefusedModel",
        "RecordFailure",
        "AnnounceFailed",
        "GiveLineBack",
    )
    for number, name in enumerate(names):
        state, deployment = states["promotion", name], f"p-after-{number}"
        with world.fault(first, "denied"), world.fault(state, "denied", 3) as hits:
            execution = world.ended(promote(world, deployment))
            assert hits(), name
        assert execution.status == "FAILED"
        world.champion_serves()
        again = world.ended(promote(world, deployment))
        assert again.status == "SUCCEEDED", again.failure
        world.nothing_orphaned()
        words = f"FAILED ({execution.failure[0]}); the same promotion, started again, succeeded"
        world.note(state, "denied, after another failure", words)


def test_the_states_that_look_back_refused(world: World) -> None:
    states = world.states()
    first = promote(world, "p-other")
    world.entered(first, "WaitForEndpoint")
    with world.fault(states["promotion", "LookAtOther"], "denied", 3) as hits:
        second = world.ended(promote(world, "p-other"))
        assert hits()
    assert world.ended(first).status == "SUCCEEDED"
    world.nothing_orphaned()
    words = f"FAILED ({second.failure[0]}); the one that it met went on and succeeded"
    world.note(states["promotion", "LookAtOther"], "denied, beside a running one", words)

    for number, name in enumerate(("FindHolder", "LookAtHolder", "PassByHolder")):
        with world.fault(states["promotion", "ReleaseLine"], "denied", 3) as hits:
            assert world.ended(promote(world, f"p-holds-{number}")).status == "SUCCEEDED"
            assert hits()
        with world.fault(states["promotion", name], "denied", 3) as hits:
            execution = world.ended(promote(world, f"p-waits-{number}"))
            assert hits(), name
        settled(world, f"p-waits-{number}", execution)
        assert world.ended(promote(world, f"p-waits-{number}")).status == "SUCCEEDED"
        world.nothing_orphaned()
        words = f"FAILED ({execution.failure[0]}): announced; the next start passed by the lock"
        world.note(states["promotion", name], "denied, behind an ended one", words)


def test_tidying_up_is_refused(world: World) -> None:
    state = world.states()["promotion", "FindStopped"]
    execution = promote(world, "p-untidy")
    world.entered(execution, "WaitForEndpoint")
    with world.fault(state, "denied", 3) as hits:
        world.client("stepfunctions").stop_execution(executionArn=execution.arn)
        wait_for(hits, f"{state} to be struck")
        world.ended(execution)
    world.champion_serves()
    again = world.ended(promote(world, "p-untidy"))
    assert again.status == "SUCCEEDED", again.failure
    world.nothing_orphaned()
    world.note(state, "denied", "the next start of the promotion took it over and succeeded")


def test_a_model_that_cannot_be_loaded_is_taken_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = io.BytesIO()
    with tarfile.open(fileobj=broken, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("model.onnx"))
    monkeypatch.setattr("ops.models.bad_package.spoil_archive", lambda _: broken.getvalue())
    champion = world.records.champion()
    assert champion is not None
    states = world.states()
    for deployment, struck in (("p-broken", None), ("p-broken-quietly", "AnnounceRolledBack")):
        with BadPackage(world.platform.home, champion, deployment) as bad, contextlib.ExitStack() as faults:
            if struck:
                hits = faults.enter_context(world.fault(states["promotion", struck], "denied", 3))
            execution = world.ended(world.start("promotion", _drill(deployment, bad.arn)))
            assert execution.failure[0] == "RolledBack", execution.failure
            if struck:
                assert hits()
            else:
                world.announced("Model Rolled Back", deployment_id=deployment)
        world.champion_serves()
        world.nothing_orphaned()
    world.note("promotion / EndpointReady", "the model cannot be loaded", "RolledBack: recorded, announced")
    world.note(states["promotion", "AnnounceRolledBack"], "denied", "RolledBack all the same, and recorded")


def _drill(deployment: str, package: str) -> dict[str, str]:
    return {
        "line": "champion",
        "deployment_id": deployment,
        "model_package_arn": package,
        "reason": "drill",
    }


def test_what_may_not_be_promoted_is_refused(world: World) -> None:
    champion = world.records.champion()
    assert champion is not None
    api, package = world.client("sagemaker"), champion["model_package_arn"]
    assert world.ended(promote(world, "p-taken")).status == "SUCCEEDED"
    taken = world.ended(world.start("promotion", _drill("p-taken", package.rpartition("/")[0] + "/9999")))
    assert (taken.status, taken.failure[0]) == ("FAILED", "InvalidInput"), taken.failure
    wrong = world.ended(world.start("promotion", {"line": "moon", "deployment_id": "p-moon"}))
    assert wrong.failure[0] == "InvalidInput"
    api.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Rejected")
    try:
        execution = world.ended(promote(world, "p-rejected"))
    finally:
        api.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    assert execution.failure[0] == "PackageNotApproved"
    settled(world, "p-rejected", execution)
    world.nothing_orphaned()
    world.note("promotion / PackageUsable", "the package is rejected", "PackageNotApproved: announced")
