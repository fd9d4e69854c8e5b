"""The estimates in the assembly: those of `ops cost`, and no obstacle where a price is not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from delivery.dossier import cost as dossiers
from ops.cost import bill
from ops.deployment import parse
from stages.monthly_costs import COSTS_FILE, cost, write_costs
from stages.settings import EnvironmentSettings, PlatformSettings
from stages.settings_reader import parse_settings

if TYPE_CHECKING:
    from tests.assembly import Assembly

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def platform() -> PlatformSettings:
    return parse_settings(json.loads((ROOT / "tests" / "platform.json").read_text()))


def environment(**groups: Any) -> EnvironmentSettings:
    return EnvironmentSettings.model_validate(
        {"name": "dev", "account": "222222222222", "region": "us-east-1", **groups}
    )


def test_they_are_those_that_operators_are_told(platform: PlatformSettings, tmp_path: Path) -> None:
    write_costs(platform, tmp_path)
    told = json.loads((tmp_path / COSTS_FILE).read_text())

    for each in parse(json.loads(platform.model_dump_json())).environments:
        found = bill(each)
        assert told[each.name]["images_per_day"] == found.workload.images_per_day
        assert told[each.name]["components"] == pytest.approx(
            {item.component: item.usd for item in found.items}, abs=0.01
        )


def test_the_dossier_looks_for_them_by_that_name() -> None:
    assert COSTS_FILE == dossiers.COSTS_FILE


def test_they_lie_in_the_assembly(assembly: Assembly, platform: PlatformSettings) -> None:
    told = json.loads((assembly.folder / COSTS_FILE).read_text())
    assert set(told) == {each.name for each in platform.environments}


def test_settings_decide_them() -> None:
    usual = sum(cost(environment())["components"].values())

    assert sum(cost(environment(workload={"images_per_day": 50_000}))["components"].values()) < usual
    assert "web ACL" not in cost(environment(safeguards={"web_acl": False}))["components"]
    assert "models (Lambda)" in cost(environment(hosting={"mode": "lambda"}))["components"]


def test_an_instance_type_without_a_price_is_told_and_stops_nothing() -> None:
    assert "ml.m4.xlarge" in cost(environment(hosting={"instance_type": "ml.m4.xlarge"}))["unknown"]
