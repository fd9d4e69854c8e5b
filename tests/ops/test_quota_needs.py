"""What the settings need of an account's quotas, by hosting mode."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ops.deployment import Environment, parse
from ops.doctor.quotas import concurrency_need, instance_needs
from tests.assembly import ROOT


def environment(**hosting: Any) -> Environment:
    from stages.settings_reader import parse_settings

    settings = json.loads((ROOT / "tests" / "platform.json").read_text()) | {"hosting": hosting}
    return parse(parse_settings(settings).model_dump(mode="json")).environments[0]


@pytest.mark.parametrize(
    ("hosting", "asked"),
    [
        ({}, True),
        ({"mode": "serverless", "strategy": "all_at_once"}, False),
        ({"mode": "lambda"}, False),
    ],
)
def test_instances_are_needed_where_a_mode_has_them(hosting: dict[str, Any], asked: bool) -> None:
    assert any("endpoint usage" in name for name in instance_needs(environment(**hosting))) is asked


def test_executions_that_are_kept_for_models_count() -> None:
    without, kept = environment(mode="lambda"), environment(mode="lambda", lambda_reserved_concurrency=30)
    assert concurrency_need(kept) == concurrency_need(without) + 30
    assert kept.on_functions
    assert not environment().on_functions
