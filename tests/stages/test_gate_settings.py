"""The gate's function takes the settings' group `gate` as it stands, field by field."""

import json
from collections.abc import Callable
from types import ModuleType

from stages.settings_models import GateSettings
from tests.lambda_src.conftest import load_function  # noqa: F401 - a fixture


def test_settings_of_the_gate_are_those_that_its_function_reads(
    load_function: Callable[..., ModuleType],  # noqa: F811
) -> None:
    settings = GateSettings(max_latency_p95_ms=20)
    step = load_function("gate", GATE_SETTINGS=settings.model_dump_json())
    assert step.thresholds.model_dump() == json.loads(settings.model_dump_json())
