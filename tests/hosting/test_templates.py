"""Templates of every hosting mode: nothing open in the rules, nothing that the twin does not know."""

from __future__ import annotations

from typing import Any

import pytest

from tests.assembly import Assembly, synthesize
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


def test_no_pack_finds_anything_open_in_any_mode(modes: Assembly) -> None:
    open_findings = {
        (pack, finding["ruleName"], construct["constructPath"])
        for pack, report in modes.reports.items()
        for finding in report["violations"]
        for construct in finding["violatingConstructs"]
    }
    assert open_findings == set()


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
