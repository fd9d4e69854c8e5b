"""Events that come twice, late or too early, and a history that is long or slow to answer."""

import pytest

from tests.lambda_src.delivery_metrics.conftest import World


def test_event_delivered_again_counts_nothing(world: World) -> None:
    world.tell_all(world.history.deliver(0, "a"))
    assert world.metrics().values("Deployments") == [1]
    world.tell_all(*world.history.runs * 3)
    assert world.metrics().documents == []


def test_order_of_events_does_not_matter(world: World) -> None:
    good, bad = world.history.deliver(0, "a"), world.history.break_production(1000, "b")
    back, fixed = world.history.roll_back(1210, "a"), world.history.deliver(3000, "c")
    figures = ("Deployments", "DeploymentFailures", "RestoreSeconds", "LeadTimeSeconds")
    world.tell_all(good, bad, back, fixed)
    in_order = world.metrics()
    world.records.items.clear()
    world.tell_all(fixed, back, good, bad)
    shuffled = world.metrics()
    for name in figures:
        assert sorted(shuffled.values(name)) == sorted(in_order.values(name))
        assert sorted(shuffled.times(name)) == sorted(in_order.times(name))


def test_next_event_of_an_execution_makes_up_for_a_lost_one(world: World) -> None:
    run = world.history.deliver(0, "a")
    world.tell(run, "Prod", "SUCCEEDED")
    assert world.metrics().values("StageSeconds", "Build") == [60]


def test_what_still_runs_is_not_measured(world: World) -> None:
    run = world.history.push(0, "a")
    run.status = "InProgress"
    run.act("Prod", "Deploy", 170, 200, category="Deploy")
    world.tell(run, "Build", "SUCCEEDED", after=70)
    metrics = world.metrics()
    assert metrics.values("StageSeconds", "Build") == [60]
    assert metrics.values("StageSeconds", "Prod") == metrics.values("Deployments") == []
    world.tell(run, "Prod", "SUCCEEDED", after=200)
    assert world.metrics().values("Deployments") == [1]


def test_late_event_of_a_failure_that_is_being_retried_is_in_order(world: World) -> None:
    run = world.history.break_production(0, "a")
    run.status = "InProgress"
    run.act("Prod", "Deploy", 300, 300, "InProgress", category="Deploy")
    world.tell(run, "Prod", "FAILED", after=200)
    assert world.metrics().values("DeploymentFailures") == [1]


def test_history_behind_the_event_is_asked_again_later(world: World) -> None:
    run = world.history.push(0, "a")
    run.status = "InProgress"
    run.act("Prod", "Deploy", 170, 170, "InProgress", category="Deploy")
    with pytest.raises(Exception, match="shows Prod still running") as caught:
        world.tell(run, "Prod", "SUCCEEDED", after=200)
    assert type(caught.value).__name__ == "HistoryBehind"
    run.actions[-1] |= {"status": "Succeeded"}
    world.tell(run, "Prod", "SUCCEEDED", after=200)
    assert world.metrics().values("Deployments") == [1]


def test_execution_that_the_history_does_not_show_is_asked_for_again_later(world: World) -> None:
    run = world.history.deliver(0, "a")
    world.history.runs.remove(run)
    with pytest.raises(Exception, match="does not show the execution"):
        world.tell(run, "Prod", "SUCCEEDED")


@pytest.mark.parametrize("status", ["Stopped", "Cancelled"])
def test_stage_in_which_an_execution_was_stopped_is_not_measured(world: World, status: str) -> None:
    run = world.history.deliver(0, "a")
    run.status = status
    world.tell(run, "Build", "SUCCEEDED")
    metrics = world.metrics()
    assert metrics.values("StageSeconds", "Build") == [60]
    assert metrics.values("Deployments") == []


def test_throttled_history_is_asked_until_it_answers(world: World) -> None:
    run = world.history.deliver(0, "a")
    world.history.throttled = 1
    world.tell(run, "Prod", "SUCCEEDED")
    assert world.history.throttled == 0
    assert world.metrics().values("Deployments") == [1]


def test_failure_on_the_way_leaves_the_attempt_to_the_next_call(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.history.deliver(0, "a")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="no metrics today"):

        def fail(_: object) -> None:
            raise RuntimeError("no metrics today")

        patch.setattr(world.function, "_emit", fail)
        world.tell(run, "Prod", "SUCCEEDED")
    world.tell(run, "Prod", "SUCCEEDED")
    assert world.metrics().values("Deployments") == [1]


def test_call_that_died_is_repeated_when_its_lease_has_ended(world: World) -> None:
    run = world.history.deliver(0, "a")
    world.tell(run, "Prod", "SUCCEEDED")
    world.metrics()
    record = next(each for key, each in world.records.items.items())
    record |= {"status": {"S": "INPROGRESS"}, "in_progress_expiration": {"N": "99999999999999"}}
    with pytest.raises(Exception, match="already in progress"):
        world.tell(run, "Prod", "SUCCEEDED")
    record["in_progress_expiration"] = {"N": "1"}
    world.tell(run, "Prod", "SUCCEEDED")
    assert len(world.metrics().documents) == 2  # the two durations of the one attempt


def test_history_of_many_pages_is_read_as_far_as_needed(world: World) -> None:
    for number in range(250):
        world.history.begin(number, f"old {number}").status = "Superseded"
    world.history.deliver(1000, "a")
    for number in range(150):
        broken = world.history.begin(2000 + number, f"r{number}")
        broken.act("Build", "Synth", 2000 + number, 2000 + number, "Failed").status = "Failed"
    run = world.history.deliver(5000, "b")
    world.tell(run, "Prod", "SUCCEEDED")
    metrics = world.metrics()
    assert len(metrics.values("LeadTimeSeconds")) == 151
    assert world.history.calls.count("ListPipelineExecutions") == 2


def test_actions_of_many_pages_are_all_read(world: World) -> None:
    run = world.history.push(0, "a")
    for number in range(130):
        run.act("Prod", f"Deploy{number}", 100, 100 + number, category="Deploy")
    world.tell(run, "Prod", "SUCCEEDED")
    assert world.metrics().values("StageSeconds", "Prod") == [129]


def test_other_pipelines_events_are_let_pass(world: World) -> None:
    event = {"detail": {"pipeline": "another", "stage": "Prod", "execution-id": "x", "state": "SUCCEEDED"}}
    assert world.function.handler(event, world.context) == {"measured": 0}
    assert world.history.calls == []
