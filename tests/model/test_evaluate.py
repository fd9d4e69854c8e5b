"""The evaluation: its figures are right, and a broken model ends with one clear line (R17)."""

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest
from evaluate_scores import calibration
from shards import Examples
from spec import SCHEMA, ModelSpec

from tests.model.evaluations import TRUTH, Told, holdout

ARN = "arn:aws:sagemaker:us-east-1:222222222222:model-package/vision-dev-champion/7"


@pytest.fixture
def document() -> dict[str, Any]:
    return evaluate.evaluate(Told(), holdout()).document  # type: ignore[arg-type]


def test_accuracy_and_count(document: dict[str, Any]) -> None:
    assert document["schema"] == "vision.evaluation/2"
    assert document["count"] == 9
    assert document["accuracy"] == pytest.approx(5 / 9)
    assert document["champion"] is None


def test_confusion_matrix_has_a_row_for_each_truth(document: dict[str, Any]) -> None:
    assert document["confusion_matrix"] == [[3, 1, 0], [1, 2, 0], [1, 1, 0]]


def test_scores_per_class(document: dict[str, Any]) -> None:
    assert document["per_class"]["a"] == pytest.approx(
        {"precision": 3 / 5, "recall": 3 / 4, "f1": 2 / 3, "support": 4}
    )
    assert document["per_class"]["b"] == pytest.approx(
        {"precision": 2 / 4, "recall": 2 / 3, "f1": 4 / 7, "support": 3}
    )
    assert document["per_class"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 2}
    assert document["macro_f1"] == pytest.approx((2 / 3 + 4 / 7 + 0) / 3)


def test_macro_f1_leaves_classes_without_images_out() -> None:
    truth = np.array([0, 0, 1, 1])
    document = evaluate.evaluate(Told([0, 0, 1, 1]), holdout(truth)).document  # type: ignore[arg-type]
    assert document["per_class"]["c"]["support"] == 0
    assert document["macro_f1"] == 1.0


def test_latency_is_measured(document: dict[str, Any]) -> None:
    assert 0 <= document["latency_ms"]["p50"] <= document["latency_ms"]["p95"]


@pytest.mark.parametrize("confidence", [float("nan"), 2.0, -0.5])
def test_a_model_whose_answers_are_no_probabilities_gets_no_figures(confidence: float) -> None:
    with pytest.raises(evaluate.ModelError, match="not numbers that add up to 1"):
        evaluate.evaluate(Told(confidence=confidence), holdout())  # type: ignore[arg-type]


class TestCalibration:
    def test_error_is_the_weighted_distance_of_confidence_and_accuracy(self) -> None:
        confidences = np.array([0.9, 0.9, 0.9, 0.9, 0.6, 0.6])
        right = np.array([True, True, True, False, True, True])
        found = calibration(confidences, right)
        assert found["ece"] == pytest.approx((4 * 0.15 + 2 * 0.4) / 6)
        filled = [each for each in found["bins"] if each["count"]]
        assert [(each["count"], each["confidence"], each["accuracy"]) for each in filled] == [
            (2, 0.6, 1.0),
            (4, 0.9, 0.75),
        ]

    def test_fifteen_bins_of_equal_width_hold_their_upper_edge(self) -> None:
        found = calibration(np.array([1 / 15, 1 / 15 + 1e-9, 1.0, 0.0]), np.ones(4, dtype=bool))["bins"]
        assert len(found) == 15
        assert [each["count"] for each in found] == [2, 1, *[0] * 11, 0, 1]
        assert found[5]["confidence"] is None
        assert (found[3]["lower"], found[3]["upper"]) == (0.2, pytest.approx(4 / 15, abs=1e-6))

    def test_a_model_that_keeps_its_promises_has_hardly_any(self) -> None:
        dice = np.random.default_rng(3)
        confidences = dice.uniform(0.2, 1.0, 50_000)
        assert calibration(confidences, dice.random(50_000) < confidences)["ece"] < 0.01
        assert calibration(confidences, dice.random(50_000) < confidences - 0.1)["ece"] > 0.09


class TestJob:
    @pytest.fixture
    def holdout(
        self, tmp_path: Path, examples: Examples, write_shards: Callable[[Path, Examples], Path]
    ) -> Path:
        return write_shards(tmp_path / "holdout", examples)

    def run(self, model: Path, holdout: Path, output: Path, *more: str) -> dict[str, Any]:
        places = {"--model": model, "--holdout": holdout, "--output": output}
        arguments = [part for name, path in places.items() for part in (name, str(path))]
        evaluate.main([*arguments, "--run", "run-1", *more])
        return json.loads((output / "evaluation.json").read_text())

    def test_archive_of_the_training_job_is_evaluated(
        self, model_archive: Path, holdout: Path, examples: Examples, tmp_path: Path, spec: ModelSpec
    ) -> None:
        document = self.run(model_archive, holdout, tmp_path / "output")
        assert document["run"] == "run-1"
        assert document["model"] == spec.name
        assert document["count"] == len(examples)
        assert document["accuracy"] == np.trace(document["confusion_matrix"]) / len(examples)
        baseline = json.loads((tmp_path / "output" / "baseline.json").read_text())
        assert (baseline["run"], baseline["images"]) == ("run-1", len(examples))
        assert "run-1" in (tmp_path / "output" / "report.html").read_text()

    def test_champion_is_asked_about_the_same_images(
        self, model_archive: Path, trained: Path, holdout: Path, examples: Examples, tmp_path: Path
    ) -> None:
        more = ("--champion", str(model_archive), "--champion-version", ARN)
        document = self.run(trained, holdout, tmp_path / "output", *more)
        champion = document["champion"]
        assert champion["version"] == ARN
        assert champion["accuracy"] == document["accuracy"]
        assert champion["both_right"] + champion["both_wrong"] == len(examples)
        assert champion["only_candidate"] == champion["only_champion"] == 0

    def test_champion_of_another_size_is_named_and_not_asked(
        self, trained: Path, holdout: Path, tmp_path: Path, spec: ModelSpec
    ) -> None:
        wider = replace(spec, width=spec.width * 2)
        more = ("--champion", str(untrained(tmp_path / "other", wider)), "--champion-version", ARN)
        champion = self.run(trained, holdout, tmp_path / "output", *more)["champion"]
        assert champion["comparable"] is False
        assert f"{spec.height} x {spec.width * 2} x {spec.channels}" in champion["reason"]
        assert "could not be asked" in (tmp_path / "output" / "report.html").read_text()

    def test_broken_champion_is_named(self, trained: Path, holdout: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        more = ("--champion", str(tmp_path / "empty"), "--champion-version", ARN)
        with pytest.raises(
            SystemExit, match=r"evaluation failed: the champion arn:.*spec.json: no such file"
        ):
            self.run(trained, holdout, tmp_path / "output", *more)

    def test_champion_without_its_version_is_refused(
        self, trained: Path, holdout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            self.run(trained, holdout, tmp_path / "output", "--champion", str(trained))
        assert "--champion and --champion-version belong together" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("content", "named"), [(b"not an archive", "not a model archive"), (None, r"spec.json: no such file")]
    )
    def test_broken_model_is_named(
        self, content: bytes | None, named: str, holdout: Path, tmp_path: Path
    ) -> None:
        model = tmp_path / "model"
        model.mkdir()
        if content is not None:
            (model / "model.tar.gz").write_bytes(content)
        with pytest.raises(SystemExit, match=named):
            self.run(model, holdout, tmp_path / "output")

    def test_empty_holdout_is_named(self, trained: Path, tmp_path: Path) -> None:
        empty = tmp_path / "empty"
        empty.mkdir()
        buffer = io.BytesIO()
        tarfile.open(fileobj=buffer, mode="w").close()
        (empty / "shard-00000.tar").write_bytes(buffer.getvalue())
        with pytest.raises(SystemExit, match="the holdout has no images"):
            self.run(trained, empty, tmp_path / "output")


def test_a_holdout_of_any_size_gives_the_same_figures_in_any_batches() -> None:
    documents = [
        evaluate.evaluate(Told(confidence=0.8), holdout(TRUTH, batch)).document  # type: ignore[arg-type]
        for batch in (1, 4, 9)
    ]
    for each in documents:
        each.pop("latency_ms")
    assert documents[0] == documents[1] == documents[2]


def untrained(folder: Path, spec: ModelSpec) -> Path:
    """The folder of a model of this spec that has learnt nothing."""
    import contract
    import export

    folder.mkdir()
    shape = {"width": spec.width, "height": spec.height, "channels": spec.channels}
    document = {"schema": SCHEMA, "name": spec.name, "input": shape, "classes": spec.classes}
    (folder / "spec.json").write_text(json.dumps(document))
    export.export_onnx(contract.build_model(spec), spec, folder / "model.onnx")
    return folder
