"""Change sets: looked at and deleted again, whatever happens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from delivery.dossier.assembly import PlannedStack
from delivery.dossier.change_sets import ChangeSet, ChangeSets
from delivery.dossier.sides import Stack
from tests.delivery.dossier.world import ACCOUNT, REGION, ROLE, TAGS, World, refusal

STACK = "vision-prod-data"


@pytest.fixture
def planned() -> PlannedStack:
    return plan({"Resources": {}})


def plan(template: dict[str, Any]) -> PlannedStack:
    return PlannedStack(Stack(STACK, ACCOUNT, REGION, template), TAGS, "assets", ())


def look(world: World, planned: PlannedStack) -> ChangeSet:
    return ChangeSets(world, ROLE, "e3").look(planned)  # type: ignore[arg-type]


def test_change_set_without_changes_is_an_answer(world: World, planned: PlannedStack) -> None:
    assert look(world, planned) == ChangeSet()
    assert world.left == set()


def test_one_that_was_left_by_a_killed_try_is_deleted_first(world: World, planned: PlannedStack) -> None:
    look(world, planned)
    assert world.calls == ["DeleteChangeSet", "CreateChangeSet", "DescribeChangeSet", "DeleteChangeSet"]


@pytest.mark.parametrize("operation", ["CreateChangeSet", "DescribeChangeSet"])
def test_faults_are_told_and_nothing_is_left(world: World, planned: PlannedStack, operation: str) -> None:
    world.faults[operation] = refusal("AccessDenied", operation, "not authorized")
    found = look(world, planned)
    assert f"making a change set: access denied to {operation}" in found.unavailable
    assert world.calls[-1] == "DeleteChangeSet"
    assert world.left == set()


def test_interruption_leaves_nothing_either(world: World, planned: PlannedStack) -> None:
    world.faults["DescribeChangeSet"] = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        look(world, planned)
    assert world.left == set()


def test_failed_change_set_gives_its_reason(
    world: World, planned: PlannedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tests.delivery.dossier.world._Answers.describe_change_set",
        staticmethod(lambda *_, **__: {"Status": "FAILED", "StatusReason": "Export X does not exist"}),
    )
    assert look(world, planned).unavailable.endswith("a change set: Export X does not exist")


def test_change_set_that_cannot_be_deleted_is_named(
    world: World, planned: PlannedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def delete(*_: Any, **__: Any) -> Any:
        tries.append("delete")
        if len(tries) > 1:
            raise refusal("AccessDenied", "DeleteChangeSet", "not authorized")

    monkeypatch.setattr("tests.delivery.dossier.world._Answers.delete_change_set", staticmethod(delete))
    assert look(world, planned).note == (
        "The change set dossier-e3 could not be deleted (not authorized): delete it by hand"
    )


def test_template_that_is_too_large_with_its_metadata_goes_without(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []

    def create(*_: Any, **given: Any) -> None:
        sent.append(json.loads(given["TemplateBody"]))

    monkeypatch.setattr("tests.delivery.dossier.world._Answers.create_change_set", staticmethod(create))
    key = {"Type": "AWS::KMS::Key", "Properties": {"Enabled": True}}
    look(world, plan({"Resources": {"K": {**key, "Metadata": {"note": "x" * 51_200}}}}))
    look(world, plan({"Resources": {"K": {**key, "Metadata": {"note": "short"}}}}))
    assert [each["Resources"]["K"] for each in sent] == [key, {**key, "Metadata": {"note": "short"}}]


def test_large_template_lies_beside_the_assets_while_it_is_looked_at(world: World) -> None:
    large = plan({"Resources": {}, "Description": "x" * 51_200})
    assert look(world, large) == ChangeSet()
    assert world.calls == [
        "PutObject",
        "DeleteChangeSet",
        "CreateChangeSet",
        "DescribeChangeSet",
        "DeleteChangeSet",
        "DeleteObject",
    ]
    assert "dossier/e3/vision-prod-data.json" not in world.objects


def test_large_template_that_cannot_be_uploaded_or_deleted_is_told(world: World) -> None:
    large = plan({"Resources": {}, "Description": "x" * 51_200})
    world.faults["DeleteObject"] = refusal("AccessDenied", "DeleteObject")
    assert look(world, large).note.startswith("s3://assets/dossier/e3/vision-prod-data.json could not be")
    world.faults["PutObject"] = refusal("AccessDenied", "PutObject")
    assert "access denied to PutObject" in look(world, large).unavailable
