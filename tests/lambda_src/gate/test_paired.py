"""The gate's statistics: published examples, and how often they are wrong (R17)."""

import importlib.util
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lambda_src.conftest import ROOT

HALF = 0.025  # of a two-sided interval with 95 %


@pytest.fixture(scope="module")
def paired() -> Any:
    path = ROOT / "lambda_src" / "gate" / "paired.py"
    described = importlib.util.spec_from_file_location("gate_paired", path)
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    sys.modules["gate_paired"] = module  # dataclasses look their module up
    described.loader.exec_module(module)
    return module


# (both, only the first, only the second, neither), one-sided confidence, lower and upper limit
PUBLISHED = {
    # Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014), 2850-2875: two clinical trials
    # (four decimals: the tests of the R package contingencytables).
    "airway hyper-responsiveness": ((1, 1, 7, 12), 1 - HALF, (-0.517, -0.026), 3),
    "complete response": ((59, 6, 16, 80), 1 - HALF, (-0.1240, -0.0054), 4),
    # scoreci.mp(25, 28, 618) of the R package PropCIs at 90 %; it takes the second's advantage.
    "PropCIs": ((565, 28, 25, 0), 0.95, (-0.0148, 0.0247), 4),
}


@pytest.mark.parametrize(("counts", "confidence", "limits", "digits"), PUBLISHED.values(), ids=PUBLISHED)
def test_limits_are_the_published_ones(
    paired: Any, counts: tuple[int, ...], confidence: float, limits: tuple[float, float], digits: int
) -> None:
    both, first, second, neither = counts
    lower = paired.lower_limit(paired.PairedTable(*counts), confidence)
    upper = -paired.lower_limit(paired.PairedTable(both, second, first, neither), confidence)
    assert (round(lower, digits), round(upper, digits)) == limits


def test_mcnemar_is_the_published_one(paired: Any) -> None:
    assert round(paired.mcnemar_exact(paired.PairedTable(59, 6, 16, 80)), 6) == 0.052479


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (0, 9), (3, 5), (40, 61), (700, 805)])
def test_mcnemar_is_the_binomial_tail(paired: Any, first: int, second: int) -> None:
    n = first + second
    tail = 2 * sum(math.comb(n, k) for k in range(min(first, second) + 1)) / 2**n
    assert paired.mcnemar_exact(paired.PairedTable(9, first, second, 9)) == pytest.approx(min(1, tail))


def test_limit_and_statistic_agree_for_every_small_table(paired: Any) -> None:
    critical = paired.critical_value(0.95)
    for n in (1, 2, 7, 30):
        for first in range(n + 1):
            for second in range(n + 1 - first):
                table = paired.PairedTable(n - first - second, first, second, 0)
                limit = paired.lower_limit(table, 0.95)
                assert -1 <= limit <= table.difference
                for margin in (0.0, 0.02, 0.3, 1.0):
                    assert (paired.score(table, -margin) > critical) == (limit > -margin), (table, margin)


def test_images_needed_are_just_enough(paired: Any) -> None:
    needed = paired.images_needed(paired.PairedTable(145, 1, 1, 3), 0.02, 0.95)
    for count, enough in ((needed, True), (needed - 1, False)):
        share = count / 150
        grown = paired.PairedTable(count - 2 * share, share, share, 0)
        assert (paired.score(grown, -0.02) > paired.critical_value(0.95)) is enough
    assert paired.images_needed(paired.PairedTable(140, 0, 10, 0), 0.02, 0.95) is None


def test_disagreements_allowed_are_the_last_that_pass(paired: Any) -> None:
    allowed = paired.disagreements_allowed(450, 0.02, 0.95)
    for pairs, enough in ((allowed // 2, True), (allowed // 2 + 1, False)):
        table = paired.PairedTable(450 - 2 * pairs, pairs, pairs, 0)
        assert (paired.lower_limit(table, 0.95) > -0.02) is enough
    assert paired.disagreements_allowed(132, 0.02, 0.95) is None
    assert paired.disagreements_allowed(133, 0.02, 0.95) == 0
    assert paired.disagreements_allowed(10, 1.0, 0.95) == 10
    assert paired.score(paired.PairedTable(0, 0, 10, 0), -1.0) == 0


class TestErrorRates:
    """How often the gate is wrong: the sum over every table that chance can bring, so exact."""

    @pytest.fixture(scope="class")
    def share_passed(self, paired: Any) -> Callable[[int, float, float], float]:
        critical = paired.critical_value(0.95)

        def run(images: int, gained: float, lost: float) -> float:
            return sum(
                share
                for first, second, share in tables(images, gained, lost)
                if paired.score(paired.PairedTable(images - first - second, first, second, 0), -0.02)
                > critical
            )

        return run

    @pytest.mark.parametrize("images", [150, 450, 2000])
    @pytest.mark.parametrize("gained", [0.0, 0.005, 0.02, 0.05])
    def test_a_model_worse_by_just_the_margin_passes_as_rarely_as_promised(
        self, share_passed: Callable[..., float], images: int, gained: float
    ) -> None:
        # Counts are whole numbers: where they are few, the rate jumps around the 0.05 it keeps on average.
        assert 0.03 < share_passed(images, gained, gained + 0.02) < 0.065

    def test_a_clearly_worse_model_never_passes(self, share_passed: Callable[..., float]) -> None:
        assert share_passed(450, 0.01, 0.07) < 0.0001

    @pytest.mark.parametrize(
        ("images", "disagreeing", "passed"),
        [(150, 0.02, 0.38), (450, 0.01, 0.96), (450, 0.04, 0.63), (2000, 0.04, 0.995)],
    )
    def test_an_equally_good_model_passes_the_surer_the_larger_the_holdout(
        self, share_passed: Callable[..., float], images: int, disagreeing: float, passed: float
    ) -> None:
        assert share_passed(images, disagreeing / 2, disagreeing / 2) == pytest.approx(passed, abs=0.02)


def tables(images: int, gained: float, lost: float) -> Iterator[tuple[int, int, float]]:
    """Each outcome (only the first right, only the second) and its share, unless next to impossible."""
    logs = [math.log(share) if share else -math.inf for share in (gained, lost, 1 - gained - lost)]
    likely = [range(int(images * share + 8 * math.sqrt(images * share)) + 2) for share in (gained, lost)]
    for first in likely[0] if gained else (0,):
        for second in likely[1]:
            parts = (first, second, images - first - second)
            whole = math.lgamma(images + 1) - sum(math.lgamma(part + 1) for part in parts)
            yield (
                first,
                second,
                math.exp(whole + sum(n * log for n, log in zip(parts, logs, strict=True) if n)),
            )
