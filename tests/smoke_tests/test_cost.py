"""Money: what a budget buys, which runs are not started, and the bill at the end."""

from collections.abc import Callable

import pytest

from smoke_tests import plan
from smoke_tests.context import Context
from smoke_tests.cost import Rates, bill
from tests.smoke_tests.conftest import Finished
from tests.smoke_tests.world import World

RATES = Rates(training=1.0, evaluation=0.5, hosting=0.5, request=0.01)


def test_a_budget_buys_time_of_all_machines_together() -> None:
    assert RATES.affordable_seconds(2.0) == 3600


def test_a_bill_counts_every_machine_for_its_own_time() -> None:
    cost = bill(RATES, training=360, evaluation=720, hosting=1800, requests=0)
    assert (cost.training, cost.evaluation, cost.hosting) == pytest.approx((0.1, 0.1, 0.25))
    assert cost.total == pytest.approx(0.45)
    assert bill(RATES, training=0, evaluation=0, hosting=0, requests=100).total == pytest.approx(1.0)


def test_a_run_that_could_cost_too_much_is_not_started(smoke: Callable[..., Finished], world: World) -> None:
    done = smoke(SMOKE_MAX_COST_USD="0.05")
    assert "0.05 USD (SMOKE_MAX_COST_USD) buy 409 s" in done.detail("budget")
    assert done.status("training") == "skipped"
    assert "StartExecution" not in [name for name, _ in world.calls]


def test_a_run_that_lasts_too_long_for_its_money_is_stopped_and_cleaned_up(
    context: Callable[..., Context], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = context()
    world.polls_until_done = 10_000
    monkeypatch.setattr(Rates, "affordable_seconds", lambda *_: 50.0)

    def time_passes(name: str) -> None:
        if name == "DescribeExecution":
            run.budget._started -= 50

    world.on_call = time_passes
    plan.execute(run)
    assert "may take 50 s (SMOKE_MAX_COST_USD)" in run.journal["training"].detail
    assert [execution["status"] for execution in world.executions.values()] == ["ABORTED"]


def test_the_bill_is_told_and_held_against_the_budget(smoke: Callable[..., Finished]) -> None:
    done = smoke()
    assert done.result.evidence.cost is not None
    assert done.detail("cost").startswith(f"{done.result.evidence.cost.total:.4f} USD: training 0.0037")
    dear = smoke(REQUEST_USD="1.0")
    assert [one.name for one in dear.result.failed] == ["cost"]
    assert "at most 2.00 USD (SMOKE_MAX_COST_USD)" in dear.detail("cost")
