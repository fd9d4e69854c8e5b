"""The sample data: the model team's script is run as it is, and what it leaves is checked."""

import json
from pathlib import Path

import pytest

from smoke_tests import dataset
from smoke_tests.budget import Budget
from smoke_tests.dataset import Dataset
from smoke_tests.faults import CheckFailed


def script(folder: Path, text: str) -> Path:
    path = folder / "make.py"
    path.write_text("import argparse, json, pathlib, sys\n" + text)
    return path


def test_the_model_teams_script_makes_real_images_with_a_holdout(tmp_path: Path) -> None:
    made = dataset.make(tmp_path, 200, script=dataset.SAMPLE_DATA_SCRIPT, budget=Budget(60))
    assert made.count("train") > made.count("holdout") >= 30
    samples = made.samples(30)
    assert all(sample.content.startswith(b"\x89PNG") for sample in samples)
    assert len({sample.key for sample in samples}) == 30


def test_classes_take_turns_and_only_the_holdout_is_asked_about(tiny_data: Dataset) -> None:
    samples = tiny_data.samples(30)
    assert [sample.label for sample in samples[:12]] == [*"0123456789", "0", "1"]
    holdout = {image.key for image in tiny_data.manifest.images if image.split == "holdout"}
    assert {sample.key for sample in samples} <= holdout
    assert samples == tiny_data.samples(30)


def test_a_holdout_that_is_too_small_says_so(tiny_data: Dataset) -> None:
    with pytest.raises(CheckFailed, match="40 holdout images and 41 are to be asked"):
        tiny_data.samples(41)


def test_a_script_that_fails_is_quoted(tmp_path: Path) -> None:
    failing = script(tmp_path, "sys.exit('no scikit-learn here')")
    with pytest.raises(CheckFailed, match=r"make\.py ended with code 1: no scikit-learn here"):
        dataset.make(tmp_path, 100, script=failing, budget=Budget(60))


def test_a_script_that_writes_no_manifest_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"has no manifest\.json"):
        dataset.make(tmp_path, 100, script=script(tmp_path, ""), budget=Budget(60))


def test_a_wrong_manifest_names_its_field(tmp_path: Path) -> None:
    wrong = {
        "dataset": "d",
        "version": "1",
        "classes": ["0", "1"],
        "images": [{"key": "a", "label": "0", "split": "x"}],
    }
    (tmp_path / "manifest.json").write_text(json.dumps(wrong))
    with pytest.raises(CheckFailed, match=r"wrong at images\.0\.split"):
        dataset.make(tmp_path, 100, script=script(tmp_path, ""), budget=Budget(60))


def test_a_document_that_is_no_address_or_no_json_is_told() -> None:
    with pytest.raises(CheckFailed, match="not an address"):
        dataset.read_json(None, "https://somewhere/evaluation.json")
