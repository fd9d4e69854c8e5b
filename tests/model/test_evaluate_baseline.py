"""The drift baseline: histograms that merge, and figures of images that other programs get too (R27)."""

import json
from typing import Any

import baseline
import baseline_statistics
import http_serving
import numpy as np
import pytest
from baseline import BINS, BaselineRecorder, histogram
from baseline_statistics import image_statistics
from PIL import Image, ImageChops, ImageStat
from spec import ModelSpec

from tests.model.evaluations import LETTERS, TRUTH, Told

BIRDS = ModelSpec("birds", 7, 5, 3, ("robin", "wren"))


def recorded(
    spec: ModelSpec, images: int = 200, batch: int = 64
) -> tuple[BaselineRecorder, np.ndarray[Any, Any]]:
    dice = np.random.default_rng(5)
    pictures = dice.integers(0, 256, (images, spec.height, spec.width, spec.channels)).astype(np.uint8)
    logits = dice.normal(0, 3, (images, len(spec.classes)))
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    recorder = BaselineRecorder(spec)
    for start in range(0, images, batch):
        part = slice(start, start + batch)
        recorder.add(pictures[part], np.zeros(len(pictures[part]), dtype=np.int64), probabilities[part])
    return recorder, probabilities


class TestHistogram:
    def test_bins_hold_about_as_many_values_each(self) -> None:
        values = np.random.default_rng(1).normal(0, 1, 3200)
        found = histogram(values)
        assert len(found["edges"]) == BINS - 1
        assert sum(found["counts"]) == 3200
        assert min(found["counts"]) > 90
        assert max(found["counts"]) < 110

    def test_counting_again_with_its_edges_gives_its_counts(self) -> None:
        """Whoever watches the model counts so: a value's bin is the number of edges not above it."""
        for values in (
            np.random.default_rng(2).normal(0, 1, 500),
            np.array([0.0] * 90 + [0.5] * 5 + [1.0] * 5),
        ):
            found = histogram(values)
            counts = [0] * (len(found["edges"]) + 1)
            for value in values.tolist():
                counts[sum(edge <= value for edge in found["edges"])] += 1
            assert counts == found["counts"]
            assert all(counts)

    def test_equal_values_share_a_bin(self) -> None:
        assert histogram(np.full(50, 3.0)) == {
            "edges": [], "counts": [50], "sum": 150.0, "sum_of_squares": 450.0, "min": 3.0, "max": 3.0,
        }  # fmt: skip
        assert histogram(np.array([0.0] * 99 + [1.0]))["counts"] in ([99, 1], [100])

    def test_windows_merge_to_the_whole(self) -> None:
        values = np.random.default_rng(3).exponential(1, 1000)
        found = histogram(values)
        parts = [np.searchsorted(found["edges"], part, side="right") for part in np.array_split(values, 7)]
        merged = sum(np.bincount(part, minlength=len(found["counts"])) for part in parts)
        assert list(merged) == found["counts"]


class TestDocument:
    def test_features_are_all_there(self) -> None:
        document = recorded(BIRDS)[0].document("run-1")
        assert list(document["features"]) == [
            "confidence", "entropy", "brightness", "contrast", "sharpness",
            "red", "green", "blue", "saturation", "probability/robin", "probability/wren",
        ]  # fmt: skip
        assert document["schema"] == "vision.baseline/1"
        assert (document["run"], document["model"], document["images"]) == ("run-1", "birds", 200)
        assert all(sum(each["counts"]) == 200 for each in document["features"].values())

    def test_grey_images_have_no_colours(self) -> None:
        assert "red" not in recorded(LETTERS)[0].document(None)["features"]

    def test_classes_are_counted_as_labelled_and_as_answered(self) -> None:
        recorder = BaselineRecorder(LETTERS)
        images = np.arange(9, dtype=np.uint8)[:, None, None, None].repeat(2, axis=1).repeat(2, axis=2)
        recorder.add(images, TRUTH, Told().probabilities(images))
        assert recorder.document(None)["class_mix"] == {"labels": [4, 3, 2], "answers": [5, 4, 0]}

    def test_batches_change_nothing(self) -> None:
        assert recorded(BIRDS, batch=7)[0].document(None) == recorded(BIRDS, batch=200)[0].document(None)

    def test_probabilities_are_those_that_the_server_answers(self) -> None:
        """What a watcher gets is rounded; unrounded baselines would make small probabilities look shifted."""
        recorder, probabilities = recorded(BIRDS)
        model = type("Model", (), {"spec": BIRDS, "probabilities": lambda _, images: images})()
        answered = http_serving.predictions(model, probabilities, {})["predictions"]
        served = np.array([each["probabilities"]["wren"] for each in answered])
        found = recorder.document(None)["features"]["probability/wren"]
        assert set(found["edges"]) <= set(served.tolist())
        assert list(np.bincount(np.searchsorted(found["edges"], served, side="right"))) == found["counts"]
        assert found["sum"] == pytest.approx(served.sum())

    def test_entropy_is_in_nats_and_none_at_full_confidence(self) -> None:
        recorder = BaselineRecorder(LETTERS)
        images = np.zeros((2, 2, 2, 1), dtype=np.uint8)
        recorder.add(images, TRUTH[:2], np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], dtype=np.float32))
        entropy = recorder.document(None)["features"]["entropy"]
        assert (entropy["min"], entropy["max"]) == (0.0, pytest.approx(np.log(3), abs=1e-5))

    def test_a_large_holdout_is_looked_at_up_to_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(baseline, "MAX_IMAGES", 100)
        document = recorded(BIRDS)[0].document(None)
        assert document["images"] == 100
        assert sum(document["features"]["confidence"]["counts"]) == 100
        assert sum(document["class_mix"]["answers"]) == 100

    def test_written_form_is_the_document_with_a_line_for_each_feature(self) -> None:
        document = recorded(BIRDS)[0].document("run-1")
        text = baseline.render(document)
        assert json.loads(text) == document
        assert len(text.splitlines()) == len(document) - 1 + len(document["features"]) + 4


class TestImageStatistics:
    @pytest.fixture
    def images(self) -> np.ndarray[Any, Any]:
        return np.random.default_rng(8).integers(0, 256, (20, 9, 13, 3)).astype(np.uint8)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_are_those_that_pillow_computes(self, images: np.ndarray[Any, Any], channels: int) -> None:
        images = images[..., :channels]
        found = image_statistics(images)
        for place, pixels in enumerate(images):
            picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
            grey = picture.convert("L")
            expected = {
                "brightness": ImageStat.Stat(grey).mean[0],
                "contrast": ImageStat.Stat(grey).stddev[0],
            }
            width, height = grey.size
            moved = [
                ImageChops.difference(grey.crop((0, 0, *end)), grey.crop((*start, width, height)))
                for start, end in (((1, 0), (width - 1, height)), ((0, 1), (width, height - 1)))
            ]
            steps = [ImageStat.Stat(each) for each in moved]
            expected["sharpness"] = sum(each.sum[0] for each in steps) / sum(each.count[0] for each in steps)
            if channels == 3:
                expected |= dict(zip(("red", "green", "blue"), ImageStat.Stat(picture).mean, strict=True))
                red, green, blue = picture.split()
                largest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
                smallest = ImageChops.darker(ImageChops.darker(red, green), blue)
                expected["saturation"] = ImageStat.Stat(ImageChops.subtract(largest, smallest)).mean[0]
            assert {name: values[place] for name, values in found.items()} == pytest.approx(expected)

    def test_each_shows_what_it_is_named_for(self, images: np.ndarray[Any, Any]) -> None:
        soft = images // 4 + 96
        plain, darker = image_statistics(soft), image_statistics(soft - 60)
        assert (darker["brightness"] < plain["brightness"]).all()
        assert darker["contrast"] == pytest.approx(plain["contrast"], rel=0.02)
        blurred = (soft[:, 1:].astype(int) + soft[:, :-1]) // 2
        assert (
            image_statistics(blurred.astype(np.uint8))["sharpness"].mean() < plain["sharpness"].mean() * 0.8
        )
        assert (image_statistics(soft[..., :1].repeat(3, axis=3))["saturation"] == 0).all()

    def test_image_of_one_pixel_has_no_sharpness(self) -> None:
        found = image_statistics(np.full((1, 1, 1, 1), 7, dtype=np.uint8))
        assert {name: values.tolist() for name, values in found.items()} == {
            "brightness": [7.0], "contrast": [0.0], "sharpness": [0.0],
        }  # fmt: skip

    def test_version_goes_with_the_definitions(self) -> None:
        assert recorded(BIRDS)[0].document(None)["image_statistics"] == baseline_statistics.VERSION
