"""The arithmetic of accuracy, precision and recall, held against scikit-learn and SciPy (R25)."""

from __future__ import annotations

import importlib.util
import random
import sys
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from tests.lambda_src.conftest import ROOT


@pytest.fixture(scope="module")
def measures() -> Any:
    path = ROOT / "lambda_src" / "feedback" / "measures.py"
    described = importlib.util.spec_from_file_location("feedback_measures", path)
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    sys.modules["feedback_measures"] = module  # dataclasses look their module up
    described.loader.exec_module(module)
    return module


def pairs_of(seed: int, classes: list[str], number: int) -> tuple[list[str], list[str]]:
    dice = random.Random(seed)  # noqa: S311 - the same labels every time
    truth = [dice.choice(classes) for _ in range(number)]
    said = [each if dice.random() < 0.7 else dice.choice(classes) for each in truth]
    return truth, said


@pytest.mark.parametrize(("seed", "number"), [(1, 1), (2, 7), (3, 100), (4, 5000)])
def test_figures_are_those_of_scikit_learn(measures: Any, seed: int, number: int) -> None:
    classes = ["a", "b", "c", "d", "e"]
    truth, said = pairs_of(seed, classes[:4], number)
    counts: dict[tuple[str, str], int] = {}
    for pair in zip(truth, said, strict=True):
        counts[pair] = counts.get(pair, 0) + 1
    found = measures.measure(counts, classes, confidence=0.95)
    assert found.labels == number
    assert found.accuracy.value == pytest.approx(accuracy_score(truth, said))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, said, labels=classes, zero_division=np.nan
    )
    for place, each in enumerate(found.classes):
        assert each.label == classes[place]
        assert each.labelled == support[place]
        for mine, theirs in ((each.precision, precision), (each.recall, recall)):
            assert mine.value == pytest.approx(theirs[place]) if mine.trials else np.isnan(theirs[place])
        if each.f1 is not None:
            assert each.f1 == pytest.approx(f1[place])
    occurring = sorted(set(truth) | set(said))
    assert found.macro_f1 == pytest.approx(
        f1_score(truth, said, labels=occurring, average="macro", zero_division=0)
    )


@pytest.mark.parametrize("trials", [1, 2, 10, 200, 100_000])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 1])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_interval_is_that_of_scipy(measures: Any, trials: int, share: float, confidence: float) -> None:
    hits = round(share * trials)
    found = measures.proportion(hits, trials, confidence=confidence)
    wilson = binomtest(hits, trials).proportion_ci(confidence_level=confidence, method="wilson")
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_interval_holds_what_it_promises(measures: Any) -> None:
    """Of many samples, the true share lies inside for about as many as the confidence says."""
    dice = np.random.default_rng(25)
    for truth, trials in ((0.97, 200), (0.9, 50)):
        hits = dice.binomial(trials, truth, 4000)
        inside = [measures.proportion(int(each), trials, confidence=0.95) for each in hits]
        covered = sum(each.low <= truth <= each.high for each in inside) / len(inside)
        assert 0.92 < covered < 0.98


def test_nothing_is_known_without_labels(measures: Any) -> None:
    found = measures.measure({}, ["a", "b"], confidence=0.95)
    assert found.labels == 0
    assert found.macro_f1 is None
    assert found.accuracy.value is None
    assert (found.accuracy.low, found.accuracy.high) == (0, 1)
    assert [each.precision.value for each in found.classes] == [None, None]


def test_classes_of_older_models_stand_behind_the_declared_ones(measures: Any) -> None:
    found = measures.measure({("z", "a"): 1, ("b", "y"): 1}, ["a", "b"], confidence=0.95)
    assert [each.label for each in found.classes] == ["a", "b", "y", "z"]


def test_days_add_up(measures: Any) -> None:
    days = [{("a", "a"): 3, ("a", "b"): 1}, {("a", "a"): 2}, {}]
    assert measures.added(days) == {("a", "a"): 5, ("a", "b"): 1}


@pytest.mark.parametrize(
    ("hits", "trials", "confidence"), [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 0.0), (1, 3, 1.0)]
)
def test_impossible_numbers_are_refused(measures: Any, hits: int, trials: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"cannot be|between 0 and 1"):
        measures.proportion(hits, trials, confidence=confidence)


def test_negative_count_is_refused_by_name(measures: Any) -> None:
    with pytest.raises(ValueError, match=r"\('a', 'b'\) is -1"):
        measures.measure({("a", "b"): -1}, ["a", "b"], confidence=0.95)
