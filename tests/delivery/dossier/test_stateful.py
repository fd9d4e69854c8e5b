"""What endangers data: stateful resources made anew or deleted, and protections that are weakened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from delivery.dossier.model import StatefulRisk
from delivery.dossier.sides import Stack
from delivery.dossier.stack_changes import stack_change
from delivery.dossier.stateful import risks_of
from delivery.dossier.stateful_types import PROTECTIONS, STATEFUL
from tests.delivery.dossier.world import ACCOUNT, REGION


def stack(**resources: dict[str, Any]) -> Stack:
    return Stack("data", ACCOUNT, REGION, {"Resources": resources})


def risks(before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[StatefulRisk]:
    """What it means that the resource X was so, and will be so; None for not at all."""
    old = stack(**({"X": before} if before else {}))
    new = stack(**({"X": after} if after else {}))
    return risks_of(stack_change(old, new, None), old, new)


def thing(type_name: str, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Type": type_name, "Properties": properties, **more}


@pytest.mark.parametrize("type_name", STATEFUL)
def test_deletion_is_told_for_every_stateful_type(type_name: str) -> None:
    (risk,) = risks(thing(type_name, {}), None)
    assert (risk.kind, risk.why) == ("deleted", STATEFUL[type_name])


def test_deletion_of_what_can_be_made_again_is_no_danger() -> None:
    assert risks(thing("AWS::Lambda::Function", {}), None) == []


def test_deployed_template_decides_whether_a_deleted_resource_is_kept() -> None:
    (risk,) = risks(thing("AWS::S3::Bucket", {}, DeletionPolicy="Retain"), None)
    assert "the old one is kept" in risk.what
    (risk,) = risks(thing("AWS::S3::Bucket", {}, UpdateReplacePolicy="Retain"), None)
    assert "what it holds goes with it" in risk.what


def test_new_template_decides_whether_a_replaced_resource_is_kept() -> None:
    before = thing("AWS::S3::Bucket", {"BucketName": "a"}, UpdateReplacePolicy="Retain")
    kept, lost = risks(before, thing("AWS::S3::Bucket", {"BucketName": "b"}))
    assert kept.kind == "replaced"
    assert "deleted with what it holds" in kept.what
    assert "no longer kept by its UpdateReplacePolicy" in lost.what


def test_key_schema_may_need_a_new_table() -> None:
    def table(name: str) -> dict[str, Any]:
        return thing("AWS::DynamoDB::Table", {"KeySchema": [{"AttributeName": name, "KeyType": "HASH"}]})

    assert [each.kind for each in risks(table("a"), table("b"))] == ["may be replaced"]


def test_weaker_deletion_policy_is_told() -> None:
    def bucket(policy: str) -> dict[str, Any]:
        return thing("AWS::S3::Bucket", {}, DeletionPolicy=policy, UpdateReplacePolicy="Retain")

    assert [each.kind for each in risks(bucket("Retain"), bucket("Delete"))] == ["protection"]
    assert risks(bucket("Delete"), bucket("Retain")) == []


def nested(path: str, value: Any) -> dict[str, Any]:
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


STRONG_AND_WEAK: dict[str, Callable[[str], tuple[Any, Any]]] = {
    "on": lambda _: (True, False),
    "off": lambda _: (False, True),
    "present": lambda _: ("something", None),
    "more": lambda _: (30, 7),
    "equals": lambda value: (value, "other"),
}


@pytest.mark.parametrize(
    ("type_name", "path"),
    [(type_name, each.path) for type_name, rows in PROTECTIONS.items() for each in rows],
)
def test_every_protection_is_told_when_it_gets_weaker_only(type_name: str, path: str) -> None:
    rule = next(each for each in PROTECTIONS[type_name] if each.path == path)
    strong, weak = STRONG_AND_WEAK[rule.rule](rule.value)
    before, after = thing(type_name, nested(path, strong)), thing(type_name, nested(path, weak))
    told = [each.what for each in risks(before, after) if each.kind == "protection"]
    assert told[-1].endswith(rule.without)
    assert [each for each in risks(after, before) if each.kind == "protection"] == []
