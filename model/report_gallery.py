"""Which holdout images a reader should see: the worst mistakes, and what the champion still got right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

WORST, LOST = 24, 12  # a page with more pictures is not looked at

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mistake:
    """One image that the model got wrong; classes are indices, `champion` is the champion's answer if asked.

    `badness` orders mistakes: how little probability the truth got, and among equals how much the answer got.
    """

    name: str
    image: Array
    truth: int
    answer: int
    confidence: float
    truth_probability: float
    champion: int | None

    @property
    def badness(self) -> tuple[float, float, str]:
        """Worse sorts first."""
        return self.truth_probability, -self.confidence, self.name


class Gallery:
    """Takes in batches; keeps the worst mistakes and, of those, the worst that the champion did not make."""

    def __init__(self) -> None:
        self.worst: list[Mistake] = []
        self.lost: list[Mistake] = []
        self.mistakes = 0

    def add(
        self,
        names: list[str],
        images: Array,
        labels: Array,
        probabilities: Array,
        champion: Array | None,
    ) -> None:
        """Look through one batch; `champion` holds the champion's answers."""
        answers = probabilities.argmax(axis=1)
        wrong = [
            Mistake(
                name=names[place],
                image=images[place].copy(),  # not the whole batch with it
                truth=int(labels[place]),
                answer=int(answers[place]),
                confidence=float(probabilities[place, answers[place]]),
                truth_probability=float(probabilities[place, labels[place]]),
                champion=None if champion is None else int(champion[place]),
            )
            for place in np.flatnonzero(answers != labels)
        ]
        self.mistakes += len(wrong)
        self.worst = _first(self.worst + wrong, WORST)
        self.lost = _first(self.lost + [each for each in wrong if each.champion == each.truth], LOST)


def _first(mistakes: list[Mistake], number: int) -> list[Mistake]:
    return sorted(mistakes, key=lambda each: each.badness)[:number]
