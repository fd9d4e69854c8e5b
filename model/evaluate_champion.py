"""The champion on the same holdout: its answers in the new model's classes, and the paired comparison.

The difference in macro F1 comes with its bootstrap quantiles, for the gate's decision: images are drawn with
replacement, both models' scores are taken of the same drawn images (Efron and Tibshirani, "An introduction to
the bootstrap", 1993). Two imagined images of no particular class, one right by each model alone, take part in
the drawing. Without them two models that happen to agree would look equal for certain: measured at a true
difference of -0.02 and a nominal 5 %, 150 images called the worse model "not worse" in 11 % of the cases
without and 8 % with them, 450 images in 8 % and 7 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from evaluate_scores import class_scores, scores
from predictor import Predictor
from spec import ModelSpec

RESAMPLES = 2000
SEED = 7
_TAIL = (0.0, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45)
PROBABILITIES = (*_TAIL, 0.5, *(round(1 - p, 4) for p in reversed(_TAIL)))

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Champion:
    """A loaded champion; `indices[i]` is the new model's index of the champion's class i, or -1."""

    predictor: Predictor
    version: str
    indices: Array
    unknown: tuple[str, ...]

    @classmethod
    def of(cls, predictor: Predictor, version: str, spec: ModelSpec) -> Champion:
        """The champion as a model of `spec`'s classes; `unknown` are those of them that it cannot answer."""
        places = {label: index for index, label in enumerate(spec.classes)}
        known = predictor.spec.classes
        indices = np.array([places.get(label, -1) for label in known])
        return cls(predictor, version, indices, tuple(each for each in spec.classes if each not in known))

    def answers(self, images: Array) -> Array:
        """Its answers as the new model's class indices; -1 for a class that the new model has not."""
        return self.indices[self.predictor.probabilities(images).argmax(axis=1)]


def misfit(champion: ModelSpec, spec: ModelSpec) -> str | None:
    """Why a champion cannot be asked about images prepared for `spec`; None when it can."""
    theirs, ours = (f"{each.height} x {each.width} x {each.channels}" for each in (champion, spec))
    return None if theirs == ours else f"it takes images of {theirs} bytes, the holdout's have {ours}"


def compare(champion: Champion, labels: Array, own: Array, other: Array, classes: int) -> dict[str, Any]:
    """The champion's part of evaluation.json. `own` and `other` are the two models' answers."""
    own_right, other_right = own == labels, other == labels
    return {
        "version": champion.version,
        "comparable": True,
        "accuracy": float(other_right.mean()),
        "macro_f1": scores(labels, other, classes).macro_f1,
        "both_right": int((own_right & other_right).sum()),
        "only_candidate": int((own_right & ~other_right).sum()),
        "only_champion": int((~own_right & other_right).sum()),
        "both_wrong": int((~own_right & ~other_right).sum()),
        "macro_f1_differences": {
            "resamples": RESAMPLES,
            "seed": SEED,
            "quantiles": bootstrap(labels, own, other, classes),
        },
        "unknown_classes": list(champion.unknown),
    }


def bootstrap(labels: Array, own: Array, other: Array, classes: int) -> list[list[float]]:
    """Quantiles of macro F1 (own minus other) over resamples, as [probability, difference]."""
    # Images with the same label and answers are drawn together: time and memory go with these cells.
    cells, counts = np.unique(np.stack([labels, own, other]), axis=1, return_counts=True)
    every, none = np.arange(classes), np.full(classes, -1)
    imagined = np.hstack([np.stack([every, every, none]), np.stack([every, none, every])])
    cells = np.hstack([cells, imagined])
    weights = np.concatenate([counts, np.full(2 * classes, 1 / classes)])
    dice = np.random.default_rng(SEED)
    chances = weights / weights.sum()
    differences = [
        _macro_f1(cells[0], cells[1], drawn, classes) - _macro_f1(cells[0], cells[2], drawn, classes)
        for drawn in (dice.multinomial(len(labels) + 2, chances) for _ in range(RESAMPLES))
    ]
    quantiles = np.quantile(differences, PROBABILITIES)
    return [[p, round(float(value), 8)] for p, value in zip(PROBABILITIES, quantiles, strict=True)]


def _macro_f1(labels: Array, answers: Array, weights: Array, classes: int) -> float:
    """Macro F1 of cells that stand for so many images each."""
    right = np.where(labels == answers, weights, 0)
    answered = np.bincount(answers + 1, weights, classes + 1)[1:]  # the first place is for answers of -1
    return class_scores(
        np.bincount(labels, right, classes), answered, np.bincount(labels, weights, classes)
    ).macro_f1
