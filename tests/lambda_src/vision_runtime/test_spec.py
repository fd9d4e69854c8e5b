"""The model spec: what a team may declare, and what it is told otherwise."""

import copy
import json
from typing import Any

import pytest

from tests.lambda_src.conftest import ROOT, SPEC
from vision_runtime.spec import InputSpec, ModelSpec, SpecError


def changed(path: str, value: Any) -> str:
    document: dict[str, Any] = copy.deepcopy(SPEC)
    *parents, last = path.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document)


def test_the_sample_models_spec_is_read() -> None:
    spec = ModelSpec.from_json((ROOT / "model" / "spec.json").read_text())
    assert spec.input == InputSpec(16, 16, 1, background=(255, 255, 255))
    assert spec.classes == tuple("0123456789")


def test_background_may_be_declared() -> None:
    assert ModelSpec.from_json(changed("input.background", [0, 10, 20])).input.background == (0, 10, 20)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("schema", "vision.model-spec/9", "schema"),
        ("name", "", "name"),
        ("name", None, "'name' is missing"),
        ("colour", "red", "'colour' is unknown"),
        ("input", [16, 16], "input"),
        ("input.width", 0, "input.width"),
        ("input.height", "16", "input.height"),
        ("input.height", True, "input.height"),
        ("input.channels", 2, "input.channels"),
        ("input.background", [0, 0, 300], "input.background"),
        ("classes", ["only"], "classes"),
        ("classes", ["a", "a"], "twice"),
        ("classes", "abc", "classes"),
    ],
)
def test_wrong_spec_names_the_field(path: str, value: Any, named: str) -> None:
    with pytest.raises(SpecError, match=named):
        ModelSpec.from_json(changed(path, value))


def test_missing_variable_is_named() -> None:
    with pytest.raises(SpecError, match="MODEL_SPEC is not set"):
        ModelSpec.from_environment({})
