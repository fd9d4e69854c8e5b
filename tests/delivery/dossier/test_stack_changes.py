"""What happens to resources: by the templates, put right by what CloudFormation says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from delivery.dossier.change_sets import ChangeSet, Seen
from delivery.dossier.model import Action, Basis, StackChange
from delivery.dossier.sides import Stack
from delivery.dossier.stack_changes import stack_change
from tests.delivery.dossier.world import ACCOUNT, REGION


def stack(resources: dict[str, Any], **sections: Any) -> Stack:
    return Stack("s", ACCOUNT, REGION, {"Resources": resources, **sections})


def group(name: str, **more: Any) -> dict[str, Any]:
    properties = {"LogGroupName": name, "RetentionInDays": 30}
    return {"Type": "AWS::Logs::LogGroup", "Properties": properties | more}


def fates(change: StackChange) -> dict[str, Action]:
    return {each.logical_id: each.action for each in change.resources}


def seen(logical_id: str, replacement: str, **recreation: str) -> Seen:
    scope = frozenset({"Properties"})
    return Seen(logical_id, "AWS::Logs::LogGroup", "Modify", replacement, recreation, {}, scope)


def test_templates_alone_go_by_the_resource_schemas() -> None:
    before = stack({"Kept": group("a"), "Named": group("b"), "Gone": group("c"), "Longer": group("d")})
    after = stack(
        {"Kept": group("a"), "Named": group("x"), "New": group("e"), "Longer": group("d", RetentionInDays=60)}
    )
    found = stack_change(before, after, ChangeSet(unavailable="no role"))
    assert (found.basis, found.basis_because) == (Basis.TEMPLATE, "no role")
    assert fates(found) == {
        "Named": Action.REPLACED,
        "Gone": Action.DELETED,
        "New": Action.ADDED,
        "Longer": Action.CHANGED,
    }


def test_other_type_under_the_same_id_is_a_replacement() -> None:
    before, after = stack({"X": group("a")}), stack({"X": {"Type": "AWS::SNS::Topic"}})
    assert fates(stack_change(before, after, None)) == {"X": Action.REPLACED}


def test_metadata_and_dependencies_are_no_change() -> None:
    before, after = group("a"), {**group("a"), "Metadata": {"x": 1}, "DependsOn": ["Y"]}
    assert stack_change(stack({"X": before}), stack({"X": after}), None).resources == ()


def test_cloudformation_has_the_last_word_on_replacement() -> None:
    before = stack({"X": group("a"), "Same": group("b")})
    after = stack({"X": group("a", RetentionInDays=60), "Same": group("b", KmsKeyId={"Ref": "K"})})
    told = ChangeSet((seen("X", "True", RetentionInDays="Always"),))
    found = stack_change(before, after, told)
    assert found.basis is Basis.CHANGE_SET
    # What only the templates tell comes to the same value.
    assert fates(found) == {"X": Action.REPLACED}
    assert found.resources[0].because == "RetentionInDays cannot change in place"


@pytest.mark.parametrize(
    ("name", "days", "recreation", "expected"),
    [
        pytest.param("a", 60, {"RetentionInDays": "Conditionally"}, Action.CHANGED, id="schema: in place"),
        pytest.param("b", 30, {"LogGroupName": "Conditionally"}, Action.REPLACED, id="schema: anew"),
        pytest.param("a", 60, {"LogGroupName": "Always"}, Action.MAYBE_REPLACED, id="value known later"),
    ],
)
def test_conditional_replacement_is_settled_where_the_schema_can(
    name: str, days: int, recreation: dict[str, str], expected: Action
) -> None:
    before, after = stack({"X": group("a")}), stack({"X": group(name, RetentionInDays=days)})
    told = ChangeSet((seen("X", "Conditional", **recreation),))
    assert fates(stack_change(before, after, told)) == {"X": expected}


def test_unknown_types_stay_unsure() -> None:
    before, after = stack({"X": {"Type": "Custom::Thing"}}), stack({"X": {"Type": "Custom::Thing", "Y": 1}})
    told = ChangeSet((Seen("X", "Custom::Thing", "Modify", "Conditional", {"Y": "Conditionally"}),))
    assert fates(stack_change(before, after, told)) == {"X": Action.MAYBE_REPLACED}


def test_changes_by_reference_and_of_tags_are_told_too() -> None:
    same = stack({"X": group("a"), "Y": group("b")})
    told = ChangeSet(
        (
            Seen(
                "X",
                "AWS::Logs::LogGroup",
                "Modify",
                "False",
                {"KmsKeyId": "Never"},
                {"KmsKeyId": ("Key.Arn",)},
                frozenset({"Properties"}),
            ),
            Seen("Y", "AWS::Logs::LogGroup", "Modify", "False", scope=frozenset({"Tags"})),
            Seen("Z", "AWS::Logs::LogGroup", "Modify", "False", scope=frozenset({"Metadata"})),
        )
    )
    followed, tagged = stack_change(same, same, told).resources
    assert followed.properties[0].after == "follows Key.Arn"
    assert tagged.because == "its tags change"


def test_what_follows_a_resource_that_stays_does_not_change() -> None:
    resources = {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"EnableKeyRotation": True}},
        "X": group("a", KmsKeyId={"Fn::GetAtt": ["Key", "Arn"]}),
        "Y": group("b", KmsKeyId={"Ref": "X"}),
    }
    before = {**resources, "Key": {"Type": "AWS::KMS::Key", "Properties": {"EnableKeyRotation": False}}}

    def follows(logical_id: str, cause: str) -> Seen:
        group_type, scope = "AWS::Logs::LogGroup", frozenset({"Properties"})
        recreation, causes = {"LogGroupName": "Always"}, {"LogGroupName": (cause,)}
        return Seen(logical_id, group_type, "Modify", "Conditional", recreation, causes, scope)

    def key(replacement: str) -> Seen:
        return Seen("Key", "AWS::KMS::Key", "Modify", replacement, {"EnableKeyRotation": "Never"})

    told = (follows("X", "Key.Arn"), follows("Y", "X"))
    stays = stack_change(stack(before), stack(resources), ChangeSet((key("False"), *told)))
    assert fates(stays) == {"Key": Action.CHANGED}
    tagged = replace(told[0], recreation={"LogGroupName": "Always", "Tags": "Never"})
    partly = stack_change(stack(before), stack(resources), ChangeSet((key("False"), tagged)))
    assert fates(partly) == {"Key": Action.CHANGED, "X": Action.CHANGED}
    noted = replace(key("False"), recreation={}, scope=frozenset({"Metadata"}))
    nothing = ChangeSet((noted, follows("X", "Key.SomeAttribute")))
    assert fates(stack_change(stack(before), stack(resources), nothing)) == {}
    moves = stack_change(stack(before), stack(resources), ChangeSet((key("True"), *told)))
    maybe = Action.MAYBE_REPLACED
    assert fates(moves) == {"Key": Action.REPLACED, "X": maybe, "Y": maybe}
    unsure = (key("False"), follows("X", "Key.SomeAttribute"), follows("Y", "Parameter"))
    open_ended = stack_change(stack(before), stack(resources), ChangeSet(unsure))
    assert fates(open_ended) == {"Key": Action.CHANGED, "X": maybe, "Y": maybe}


def test_code_is_told_from_other_changes() -> None:
    def function(digest: str, memory: int) -> dict[str, Any]:
        properties = {"Code": {"S3Bucket": "b", "S3Key": f"{digest * 64}.zip"}, "MemorySize": memory}
        return {"Type": "AWS::Lambda::Function", "Properties": properties}

    before = stack({"Code": function("a", 128), "More": function("a", 128)})
    after = stack({"Code": function("b", 128), "More": function("b", 256)})
    code, more = stack_change(before, after, None).resources
    assert (code.code_only, more.code_only) == (True, False)
    assert [each.before for each in more.properties] == ["aaaaaaaaaa….zip", "128"]


def test_parameters_and_outputs_are_compared() -> None:
    before = stack({}, Outputs={"A": {"Value": "1"}}, Parameters={"BootstrapVersion": {"Default": "x"}})
    after = stack({}, Outputs={"A": {"Value": "2"}}, Parameters={"P": {"Default": "y"}})
    found = stack_change(before, after, None)
    assert [(each.path, each.before, each.after) for each in found.outputs] == [("A", "1", "2")]
    assert [(each.path, each.before, each.after) for each in found.parameters] == [("P", "", "y")]


def test_long_values_are_cut_around_the_difference() -> None:
    def queue(text: str) -> dict[str, Any]:
        return {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": text}}

    before, after = stack({"Q": queue("x" * 500 + "a")}), stack({"Q": queue("x" * 500 + "b")})
    (change,) = stack_change(before, after, None).resources[0].properties
    assert (change.before, change.after) == ("…" + "x" * 24 + "a", "…" + "x" * 24 + "b")
