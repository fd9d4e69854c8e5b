"""When a tuning job ends a trial early: the median rule of early stopping Auto, and Hyperband's rungs."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

# Hyperband keeps one in three at every rung, the rate that its authors propose.
_ETA = 3
_FEWEST_FOR_MEDIAN = 3


class StoppingRule(Protocol):
    """Judges trials by what they report; costs are to be small."""

    def is_hopeless(self, trial: str, costs: Sequence[float]) -> bool:
        """Whether a running trial that has reported these costs shall be ended."""
        ...

    def ended(self, trial: str, costs: Sequence[float]) -> None:
        """Learn the costs of a trial that has ended."""
        ...


class NoStopping:
    """Every trial runs to its end."""

    def is_hopeless(self, trial: str, costs: Sequence[float]) -> bool:
        """No trial is hopeless."""
        del trial, costs
        return False

    def ended(self, trial: str, costs: Sequence[float]) -> None:
        """Nothing is learnt."""


class MedianStopping:
    """Ends a trial whose newest value is worse than the median of the others' running averages so far."""

    def __init__(self) -> None:
        """Nothing is stopped before a few trials have ended."""
        self._ended: list[Sequence[float]] = []

    def is_hopeless(self, trial: str, costs: Sequence[float]) -> bool:
        """Compare with the trials that have reported at least as often."""
        del trial
        epoch = len(costs)
        averages = [statistics.fmean(others[:epoch]) for others in self._ended if len(others) >= epoch]
        if not epoch or len(averages) < _FEWEST_FOR_MEDIAN:
            return False
        return costs[-1] > statistics.median(averages)

    def ended(self, trial: str, costs: Sequence[float]) -> None:
        """Keep the costs for comparison."""
        del trial
        self._ended.append(tuple(costs))


@dataclass
class _Bracket:
    """One bracket of Hyperband: the resources at which its trials are compared, and their costs there."""

    rungs: list[int]
    size: int
    taken: int = 0
    costs: dict[int, list[float]] = field(default_factory=dict[int, list[float]])


class HyperbandStopping:
    """Hyperband, asynchronously: at every rung of its bracket a trial must be among the best third so far.

    A resource is one report of the objective (an epoch). Bracket by bracket, trials are compared later and
    more seldom, in case the first reports mislead.
    """

    def __init__(self, least: int, most: int) -> None:
        """No trial is ended before `least` reports; one that has given more than `most` is."""
        self._most = most
        deepest = int(math.log(most / least, _ETA) + 1e-9)
        self._brackets = [
            _Bracket(
                rungs=[r for k in range(deepest - late) if (r := least * _ETA ** (k + late)) < most],
                size=math.ceil((deepest + 1) / (deepest - late + 1) * _ETA ** (deepest - late)),
            )
            for late in range(deepest + 1)
        ]
        self._of: dict[str, _Bracket] = {}
        self._judged: dict[str, int] = {}

    def _bracket(self, trial: str) -> _Bracket:
        if trial not in self._of:
            # The fullest share first; when all are full, a new round begins.
            bracket = next((one for one in self._brackets if one.taken % one.size or not one.taken), None)
            bracket = bracket or min(self._brackets, key=lambda one: one.taken / one.size)
            bracket.taken += 1
            self._of[trial] = bracket
        return self._of[trial]

    def is_hopeless(self, trial: str, costs: Sequence[float]) -> bool:
        """Judge a trial at every rung that it has reached since the last time."""
        bracket = self._bracket(trial)
        for rung in bracket.rungs:
            if self._judged.get(trial, 0) < rung <= len(costs):
                self._judged[trial] = rung
                cost, others = costs[rung - 1], bracket.costs.setdefault(rung, [])
                others.append(cost)
                better = sum(other < cost for other in others)
                if len(others) >= _ETA and better >= math.ceil(len(others) / _ETA):
                    return True
        return len(costs) > self._most

    def ended(self, trial: str, costs: Sequence[float]) -> None:
        """What it reported at its rungs is known already."""
