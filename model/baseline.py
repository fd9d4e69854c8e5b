"""The drift baseline of one model: what its answers and its images looked like on the holdout.

`baseline.json`, schema `vision.baseline/1`:

    {
      "schema": "vision.baseline/1",
      "run": "r-12", "model": "digits",
      "images": 450,                  // holdout images that the figures are of (at most 20,000)
      "probability_decimals": 6,      // probabilities are rounded as the server rounds its answers
      "image_statistics": 1,          // version of the definitions in baseline_statistics.py
      "classes": ["0", "1", ...],     // the order of class_mix
      "class_mix": {"labels": [45, ...], "answers": [44, ...]},
      "features": {
        "confidence":      {"edges": [0.71, ...], "counts": [14, ...], "sum": 441.2, "sum_of_squares": 434.9,
                            "min": 0.31, "max": 1.0},
        "entropy": ..., "brightness": ..., "contrast": ..., "sharpness": ...,
        "red": ..., "green": ..., "blue": ..., "saturation": ...,   // of RGB images only
        "probability/0": ..., "probability/1": ...                  // one for each class
      }
    }

Confidence is the largest probability, entropy that of the probabilities in nats (0 log 0 = 0).

A feature has at most 32 bins. `edges` rise; a value belongs to bin number (edges that are not above it), so
there is one bin more than edges, and the outer two are open. The edges are quantiles of the baseline itself:
bins hold about as many images each, however a feature is spread. Equal values share a bin, and where many are
equal there are fewer bins. Histograms with the same edges merge by adding `counts`, `sum`, `sum_of_squares`
and `images`, and taking the smaller `min` and the larger `max`: whoever watches this model counts with these
edges. A reader must refuse another schema; fields may be added to this one.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from baseline_statistics import VERSION, image_statistics
from predictor import PROBABILITY_DECIMALS
from spec import ModelSpec

SCHEMA = "vision.baseline/1"
BINS = 32
MAX_IMAGES = 20_000  # bounds memory; a histogram of so many is within 1 % of the truth in every bin

Array = np.ndarray[Any, Any]


class BaselineRecorder:
    """Takes in batches of images with their answers; `document` is the baseline of all of them.

    It looks at the first MAX_IMAGES: shards hold their images in random order.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._images = 0
        self._labels = np.zeros(len(spec.classes), dtype=np.int64)
        self._answers = np.zeros(len(spec.classes), dtype=np.int64)
        self._values: dict[str, list[Array]] = {}

    def add(self, images: Array, labels: Array, probabilities: Array) -> None:
        """Record one batch: uint8 [N, height, width, channels], class indices, float32 [N, classes]."""
        room = MAX_IMAGES - self._images
        if room <= 0:
            return
        images, labels, probabilities = images[:room], labels[:room], probabilities[:room]
        self._images += len(images)
        self._labels += np.bincount(labels, minlength=len(self._labels))
        self._answers += np.bincount(probabilities.argmax(axis=1), minlength=len(self._answers))
        rounded = np.round(probabilities.astype(np.float64), PROBABILITY_DECIMALS)
        self._record("confidence", rounded.max(axis=1))
        self._record("entropy", _entropy(rounded))
        for name, values in image_statistics(images).items():
            self._record(name, values)
        for place, label in enumerate(self._spec.classes):
            self._record(f"probability/{label}", rounded[:, place].astype(np.float32))

    def _record(self, feature: str, values: Array) -> None:
        self._values.setdefault(feature, []).append(values)

    def document(self, run: str | None) -> dict[str, Any]:
        """The baseline as it is written."""
        return {
            "schema": SCHEMA,
            "run": run,
            "model": self._spec.name,
            "images": self._images,
            "probability_decimals": PROBABILITY_DECIMALS,
            "image_statistics": VERSION,
            "classes": list(self._spec.classes),
            "class_mix": {"labels": self._labels.tolist(), "answers": self._answers.tolist()},
            "features": {
                feature: histogram(_exact(feature, np.concatenate(parts)))
                for feature, parts in self._values.items()
            },
        }


def histogram(values: Array) -> dict[str, Any]:
    """One feature's entry, with edges at the values' own quantiles."""
    inner = np.quantile(values, np.arange(1, BINS) / BINS, method="higher")
    edges = np.unique(inner[inner > values.min()])
    bins = np.searchsorted(edges, values, side="right")
    return {
        "edges": edges.tolist(),
        "counts": np.bincount(bins, minlength=len(edges) + 1).tolist(),
        "sum": float(values.sum()),
        "sum_of_squares": float((values * values).sum()),
        "min": float(values.min()),
        "max": float(values.max()),
    }


def render(document: dict[str, Any]) -> str:
    """JSON with a line for each field and each feature: 1,000 classes stay readable in an editor."""
    lines = [
        f" {json.dumps(name)}: {json.dumps(value)}" for name, value in document.items() if name != "features"
    ]
    features = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in document["features"].items()]
    return "{\n" + ",\n".join([*lines, ' "features": {\n' + ",\n".join(features) + "\n }"]) + "\n}\n"


def _entropy(probabilities: Array) -> Array:
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return -(probabilities * logs).sum(axis=1) + 0.0  # no -0.0


def _exact(feature: str, values: Array) -> Array:
    """Probabilities were kept in half the memory; their rounding brings back the very decimal."""
    if not feature.startswith("probability/"):
        return values
    return np.round(values.astype(np.float64), PROBABILITY_DECIMALS)
