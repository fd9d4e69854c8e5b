"""Whether an image for the model fits into a request of the hosting mode is told at synthesis."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from stages.hosting_plan import check_model_input
from stages.settings_hosting import HostingSettings
from vision_platform.model_code import ModelSpecError
from vision_runtime.hosting import most_bytes

MEBIBYTE = 1024 * 1024
MODES = ("real-time", "asynchronous", "multi-model", "serverless", "lambda")


def check(folder: Path, mode: str, image_bytes: int) -> None:
    side = math.isqrt(image_bytes // 3)
    spec = {
        "schema": "vision.model-spec/1",
        "name": "photos",
        "input": {"width": side, "height": side, "channels": 3},
        "classes": ["a", "b"],
    }
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "spec.json").write_text(json.dumps(spec))
    settings: dict[str, Any] = {"mode": mode, "strategy": "all_at_once"}
    check_model_input(folder, HostingSettings.model_validate(settings))


@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_3_mib_fits_everywhere(tmp_path: Path, mode: str) -> None:
    check(tmp_path, mode, 3 * MEBIBYTE)


@pytest.mark.parametrize(
    ("mode", "image_bytes", "taker"),
    [
        ("serverless", 4_200_000, "a serverless endpoint (hosting.mode 'serverless') takes (4,000,000)"),
        ("lambda", 4_800_000, "an invocation of Lambda (hosting.mode 'lambda') takes (4,700,000)"),
        ("real-time", 6_400_000, "an endpoint (hosting.mode 'real-time') takes (6,291,456)"),
        ("asynchronous", 6_400_000, "an endpoint (hosting.mode 'asynchronous') takes"),
    ],
)
def test_an_image_that_does_not_fit_is_told_with_its_size_and_the_cure(
    tmp_path: Path, mode: str, image_bytes: int, taker: str
) -> None:
    with pytest.raises(ModelSpecError) as caught:
        check(tmp_path, mode, image_bytes)

    said = str(caught.value)
    assert said.startswith("model/spec.json: an input of ") and taker in said
    assert "make the input smaller, or choose another hosting.mode that takes more" in said


@pytest.mark.parametrize("mode", MODES)
def test_the_functions_that_ask_send_no_less_than_synthesis_lets_through(tmp_path: Path, mode: str) -> None:
    most = most_bytes({"HOSTING_MODE": mode})

    with pytest.raises(ModelSpecError):
        check(tmp_path, mode, most + 9000)
    check(tmp_path, mode, most * 99 // 100)


def test_what_is_too_much_for_a_function_fits_into_a_request_to_instances(tmp_path: Path) -> None:
    check(tmp_path, "real-time", 4_800_000)
