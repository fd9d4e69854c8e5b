"""The diagram: it shows the pipeline that the template describes, and the page shows that diagram."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from delivery.diagram import BEGIN, END, DiagramError, draw, page
from tests.assembly import ROOT, Assembly


@pytest.fixture(scope="module")
def template(assembly: Assembly) -> dict[str, Any]:
    return assembly.templates["vision-delivery"]


@pytest.fixture(scope="module")
def drawing(template: dict[str, Any]) -> str:
    return draw(template)


def test_the_page_shows_the_pipeline_as_it_is(template: dict[str, Any]) -> None:
    shown = (ROOT / "docs" / "delivery.md").read_text()
    assert shown == page(shown, template), (
        "docs/delivery.md is out of date: synthesize with the settings of tests/platform.json, "
        "then `python -m delivery.diagram --write docs/delivery.md`"
    )


def test_stages_follow_each_other_and_a_skipped_one_can_be_passed(drawing: str) -> None:
    names = re.findall(r"s(\d+)(?:\[|\{\{)\"<b>(\w+)</b>", drawing)
    numbers = {name: int(number) for number, name in names}
    assert list(numbers)[-4:] == ["Review", "Confirm", "Approve", "Prod"]
    review, confirm, approve = (numbers[name] for name in ("Review", "Confirm", "Approve"))
    assert f's{review} -->|"DOSSIER_RISK is not none"| s{confirm}' in drawing
    assert f's{review} -->|"otherwise"| s{approve}' in drawing
    assert f"s{confirm} --> s{approve}" in drawing


def test_each_account_shows_the_roles_that_stages_act_by(drawing: str) -> None:
    accounts = dict(re.findall(r"subgraph a(\d+)\[.*?\]\n(.*?)\n  end", drawing, re.DOTALL))
    assert set(accounts) == {"111111111111", "222222222222", "333333333333", "444444444444"}
    for name in ("vision-prod-smoke", "vision-prod-dossier", "lookup-role", "deploy-role", "cfn-exec-role"):
        assert name in accounts["444444444444"]
    assert "dossier" not in accounts["222222222222"]


def test_what_happens_on_failure_is_shown_where_it_happens(drawing: str) -> None:
    (assets,) = [line for line in drawing.splitlines() if "<b>Assets</b>" in line]
    (prod,) = [line for line in drawing.splitlines() if "<b>Prod</b>" in line]
    assert "when it fails: tried again" in assets
    assert "when it fails: rolled back" in prod
    assert drawing.count("when it fails") == 2


def test_regions_are_shown_apart(template: dict[str, Any]) -> None:
    further = copy.deepcopy(template)
    pipeline = next(
        each for each in further["Resources"].values() if each["Type"] == "AWS::CodePipeline::Pipeline"
    )
    prod = pipeline["Properties"]["Stages"][-1]
    abroad = [
        each | {"Region": "eu-west-1"}
        for each in prod["Actions"]
        if each["ActionTypeId"]["Category"] == "Deploy"
    ]
    prod["Actions"] += abroad
    drawn = draw(further)
    stacks = "foundation, data, promotion, training, streaming, inference, monitoring"
    assert drawn.count(f"change sets of vision-prod: {stacks}") == 2
    assert "monitoring (eu-west-1)" in drawn


def test_what_people_have_written_stays(template: dict[str, Any]) -> None:
    first = page(f"above\n{BEGIN}\nold\n{END}\nbelow\n", template)
    assert first.startswith(f"above\n{BEGIN}\n\n```mermaid")
    assert first.endswith(f"```\n\n{END}\nbelow\n")
    assert page(first, template) == first


def test_a_page_or_a_template_without_a_place_for_it_is_told() -> None:
    with pytest.raises(DiagramError, match="the page lacks the lines"):
        page("no markers", {"Resources": {}})
    with pytest.raises(DiagramError, match="the template has no pipeline"):
        draw({"Resources": {}})
