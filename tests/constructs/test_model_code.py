"""The model's declaration, as synthesis reads it: what is wrong with it is told by field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vision_platform.model_code import ModelSpecError, read_model_spec

VALID = {
    "schema": "vision.model-spec/1",
    "name": "digits",
    "input": {"width": 16, "height": 16, "channels": 1},
    "classes": ["0", "1"],
}


def test_a_specification_becomes_one_line(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(VALID, indent=4))
    assert json.loads(read_model_spec(tmp_path)) == VALID
    assert "\n" not in read_model_spec(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "spec.json is missing"),
        ("{", "spec.json is not valid JSON"),
        ("[]", "must be an object"),
        (json.dumps(VALID | {"schema": "other/9"}), r"schema is 'other/9'; this version reads"),
        (json.dumps(VALID | {"classes": []}), "classes is missing or empty"),
        (json.dumps({k: v for k, v in VALID.items() if k != "input"}), "input is missing or empty"),
    ],
)
def test_a_wrong_specification_names_its_fault(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "spec.json").write_text(content)
    with pytest.raises(ModelSpecError, match=message):
        read_model_spec(tmp_path)
