"""What a month costs, and how that differs from the deployed one's dossier."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from delivery.dossier import cost
from delivery.dossier.cost import COSTS_FILE
from delivery.dossier.faults import DossierError
from delivery.dossier.model import Dossier
from delivery.dossier.page import page, tiles
from delivery.dossier.settings import Settings
from delivery.dossier.text import cost_text, short_text
from tests.delivery.dossier.world import COSTS, World

ENDPOINT = "endpoint (SageMaker)"


def told(settings: Settings, components: dict[str, float] | None = None, **more: Any) -> None:
    """Write what synthesis says of the environment into the assembly."""
    said = {**COSTS, "components": components} if components is not None else more
    (settings.assembly / COSTS_FILE).write_text(json.dumps({"prod": said}))


@pytest.fixture
def deployed(make: Callable[..., Dossier], world: World) -> Dossier:
    """The dossier of the deployment that is there, kept where the next one looks for it."""
    made = make()
    world.objects["dossier/e1/prod/dossier.json"] = made.model_dump_json(by_alias=True).encode()
    return made


def compared(settings: Settings, before: Dossier | None, components: dict[str, float]) -> Dossier:
    told(settings, components)
    assert before is not None
    return before.model_copy(update={"cost": cost.read(settings.assembly, "prod", "e1", before)})


def test_without_an_earlier_dossier_nothing_is_compared(
    make: Callable[..., Dossier],
) -> None:
    made = make()

    assert made.cost is not None
    assert (made.cost.usd, made.cost.change, made.cost.compared_with) == (161.6, None, None)
    assert "A month costs about 162 USD." in short_text(made)
    assert ("$162", "A month, about", "nothing to compare with", "") in tiles(made)


def test_the_same_costs_are_called_the_same(make: Callable[..., Dossier], deployed: Dossier) -> None:
    made = make()

    assert made.cost is not None
    assert (made.cost.change, made.cost.changed, made.cost.compared_with) == (0, (), "e1")
    assert cost_text(made) == "A month costs about 162 USD, as before."


def test_what_costs_more_or_less_or_is_new_or_gone_is_told_by_component(
    settings: Settings, deployed: Dossier
) -> None:
    made = compared(settings, deployed, {ENDPOINT: 321.2, "web ACL": 19.8})
    assert made.cost is not None

    assert made.cost.change == pytest.approx(179.4)
    assert [(each.component, each.before, each.usd) for each in made.cost.changed] == [
        (ENDPOINT, 160.6, 321.2),
        ("web ACL", 0, 19.8),
        ("key", 1.0, 0),
    ]
    assert cost_text(made) == "A month costs about 341 USD, 179.40 more than before."
    assert ("$341", "A month, about", "$179.40 more", "warn") in tiles(made)
    shown = page(made, settings)
    assert "$179.40 more than before" in shown
    assert "<td>endpoint (SageMaker)</td><td>$160.60</td><td>$321.20</td>" in shown


def test_a_saving_is_no_warning(settings: Settings, deployed: Dossier) -> None:
    made = compared(settings, deployed, {ENDPOINT: 80.3, "key": 1.0})

    assert cost_text(made) == "A month costs about 81 USD, 80.30 less than before."
    assert ("$81", "A month, about", "$80.30 less", "") in tiles(made)


def test_what_is_gone_is_compared_with_once(settings: Settings, deployed: Dossier) -> None:
    """A component that was there two deployments ago is no news in the next one."""
    once = compared(settings, deployed, {ENDPOINT: 160.6})
    again = compared(settings, once, {ENDPOINT: 160.6})

    assert again.cost is not None
    assert [each.component for each in again.cost.items] == [ENDPOINT]


def test_a_price_that_is_not_known_is_told_and_hides_nothing_else(
    settings: Settings, deployed: Dossier, make: Callable[..., Dossier]
) -> None:
    told(settings, unknown="no price of ml.c9z.large is known")
    unknown = cost.read(settings.assembly, "prod", "e1", deployed)
    assert unknown is not None
    made = make().model_copy(update={"cost": unknown})

    assert "There is no estimate: no price of ml.c9z.large is known." in page(made, settings)
    assert cost_text(made) == ""
    assert not [name for _, name, _, _ in tiles(made) if name.startswith("A month")]
    told(settings, {ENDPOINT: 1.0})
    after = cost.read(settings.assembly, "prod", "e1", made)
    assert after is not None and after.change is None


def test_an_assembly_of_an_earlier_version_has_no_estimate(settings: Settings, tmp_path: Path) -> None:
    assert cost.read(tmp_path, "prod", None, None) is None


def test_what_moves_between_components_costs_as_much_as_before(settings: Settings, deployed: Dossier) -> None:
    made = compared(settings, deployed, {ENDPOINT: 161.6})

    assert made.cost is not None and len(made.cost.changed) == 2
    assert cost_text(made) == "A month costs about 162 USD, as before."
    assert "images a day, as much as before. An estimate" in page(made, settings)


@pytest.mark.parametrize("content", ["{", '{"prod": {"components": {}, "images_per_day": null}}', "[]"])
def test_a_file_that_is_none_is_a_fault(settings: Settings, deployed: Dossier, content: str) -> None:
    (settings.assembly / COSTS_FILE).write_text(content)
    with pytest.raises(DossierError, match=r"monthly-costs\.json cannot be read .* run it again"):
        cost.read(settings.assembly, "prod", "e1", deployed)
