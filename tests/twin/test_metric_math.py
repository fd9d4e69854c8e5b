"""Metric math gives what CloudWatch gives: period by period, without data where there is no result."""

from typing import Any

import pytest

from twin.metric_math import Evaluation, MathError, names, parse

LOW, TOTAL = {1: 2.0, 2: 0.0, 3: 5.0}, {1: 8.0, 2: 0.0, 4: 9.0}


def evaluate(text: str, periods: range = range(1, 5)) -> dict[int, float]:
    values: Any = {"low": LOW, "total": TOTAL}
    return Evaluation(values, ["low", "total"], periods).series(parse(text))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("100 * low / total", {1: 25.0}),  # 0 / 0 and a missing side have no data point
        ("low + total", {1: 10.0, 2: 0.0}),
        ("-low", {1: -2.0, 2: -0.0, 3: -5.0}),
        ("2 * low ^ 2", {1: 8.0, 2: 0.0, 3: 50.0}),
        ("FILL(low, 0)", {1: 2.0, 2: 0.0, 3: 5.0, 4: 0.0}),
        ("FILL(total, REPEAT)", {1: 8.0, 2: 0.0, 3: 0.0, 4: 9.0}),
        ("FILL(low, total)", {1: 2.0, 2: 0.0, 3: 5.0, 4: 9.0}),
        ("IF(total > 5, 100 * low / total, 0)", {1: 25.0, 2: 0.0}),
        ("IF(low > 1 AND FILL(total, 0) > 1, 1, 0)", {1: 1.0, 2: 0.0, 3: 0.0}),
        ("IF(low >= 2, low)", {1: 2.0, 3: 5.0}),
        ("MAX([low, total])", {1: 8.0, 2: 0.0, 3: 5.0, 4: 9.0}),
        ("SUM(METRICS())", {1: 10.0, 2: 0.0, 3: 5.0, 4: 9.0}),
        ("low / MAX(low)", {1: 0.4, 2: 0.0, 3: 1.0}),
        ("RUNNING_SUM(low)", {1: 2.0, 2: 2.0, 3: 7.0}),
        ("DIFF(low)", {2: -2.0, 3: 5.0}),
        ("IF(1, 7)", {1: 7.0, 2: 7.0, 3: 7.0, 4: 7.0}),
    ],
)
def test_expression_gives_a_series(expression: str, expected: dict[int, float]) -> None:
    assert evaluate(expression) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("SEARCH(low)", "uses SEARCH"),
        ("low +", "cannot be read"),
        ("low.high", "cannot be read"),
        ("5 * 3", "gives a number"),
        ("METRICS()", "several time series"),
        ("ghost * 2", "'ghost' is no id"),
        ("1 < low < 3", "chains comparisons"),
    ],
)
def test_expression_that_cannot_be_is_refused_by_name(expression: str, words: str) -> None:
    with pytest.raises(MathError, match=words):
        evaluate(expression)


def test_ids_of_an_expression_are_told_from_its_functions() -> None:
    assert names(parse("IF(total > 5, FILL(low, REPEAT), 0)")) == {"low", "total"}
