"""Statistics of two models' answers to the same images: Tango's score limit and McNemar's exact test.

Both look at the images that only one of the two answered rightly. Tango, "Equivalence test and confidence
interval for the difference in proportions for the paired-sample design", Statistics in Medicine 17 (1998),
891-908; Liu et al., Statistics in Medicine 21 (2002), 231-245, found that its test of non-inferiority keeps
its level also with few images. McNemar, Psychometrika 12 (1947), 153-157, in its exact (binomial) form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

_STEPS = 60  # of halving [-1, 1]: closer than a float tells


@dataclass(frozen=True)
class PairedTable:
    """How many images both models answered rightly, only one of them, or neither."""

    both_right: int
    only_candidate: int
    only_champion: int
    both_wrong: int

    @property
    def count(self) -> int:
        """All images."""
        return self.both_right + self.only_candidate + self.only_champion + self.both_wrong

    @property
    def difference(self) -> float:
        """Accuracy of the candidate minus accuracy of the champion."""
        return (self.only_candidate - self.only_champion) / self.count


def critical_value(confidence: float) -> float:
    """The normal distribution's quantile for a one-sided statement with this confidence."""
    return NormalDist().inv_cdf(confidence)


def score(table: PairedTable, difference: float) -> float:
    """Tango's statistic for "the true difference is `difference`": normal when it is, larger when it is more.

    It grows with the root of the number of images when the proportions stay the same.
    """
    n, gained, lost = table.count, table.only_candidate, table.only_champion
    # The share of "only champion" that is most likely under the hypothesis: root of a quadratic equation.
    half = (2 * n - gained + lost) * difference - gained - lost
    inside = half * half + 8 * n * lost * difference * (1 - difference)
    lost_share = (math.sqrt(max(inside, 0.0)) - half) / (4 * n)
    variance = n * (2 * lost_share + difference * (1 - difference))
    distance = gained - lost - n * difference
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def lower_limit(table: PairedTable, confidence: float) -> float:
    """With this (one-sided) confidence the candidate's accuracy is better than the champion's by more."""
    critical = critical_value(confidence)
    low, high = -1.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if score(table, middle) > critical:
            low = middle
        else:
            high = middle
    return low


def images_needed(table: PairedTable, margin: float, confidence: float) -> int | None:
    """With so many images in the same proportions the lower limit would be above -margin.

    None when the difference itself is not: then more images show nothing else.
    """
    reached = score(table, -margin)
    if reached <= 0:
        return None
    return math.floor(table.count * (critical_value(confidence) / reached) ** 2) + 1


def disagreements_allowed(count: int, margin: float, confidence: float) -> int | None:
    """How many of `count` images two equally good models may answer differently, one right and one wrong,
    so that neither counts as worse by more than `margin`. None when even full agreement shows nothing.
    """

    def shown(pairs: int) -> bool:
        table = PairedTable(count - 2 * pairs, pairs, pairs, 0)
        return score(table, -margin) > critical_value(confidence)

    if not shown(0):
        return None
    low, high = 0, count // 2 + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if shown(middle) else (low, middle)
    return 2 * low


def mcnemar_exact(table: PairedTable) -> float:
    """The two-sided p-value of "both models are right equally often", from the binomial distribution."""
    n = table.only_candidate + table.only_champion
    fewer = min(table.only_candidate, table.only_champion)
    # Through logarithms: 2 ** n leaves the range of floats at 1,024 images.
    terms = (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(fewer + 1))
    return min(1.0, 2 * math.fsum(math.exp(term - n * math.log(2)) for term in terms))
