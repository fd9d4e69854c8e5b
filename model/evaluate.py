"""Entry point of the evaluation job: asks the model, and the champion, about the frozen holdout.

It runs in the serving image, with the code that serves: what is measured is what will answer. It writes

* `evaluation.json` (`vision.evaluation/2`), from which the gate decides,
* `baseline.json` (see baseline.py), against which drift of this model is measured,
* `report.html`, one page for people with pictures in it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import baseline
import evaluate_champion
import numpy as np
import report
from baseline import BaselineRecorder
from evaluate_champion import Champion
from evaluate_scores import calibration, confusion_matrix, scores
from predictor import ModelError, Predictor
from report_gallery import Gallery
from shards import ShardError, decode, read_encoded, shard_paths
from spec import ModelSpec, SpecError

SCHEMA = "vision.evaluation/2"
BATCH = 256  # images; bounds memory, changes no answer
LATENCY_SAMPLES = 200
SUM_TOLERANCE = 0.001  # of float32 over many classes

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Batch:
    """Some images of the holdout, with their names and class indices."""

    names: list[str]
    images: Array
    labels: Array


@dataclass(frozen=True)
class Evaluation:
    """What the holdout showed: the document for the gate, the drift baseline, and pictures for the page."""

    document: dict[str, Any]
    baseline: dict[str, Any]
    gallery: Gallery


def main(arguments: list[str] | None = None) -> None:
    """Command line of the processing job. A fault of the input ends with one clear line."""
    options = _options(arguments)
    try:
        predictor = Predictor.load(unpack(options.model))
        champion, misfit = _champion(options, predictor.spec)
        evaluation = evaluate(
            predictor, read_holdout(options.holdout, predictor.spec), champion=champion, run=options.run
        )
    except (ModelError, ShardError, SpecError) as error:
        sys.exit(f"evaluation failed: {error}")
    document = evaluation.document
    if misfit is not None:
        document["champion"] = misfit
    options.output.mkdir(parents=True, exist_ok=True)
    for name, content in {
        "evaluation.json": render(document),
        "baseline.json": baseline.render(evaluation.baseline),
        "report.html": report.page(document, evaluation.baseline, evaluation.gallery),
    }.items():
        (options.output / name).write_text(content, encoding="utf-8")
    print(
        f"holdout_count={document['count']} holdout_accuracy={document['accuracy']:.5f} "
        f"holdout_macro_f1={document['macro_f1']:.5f} holdout_ece={document['calibration']['ece']:.5f}",
        flush=True,
    )


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of model.tar.gz, or of its content")
    parser.add_argument("--holdout", type=Path, required=True, help="folder of holdout shards")
    parser.add_argument("--output", type=Path, required=True, help="folder to write the three files into")
    parser.add_argument("--run", help="id of the training run, for the record")
    parser.add_argument("--champion", type=Path, help="folder of the champion's model.tar.gz, or its content")
    parser.add_argument("--champion-version", help="ARN of the champion's model package, for the record")
    options = parser.parse_args(arguments)
    if (options.champion is None) != (options.champion_version is None):
        parser.error("--champion and --champion-version belong together: give both, or neither")
    return options


def _champion(options: argparse.Namespace, spec: ModelSpec) -> tuple[Champion | None, dict[str, Any] | None]:
    """The champion to compare with, or else what the document says of one that cannot be asked."""
    if options.champion is None:
        return None, None
    try:
        predictor = Predictor.load(unpack(options.champion))
    except (ModelError, SpecError) as error:
        raise ModelError(f"the champion {options.champion_version}: {error}") from error
    reason = evaluate_champion.misfit(predictor.spec, spec)
    if reason is not None:
        return None, {"version": options.champion_version, "comparable": False, "reason": reason}
    return Champion.of(predictor, options.champion_version, spec), None


def unpack(folder: Path) -> Path:
    """The folder of model.onnx: `folder` itself, or the one that its model.tar.gz is unpacked into."""
    archive = folder / "model.tar.gz"
    if not archive.is_file():
        return folder
    target = folder / "unpacked"
    try:
        with tarfile.open(archive, "r:gz") as model:
            model.extractall(target, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ModelError(f"{archive}: not a model archive: {error}") from error
    return target


def read_holdout(folder: Path, spec: ModelSpec) -> Iterator[Batch]:
    """The holdout in batches, so that memory does not grow with it. Raises ShardError when it is empty."""
    images = (image for path in shard_paths(folder) for image in read_encoded(path, spec))
    found = False
    while chosen := list(islice(images, BATCH)):
        found = True
        yield Batch(
            names=[f"{image.shard.name}: {image.stem}" for image in chosen],
            images=np.stack([decode(image, spec) for image in chosen]),
            labels=np.asarray([image.label for image in chosen], dtype=np.int64),
        )
    if not found:
        raise ShardError(f"{folder}: the holdout has no images; a model cannot be judged without")


def evaluate(
    predictor: Predictor,
    holdout: Iterable[Batch],
    *,
    champion: Champion | None = None,
    run: str | None = None,
) -> Evaluation:
    """Ask both models about every image, once."""
    spec, recorder, gallery = predictor.spec, BaselineRecorder(predictor.spec), Gallery()
    labels, answers, confidences = list[Array](), list[Array](), list[Array]()
    others, samples = list[Array](), list[Array]()
    for batch in holdout:
        probabilities = _checked(predictor.probabilities(batch.images))
        other = None if champion is None else champion.answers(batch.images)
        recorder.add(batch.images, batch.labels, probabilities)
        gallery.add(batch.names, batch.images, batch.labels, probabilities, other)
        labels.append(batch.labels)
        answers.append(probabilities.argmax(axis=1))
        confidences.append(probabilities.max(axis=1))
        if other is not None:
            others.append(other)
        if len(samples) < LATENCY_SAMPLES:
            samples.extend(batch.images[: LATENCY_SAMPLES - len(samples), None])
    truth, own = np.concatenate(labels), np.concatenate(answers)
    document = _document(spec, truth, own, np.concatenate(confidences)) | {
        "run": run,
        "latency_ms": _latency(predictor, samples),
        "champion": None,
    }
    if champion is not None:
        document["champion"] = evaluate_champion.compare(
            champion, truth, own, np.concatenate(others), len(spec.classes)
        )
    return Evaluation(document, recorder.document(run), gallery)


def _checked(probabilities: Array) -> Array:
    """The model's answers, if they are what the contract promises: a broken model must not get figures."""
    sums_to_one = np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE  # never true of NaN
    if not sums_to_one.all() or (probabilities < 0).any():
        raise ModelError("the model's probabilities are not numbers that add up to 1 for each image")
    return probabilities


def _document(spec: ModelSpec, truth: Array, own: Array, confidences: Array) -> dict[str, Any]:
    classes = len(spec.classes)
    result = scores(truth, own, classes)
    right = own == truth
    return {
        "schema": SCHEMA,
        "run": None,  # keeps its place in the file
        "model": spec.name,
        "count": len(truth),
        "accuracy": float(right.mean()),
        "macro_f1": result.macro_f1,
        "per_class": {
            label: {
                "precision": float(result.precision[index]),
                "recall": float(result.recall[index]),
                "f1": float(result.f1[index]),
                "support": int(result.support[index]),
            }
            for index, label in enumerate(spec.classes)
        },
        "confusion_matrix": confusion_matrix(truth, own, classes).tolist(),
        "calibration": calibration(confidences, right),
    }


def _latency(predictor: Predictor, samples: list[Array]) -> dict[str, float]:
    """Milliseconds for one image at a time, in the model alone (no network), after one call to warm up."""
    predictor.probabilities(samples[0])
    times: list[float] = []
    for image in samples:
        started = time.perf_counter()
        predictor.probabilities(image)
        times.append((time.perf_counter() - started) * 1000)
    times.sort()
    return {f"p{q}": round(times[math.ceil(len(times) * q / 100) - 1], 3) for q in (50, 95)}


def render(document: dict[str, Any]) -> str:
    """JSON with a line for each field, class and row of the matrix: 1,000 classes stay readable."""
    return (
        "{\n"
        + ",\n".join(f" {json.dumps(name)}: {_lines(value)}" for name, value in document.items())
        + "\n}\n"
    )


def _lines(value: Any) -> str:
    match value:
        case dict() if value and all(isinstance(each, dict) for each in value.values()):
            return (
                "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n }"
            )
        case list() if value and isinstance(value[0], list):
            return "[\n" + ",\n".join(f"  {json.dumps(each)}" for each in value) + "\n ]"
        case _:
            return json.dumps(value)


if __name__ == "__main__":
    main()
