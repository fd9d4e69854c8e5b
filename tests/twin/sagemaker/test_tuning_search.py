"""How tuning jobs search and stop, without jobs: scales, strategies and rules on known functions."""

import json
import subprocess
from typing import Any

import pytest

from tests.twin.conftest import ROOT, SERVER_PYTHON

pytestmark = pytest.mark.twin

# The search runs in the twin's environment, where its library and the emulator are.
PRELUDE = """
import json, sys
from twin.services.sagemaker.tuning_space import Space
from twin.services.sagemaker.tuning_search import search_of
from twin.services.sagemaker.tuning_stopping import HyperbandStopping, MedianStopping
def show(value): print(json.dumps(value))
def continuous(name, low, high, scaling):
    return {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scaling}
def categorical(name, *values): return {"Name": name, "Values": list(values)}
def drive(search, cost, count):
    costs = []
    for _ in range(count):
        proposal = search.propose()
        if proposal is None: break
        costs.append(cost(proposal.point)); search.observe(proposal, costs[-1])
    return costs
"""


def run(program: str) -> Any:
    """Run a program in the twin's environment and return the JSON that it prints."""
    done = subprocess.run(
        [str(SERVER_PYTHON), "-c", PRELUDE + program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_values_follow_the_scale_of_their_range_and_come_back_from_it() -> None:
    found = run("""
space = Space({"ContinuousParameterRanges": [
    continuous("lr", "0.0001", "1", "Logarithmic"),
    continuous("momentum", "0.5", "0.999", "ReverseLogarithmic"),
    continuous("auto", "0.001", "1", "Auto"), continuous("plain", "0", "10", "Auto")],
    "IntegerParameterRanges": [continuous("layers", "1", "4", "Linear")],
    "CategoricalParameterRanges": [categorical("optimizer", "adam", "sgd")]}, {})
middle = space.texts({p.name: 0.5 for p in space.parameters})
ends = [space.texts({p.name: share for p in space.parameters} | {"optimizer": share}) for share in (0, 1)]
back = space.texts(space.point(middle))
outside = space.point(middle | {"lr": "2"})
layers = [space.parameters[4].text(n / 1000) for n in range(1000)]
show([middle, ends, back == middle, outside, {n: layers.count(n) for n in "1234"}])
""")
    middle, (low, high), is_same, outside, layers = found
    assert float(middle["lr"]) == pytest.approx(0.01)
    assert 0.97 < float(middle["momentum"]) < 0.985
    assert float(middle["auto"]) == pytest.approx(0.0316, rel=0.01)
    assert float(middle["plain"]) == 5
    assert (low["layers"], high["layers"], low["optimizer"], high["optimizer"]) == ("1", "4", "adam", "sgd")
    assert float(low["lr"]) == pytest.approx(0.0001) and float(high["lr"]) == pytest.approx(1)
    assert is_same and outside is None
    assert all(245 <= count <= 255 for count in layers.values())


def test_same_seed_proposes_the_same_points_and_grid_every_combination_once() -> None:
    same, other, grid, left = run("""
ranges = {"ContinuousParameterRanges": [continuous("x", "0", "1", "Linear")]}
space = Space(ranges, {})
def first(strategy, seed): return [search_of(strategy, space, seed, 9).propose().point["x"] for _ in range(1)]
same = [first(s, 7) == first(s, 7) for s in ("Random", "Bayesian", "Hyperband")]
other = first("Random", 7) != first("Random", 8)
choices = [categorical("a", "1", "2"), categorical("b", "x", "y", "z")]
space = Space({"CategoricalParameterRanges": choices}, {})
search = search_of("Grid", space, None, 6)
grid = [space.texts(search.propose().point) for _ in range(6)]
show([same, other, grid, search.propose() is None])
""")
    assert all(same) and other and left
    assert len({tuple(sorted(point.items())) for point in grid}) == 6


def test_bayesian_search_finds_better_points_than_its_random_start_and_uses_what_parents_know() -> None:
    rows, cold, warm = run("""
space = Space({"ContinuousParameterRanges": [continuous(name, "0", "1", "Linear") for name in "xy"]}, {})
cost = lambda point: (point["x"] - 0.3) ** 2 + (point["y"] - 0.7) ** 2
rows, cold, warm = [], [], []
for seed in range(5):
    costs = drive(search_of("Bayesian", space, seed, 20), cost, 20)
    rows.append([min(costs[:5]), min(costs), min(drive(search_of("Random", space, seed, 20), cost, 20))])
    cold.append(sum(costs[:5]) / 5)
    search = search_of("Bayesian", space, seed, 20)
    for n in range(36):
        point = {"x": (n % 6) / 5, "y": (n // 6) / 5}
        search.remember(point, cost(point))
    warm.append(sum(drive(search, cost, 5)) / 5)
show([rows, cold, warm])
""")
    assert all(best < start for start, best, _ in rows)
    assert sum(best for _, best, _ in rows) < sum(chance for _, _, chance in rows)
    assert sum(warm) < sum(cold)


def test_median_rule_ends_a_trial_that_is_worse_than_the_others_were() -> None:
    early, worse, better = run("""
rule = MedianStopping()
rule.ended("a", [3, 2, 1]); rule.ended("b", [4, 3, 2])
early = rule.is_hopeless("c", [9])
rule.ended("d", [5, 4, 3])
show([early, rule.is_hopeless("c", [9, 8]), rule.is_hopeless("c", [3.4, 3.4])])
""")
    assert (early, worse, better) == (False, True, False)  # averages after two reports: 2.5, 3.5, 4.5


def test_hyperband_keeps_the_best_third_at_every_rung_and_spends_less_than_random_search() -> None:
    ended, hyperband, random = run("""
import random
draw = random.Random(3)
finals = [draw.random() for _ in range(24)]
def costs(final): return [final + 1 / epoch for epoch in range(1, 10)]
rule, ended, spent, best = HyperbandStopping(1, 9), {}, 0, []
for number, final in enumerate(finals):
    seen = []
    for cost in costs(final):
        seen.append(cost); spent += 1
        if rule.is_hopeless(str(number), seen):
            ended[number] = len(seen)
            break
    else:
        best.append(final)
# With the same number of epochs, random search runs this many trials to their ends.
show([sorted(set(ended.values())), [spent, min(best)], min(finals[: spent // 9])])
""")
    spent, best = hyperband
    assert set(ended) <= {1, 3}  # the rungs below the most resources
    assert spent < 24 * 9 * 0.7
    assert best <= random


def test_range_that_cannot_be_is_refused_in_words() -> None:
    said = run("""
from twin.json_service import ServiceError
def fault(ranges, static={}):
    try: Space(ranges, static)
    except ServiceError as error: return error.message
x = lambda *rest: {"ContinuousParameterRanges": [continuous("x", *rest)]}
show([fault(x("1", "0", "Linear")), fault(x("0", "1", "Logarithmic")),
      fault(x("0", "1", "ReverseLogarithmic")), fault(x("a", "1", "Linear")), fault({}),
      fault(x("0", "1", "Linear"), {"x": "1"}),
      fault({"IntegerParameterRanges": [continuous("x", "0.5", "2", "Linear")]})])
""")
    parts = ("than its MinValue", "greater than 0", "below 1", "numbers", "at least one", "static", "whole")
    assert [part in text for part, text in zip(parts, said, strict=True)] == [True] * len(parts)
