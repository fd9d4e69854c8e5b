"""Figures about a model's answers: confusion matrix, precision, recall and F1 by class, calibration.

Calibration error (ECE) as Naeini et al. defined it (AAAI 2015, "Obtaining well calibrated probabilities using
Bayesian binning") and Guo et al. use it (ICML 2017, "On calibration of modern neural networks"): 15 bins of
equal width over the confidence, the mean distance of confidence and accuracy weighted by the bins' images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 15

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ClassScores:
    """One value per class. Where there is nothing to divide by, a score is 0."""

    precision: Array
    recall: Array
    f1: Array
    support: Array

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have images: a class without any says nothing about the model."""
        return float(self.f1[self.support > 0].mean())


def confusion_matrix(labels: Array, answers: Array, classes: int) -> Array:
    """How often each class (row) was answered as each class (column). Answers of -1 are none of them."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    known = answers >= 0
    np.add.at(matrix, (labels[known], answers[known]), 1)
    return matrix


def class_scores(right: Array, answered: Array, support: Array) -> ClassScores:
    """Scores from how many images of each class were right, were answered so, and are there."""
    return ClassScores(
        precision=_share(right, answered),
        recall=_share(right, support),
        f1=_share(2 * right, answered + support),
        support=support,
    )


def scores(labels: Array, answers: Array, classes: int) -> ClassScores:
    """Scores of answers (class indices, -1 for none of them) to images of known labels."""
    return class_scores(
        np.bincount(labels[labels == answers], minlength=classes),
        np.bincount(answers[answers >= 0], minlength=classes),
        np.bincount(labels, minlength=classes),
    )


def calibration(confidences: Array, right: Array) -> dict[str, Any]:
    """The calibration error and its bins' table; an empty bin has no confidence and no accuracy.

    A bin holds the confidences above its lower edge, up to and with its upper edge.
    """
    places = np.clip(np.ceil(confidences.astype(np.float64) * BINS).astype(int) - 1, 0, BINS - 1)
    error, table = 0.0, list[dict[str, Any]]()
    for place in range(BINS):
        inside = places == place
        count = int(inside.sum())
        row: dict[str, Any] = {
            "lower": round(place / BINS, 6),
            "upper": round((place + 1) / BINS, 6),
            "count": count,
            "confidence": None,
            "accuracy": None,
        }
        if count:
            confidence, accuracy = float(confidences[inside].mean()), float(right[inside].mean())
            error += abs(confidence - accuracy) * count / len(confidences)
            row |= {"confidence": round(confidence, 6), "accuracy": round(accuracy, 6)}
        table.append(row)
    return {"ece": error, "bins": table}


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
