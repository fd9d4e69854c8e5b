"""The four figures of DORA and the time per stage, computed from what the pipeline remembers (R9)."""

import pytest

from tests.lambda_src.delivery_metrics.conftest import World
from tests.lambda_src.delivery_metrics.world import at


def test_first_deployment_ever_brings_every_change_so_far(world: World) -> None:
    broken = world.history.push(0, "a", committed=-50)
    broken.actions[-1]["status"], broken.status = "Failed", "Failed"
    world.history.deliver(1000, "b", committed=900)
    world.tell_all(*world.history.runs)
    metrics = world.metrics()
    assert metrics.values("Deployments") == [1]
    assert metrics.values("DeploymentFailures") == [0]
    assert metrics.values("LeadTimeSeconds") == [1250, 300]
    assert metrics.values("RestoreSeconds") == []
    assert metrics.times("Deployments") == [at(1200).timestamp()]


def test_change_counts_once_in_the_delivery_that_carried_it_first(world: World) -> None:
    world.history.deliver(0, "a")
    world.history.begin(300, "b").status = "Superseded"
    started_by_the_update = world.history.deliver(400, "b")
    released_again = world.history.deliver(2000, "b")
    for run in (started_by_the_update, released_again):
        world.tell_all(run)
    metrics = world.metrics()
    assert metrics.values("Deployments") == [1, 1]
    assert metrics.values("LeadTimeSeconds") == [300]


def test_change_taken_up_while_another_waits_for_approval_belongs_to_its_own_delivery(world: World) -> None:
    first, second = world.history.deliver(0, "a"), world.history.deliver(50, "b")
    world.tell_all(first)
    assert world.metrics().values("LeadTimeSeconds") == [200]
    world.tell_all(second)
    assert world.metrics().values("LeadTimeSeconds") == [200]


def test_what_happened_after_a_deployment_does_not_change_its_figures(world: World) -> None:
    good, bad = world.history.deliver(0, "a"), world.history.break_production(1000, "b")
    fixed, overlapping = world.history.deliver(2000, "c"), world.history.deliver(2050, "d")
    world.tell_all(good, bad, overlapping, fixed)
    assert sorted(world.metrics().values("RestoreSeconds")) == [1000]


@pytest.mark.parametrize(
    ("committed", "seconds"),
    [(None, 200), (-3600, 3800), (90, 200)],
    ids=["unknown", "known", "in the future"],
)
def test_change_begins_with_its_commit_or_with_its_push(
    world: World, committed: float | None, seconds: float
) -> None:
    world.tell_all(world.history.deliver(0, "a", committed=committed))
    assert world.metrics().values("LeadTimeSeconds") == [seconds]


def test_failures_until_the_next_success_are_one_outage(world: World) -> None:
    good = world.history.deliver(0, "a")
    bad = [world.history.break_production(1000 * n, f"bad {n}") for n in (1, 2)]
    fixed, next_one = world.history.deliver(5000, "b"), world.history.deliver(6000, "c")
    world.tell_all(good, *bad, fixed, next_one)
    metrics = world.metrics()
    assert metrics.values("Deployments") == [1, 0, 0, 1, 1]
    assert metrics.values("DeploymentFailures") == [0, 1, 1, 0, 0]
    assert metrics.values("RestoreSeconds") == [5200 - 1200]
    assert metrics.values("LeadTimeSeconds") == [200, 4200, 3200, 200, 200]


def test_rejected_approval_is_no_deployment(world: World) -> None:
    run = world.history.push(0, "a")
    run.act("Prod", "Promote", 70, 170, "Failed", category="Approval").status = "Failed"
    world.tell(run, "Prod", "FAILED")
    assert not world.metrics().values("Deployments")


def test_automatic_rollback_restores_and_counts_as_no_deployment(world: World) -> None:
    good, bad = world.history.deliver(0, "a"), world.history.break_production(1000, "b")
    back, fixed = world.history.roll_back(1210, "a"), world.history.deliver(3000, "c")
    world.tell_all(good, bad, back, fixed)
    metrics = world.metrics()
    assert metrics.values("Deployments") == [1, 0, 1]
    assert metrics.values("DeploymentFailures") == [0, 1, 0]
    assert metrics.values("RestoreSeconds") == [1240 - 1200]
    assert metrics.values("LeadTimeSeconds") == [200, 2200, 200]


def test_rollback_that_fails_leaves_the_outage_open(world: World) -> None:
    good, bad = world.history.deliver(0, "a"), world.history.break_production(1000, "b")
    back, fixed = world.history.roll_back(1210, "a", "Failed"), world.history.deliver(3000, "c")
    world.tell_all(good, bad, back, fixed)
    metrics = world.metrics()
    assert metrics.values("DeploymentFailures") == [0, 1, 0]
    assert metrics.values("RestoreSeconds") == [3200 - 1200]


def test_persons_rollback_makes_the_success_before_it_a_failure_once(world: World) -> None:
    good, worse = world.history.deliver(0, "a"), world.history.deliver(1000, "b")
    back, further = world.history.roll_back(2000, "a"), world.history.roll_back(2100, "z")
    world.tell_all(good, worse, back, further)
    metrics = world.metrics()
    assert metrics.values("Deployments") == [1, 1]
    assert metrics.values("DeploymentFailures") == [0, 0, 1]
    assert metrics.times("DeploymentFailures")[-1] == at(2000).timestamp()
    assert metrics.values("RestoreSeconds") == [30, 30]


def test_stage_that_is_retried_is_deployed_again(world: World) -> None:
    run = world.history.push(0, "a")
    run.act("Prod", "Promote", 70, 170, category="Approval")
    run.act("Prod", "Deploy", 170, 200, category="Deploy").act("Prod", "Smoke", 200, 240, "Failed")
    run.act("Prod", "Smoke", 900, 930)
    world.tell(run, "Prod", "SUCCEEDED")
    metrics = world.metrics()
    assert metrics.values("Deployments") == [0, 1]
    assert metrics.values("DeploymentFailures") == [1, 0]
    assert metrics.values("RestoreSeconds") == [930 - 240]
    assert metrics.values("LeadTimeSeconds") == [930]
    assert metrics.values("StageSeconds", "Prod") == [30]


def test_time_of_a_stage_is_apart_from_waiting_for_people_and_turns(world: World) -> None:
    run = world.history.push(0, "a")
    # The stage was occupied for 30 s; a second check ran while the person thought.
    run.act("Prod", "Promote", 100, 200, category="Approval").act("Prod", "Check", 100, 120)
    run.act("Prod", "Deploy", 205, 250, category="Deploy")
    world.tell(run, "Prod", "SUCCEEDED")
    metrics = world.metrics()
    assert metrics.values("QueueSeconds", "Prod") == [30 + 80]
    assert metrics.values("StageSeconds", "Prod") == [20 + 50]
    assert metrics.values("StageSeconds", "Build") == [60]
    assert metrics.values("QueueSeconds", "Build") == [0]


def test_more_changes_than_a_line_of_metrics_holds(world: World) -> None:
    for number in range(120):
        world.history.begin(number, f"r{number}").status = "Superseded"
    world.tell_all(world.history.deliver(1000, "last"))
    assert len(world.metrics().values("LeadTimeSeconds")) == 121
