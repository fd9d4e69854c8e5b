"""How tuning jobs choose their next trial: Random, Grid, Bayesian; Hyperband chooses as Random does."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from twin.services.sagemaker.tuning_space import Choice, Point, Space

# The first trials of a Bayesian search are random: there is nothing to learn from yet.
_MOST_RANDOM_STARTS = 10
_FEWEST_RANDOM_STARTS = 3


@dataclass(frozen=True)
class Proposal:
    """A point to try; `handle` is the search's own."""

    point: Point
    handle: Any = None


class Search(Protocol):
    """One way to search; costs are to be small, whatever the objective."""

    def propose(self) -> Proposal | None:
        """Return what to try next, None when there is nothing left."""
        ...

    def observe(self, proposal: Proposal, cost: float | None) -> None:
        """Learn what a proposal cost, None when its trial gave no objective."""
        ...

    def remember(self, point: Point, cost: float) -> None:
        """Learn from a trial of an earlier tuning job."""
        ...


class RandomSearch:
    """Independent random points; the same seed gives the same ones in the same order."""

    def __init__(self, space: Space, seed: int | None) -> None:
        """Without a seed, every tuning job is another."""
        self._space = space
        self._random = random.Random(seed)  # noqa: S311  # a search, no secret

    def propose(self) -> Proposal | None:
        """Return a random point."""
        return Proposal(
            {
                parameter.name: self._random.randrange(len(parameter.values))
                if isinstance(parameter, Choice)
                else self._random.random()
                for parameter in self._space.parameters
            }
        )

    def observe(self, proposal: Proposal, cost: float | None) -> None:
        """Random search does not learn."""

    def remember(self, point: Point, cost: float) -> None:
        """Random search does not learn."""


class GridSearch(RandomSearch):
    """Every combination of categorical values, once."""

    def __init__(self, space: Space) -> None:
        """`space` has categorical ranges only."""
        super().__init__(space, 0)
        positions = [range(len(choice.values)) for choice in space.choices]
        self._left: Iterator[tuple[int, ...]] = itertools.product(*positions)

    def propose(self) -> Proposal | None:
        """Return the next combination."""
        combination = next(self._left, None)
        if combination is None:
            return None
        return Proposal({c.name: at for c, at in zip(self._space.choices, combination, strict=True)})


class BayesianSearch:
    """Optuna's TPE sampler: it models where good and bad points lie, and proposes where good ones prevail.

    It stands for SageMaker's own search, which models the objective by a Gaussian process.
    """

    def __init__(self, space: Space, seed: int | None, budget: int) -> None:
        """`budget` is the number of trials to come; a few of them are random."""
        import optuna  # pyright: ignore[reportMissingImports]  # only in the twin's environment, and slow

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna: Any = optuna
        starts = min(_MOST_RANDOM_STARTS, max(_FEWEST_RANDOM_STARTS, budget // 4))
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=starts, multivariate=True, constant_liar=True
        )
        self._study: Any = optuna.create_study(sampler=sampler)
        distributions = optuna.distributions
        self._dimensions: dict[str, Any] = {
            parameter.name: distributions.CategoricalDistribution(range(len(parameter.values)))
            if isinstance(parameter, Choice)
            else distributions.FloatDistribution(0.0, 1.0)
            for parameter in space.parameters
        }

    def propose(self) -> Proposal | None:
        """Return the most promising point, given what is known and what is being tried."""
        trial = self._study.ask(self._dimensions)
        return Proposal(dict(trial.params), trial)

    def observe(self, proposal: Proposal, cost: float | None) -> None:
        """Tell the sampler what a proposal cost."""
        if cost is None:
            self._study.tell(proposal.handle, state=self._optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(proposal.handle, cost)

    def remember(self, point: Point, cost: float) -> None:
        """Add a trial that another tuning job has made."""
        made = self._optuna.trial.create_trial(params=dict(point), distributions=self._dimensions, value=cost)
        self._study.add_trial(made)


def search_of(strategy: str, space: Space, seed: int | None, budget: int) -> Search:
    """Return the search of a strategy, as SageMaker names it."""
    if strategy == "Grid":
        return GridSearch(space)
    if strategy == "Bayesian":
        return BayesianSearch(space, seed, budget)
    return RandomSearch(space, seed)
