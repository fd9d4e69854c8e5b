"""Templates of every hosting mode: nothing open in the rules, nothing that the twin does not know."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.assembly import ROOT, Assembly, synthesize
from tests.hosting.plans import SETTINGS
from twin import fidelity

MODES = {"dev": "serverless", "staging": "asynchronous", "prod": "multi-model"}


@pytest.fixture(scope="module")
def modes(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Each environment in another mode; the settings that everybody has are real-time."""

    def change(platform: dict[str, Any]) -> None:
        for environment in platform["environments"]:
            environment["hosting"] = SETTINGS[MODES[environment["name"]]]

    return synthesize(tmp_path_factory.mktemp("cdk.out"), change=change)


def test_every_mode_is_tried() -> None:
    assert {*MODES.values(), "real-time"} == set(SETTINGS)


def test_the_gate_finds_nothing_open_in_any_mode(modes: Assembly) -> None:
    command = [sys.executable, "-m", "delivery.gate", str(modes.folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]


def test_everything_in_the_templates_is_classed(modes: Assembly) -> None:
    assert [str(use) for use in fidelity.unclassed(modes.folder)] == []


def test_functions_may_ask_models_in_their_mode_only(modes: Assembly) -> None:
    for environment, mode in MODES.items():
        for stack, role in (("inference", "Predict"), ("streaming", "Consume")):
            found = modes.statements(role=role, stack=f"vision-{environment}-{stack}")
            asking = {a for each in found for a in each.actions if a.startswith("sagemaker:Invoke")}
            way = "InvokeEndpointAsync" if mode == "asynchronous" else "InvokeEndpoint"
            assert asking == {f"sagemaker:{way}"}, (environment, stack)
        for folder, stack in (("predict", "inference"), ("consume", "streaming")):
            functions = modes.resources("AWS::Lambda::Function", stack=f"vision-{environment}-{stack}")
            variables = [each.properties["Environment"]["Variables"] for each in functions]
            found = [each for each in variables if each["POWERTOOLS_SERVICE_NAME"] == folder]
            assert [each["HOSTING_MODE"] for each in found] == [mode]
