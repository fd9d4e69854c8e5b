"""Clean-up: whatever happens to a run and whenever, the account holds what it held before."""

from collections.abc import Callable
from typing import Any

import pytest

from smoke_tests import plan
from smoke_tests.context import Context
from tests.smoke_tests.fake_api import FakeApi
from tests.smoke_tests.world import World

# Everything that an account holds apart from what is kept by design: lineage, log lines, metrics, executions.
KEPT_BY_DESIGN = {"items", "executions", "watched"}
HELD = ("endpoints", "configurations", "models", "packages", "versions")


def inventory(world: World) -> dict[str, list[Any]]:
    """All that the account holds, by kind."""
    return {kind: sorted(getattr(world, kind)) for kind in HELD}


@pytest.fixture
def before(world: World) -> dict[str, list[Any]]:
    """An account in use: a champion, somebody's dataset, a model of the champion's line."""
    world.put("datasets", "datasets/digits/manifest.json", b"{}")
    world.put("artifacts", "models/champion/run-7/model.tar.gz", b"1")
    world.models.add("vision-dev-champion-run-7")
    world.configurations.add("vision-dev-champion-run-7")
    return inventory(world)


OPERATIONS = (
    "PutObject",
    "StartExecution",
    "DescribeExecution",
    "GetObject",
    "GetItem",
    "DescribeLogStreams",
    "GetMetricData",
    "BatchGetTraces",
)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_run_that_is_interrupted_anywhere_leaves_nothing(
    context: Callable[..., Context], world: World, before: dict[str, list[Any]], operation: str
) -> None:
    run = context()
    seen: list[str] = []

    def stop(name: str) -> None:
        seen.append(name)
        if name == operation:
            run.budget.cancel("SIGINT")

    world.on_call = stop
    plan.execute(run)
    assert operation in seen
    assert inventory(world) == before
    assert not any(execution["status"] == "RUNNING" for execution in world.executions.values())
    assert run.journal["nothing-left"].passed


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_run_that_fails_anywhere_leaves_nothing(
    context: Callable[..., Context], world: World, before: dict[str, list[Any]], operation: str
) -> None:
    world.denied = {operation}
    run = context()
    plan.execute(run)
    assert not run.journal.passed
    assert inventory(world) == before


def test_a_run_that_succeeds_or_meets_a_broken_api_leaves_nothing(
    context: Callable[..., Context], world: World, before: dict[str, list[Any]], api: FakeApi
) -> None:
    plan.execute(context())
    assert inventory(world) == before
    api.spoil = lambda _, body: {"nothing": "of use"}
    plan.execute(context())
    assert inventory(world) == before


def test_nothing_that_an_account_holds_is_forgotten_here() -> None:
    plain = {"accuracy", "workflow_error", "polls_until_done", "denied", "on_call", "drops_lineage_of"}
    plain |= {"configuration_on_endpoint", "undeletable", "calls", "_numbers", "instance_type"}
    plain |= {"group_of_package", "answered", "direct_label", "attempt", "run_of_predictions"}
    assert set(vars(World())) == plain | set(HELD) | KEPT_BY_DESIGN
