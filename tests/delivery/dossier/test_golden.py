"""Whole dossiers of typical changes, held against files that a person has read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from delivery.dossier.model import Dossier
from delivery.dossier.page import page
from delivery.dossier.settings import Settings
from delivery.dossier.text import exports, short_text, variables
from tests.delivery.dossier.world import NEW_CODE, OLD_CODE, Templates, World, allow

INFERENCE, DATA = "vision-prod-inference", "vision-prod-data"


def widen_a_role(planned: Templates) -> None:
    document = planned[INFERENCE]["Resources"]["RolePolicy"]["Properties"]["PolicyDocument"]
    document["Statement"].append(allow("dynamodb:Scan", document["Statement"][0]["Resource"]))


def replace_a_table(planned: Templates) -> None:
    planned[DATA]["Resources"]["Table"]["Properties"]["TableName"] = "vision-lineage-2"


def change_code(planned: Templates) -> None:
    code = planned[INFERENCE]["Resources"]["Function"]["Properties"]["Code"]
    code["S3Key"] = code["S3Key"].replace(OLD_CODE, NEW_CODE)


def told(logical_id: str, type_name: str, name: str, recreation: str, replacement: str) -> dict[str, Any]:
    """A change as CloudFormation tells it."""
    target = {"Attribute": "Properties", "Name": name, "RequiresRecreation": recreation}
    return {
        "Action": "Modify",
        "LogicalResourceId": logical_id,
        "ResourceType": type_name,
        "Replacement": replacement,
        "Scope": ["Properties"],
        "Details": [{"Target": target, "Evaluation": "Static", "ChangeSource": "DirectModification"}],
    }


CASES: dict[str, tuple[Callable[[Templates], None], dict[str, list[dict[str, Any]]], str]] = {
    "widens-a-role": (
        widen_a_role,
        {INFERENCE: [told("RolePolicy", "AWS::IAM::Policy", "PolicyDocument", "Never", "False")]},
        "confirm",
    ),
    "replaces-a-table": (
        replace_a_table,
        {DATA: [told("Table", "AWS::DynamoDB::Table", "TableName", "Always", "True")]},
        "confirm",
    ),
    "only-code": (
        change_code,
        {INFERENCE: [told("Function", "AWS::Lambda::Function", "Code", "Never", "False")]},
        "none",
    ),
    "first-deployment": (lambda _: None, {}, "none"),
    "nothing-changed": (lambda _: None, {}, "none"),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, world: World, make: Callable[..., Dossier]) -> tuple[str, Dossier]:
    change, change_sets, _ = CASES[request.param]
    world.change_sets.update(change_sets)
    if request.param == "first-deployment":
        world.deployed, world.succeeded = {}, []
    return request.param, make(change)


def test_dossier_is_the_expected_one(
    case: tuple[str, Dossier], settings: Settings, golden: Callable[[str, str], None], world: World
) -> None:
    name, dossier = case
    main = page(dossier, settings).split("<main>")[1].split("</main>")[0]
    golden(f"{name}.html", "\n".join(line for line in main.splitlines() if line.strip()) + "\n")
    golden(f"{name}.json", dossier.model_dump_json(indent=2, by_alias=True) + "\n")
    golden(f"{name}.sh", exports(variables(dossier, settings)))
    assert world.left == set()


def test_only_what_broadens_or_loses_data_must_be_confirmed(case: tuple[str, Dossier]) -> None:
    name, dossier = case
    assert dossier.risk == CASES[name][2]
    assert bool(dossier.risks) == (dossier.risk == "confirm")


def test_text_fits_the_approval(case: tuple[str, Dossier]) -> None:
    _, dossier = case
    text = short_text(dossier)
    assert 0 < len(text) < 900
    assert "\n" not in text
