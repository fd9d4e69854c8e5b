"""What the tests of the evaluation share: a model that answers what it is told, and a holdout for it."""

from collections.abc import Iterator, Sequence
from typing import Any

import evaluate
import numpy as np
from spec import ModelSpec

LETTERS = ModelSpec("letters", 2, 2, 1, ("a", "b", "c"))
#        truth      a  a  a  a  b  b  b  c  c
TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
ANSWERS = np.array([0, 0, 0, 1, 1, 1, 0, 0, 1])


class Told:
    """Looks its answer up in the image's first pixel, and gives it the confidence of that place."""

    def __init__(
        self,
        answers: Sequence[int] | np.ndarray[Any, Any] = ANSWERS,
        confidence: float = 1.0,
        spec: ModelSpec = LETTERS,
    ) -> None:
        self.spec, self._answers, self._confidence = spec, np.asarray(answers), confidence

    def probabilities(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        classes = len(self.spec.classes)
        rest = (1 - self._confidence) / (classes - 1)
        chosen = np.eye(classes)[self._answers[images[:, 0, 0, 0]]]
        return (chosen * (self._confidence - rest) + rest).astype(np.float32)


def holdout(truth: np.ndarray[Any, Any] = TRUTH, batch: int = 4) -> Iterator[evaluate.Batch]:
    """Images that hold their own number, in batches of which the last is short."""
    shape = (LETTERS.height, LETTERS.width, LETTERS.channels)
    images = np.zeros((len(truth), *shape), dtype=np.uint8) + np.arange(len(truth))[:, None, None, None]
    for start in range(0, len(truth), batch):
        part = slice(start, start + batch)
        names = [f"shard-00000.tar: {number:08d}" for number in range(len(truth))[part]]
        yield evaluate.Batch(names, images[part].astype(np.uint8), truth[part])
