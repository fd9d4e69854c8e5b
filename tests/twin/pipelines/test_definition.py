"""Pipeline definitions and variables, checked without a running twin."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from twin.json_service import ServiceError
from twin.services.codepipeline.definition import check, from_cloudformation, run_orders
from twin.services.codepipeline.triggers import wanted
from twin.services.codepipeline.variables import VariableError, resolve

Stages = list[dict[str, Any]]


def action(name: str, category: str, provider: str, **more: Any) -> dict[str, Any]:
    kind = {"Category": category, "Owner": "AWS", "Provider": provider, "Version": "1"}
    return {"Name": name, "ActionTypeId": kind, **more}


PROPERTIES: dict[str, Any] = {
    "RoleArn": "arn:aws:iam::111111111111:role/pipeline",
    "PipelineType": "V2",
    "ArtifactStores": [
        {
            "Region": "us-east-1",
            "ArtifactStore": {
                "Type": "S3", "Location": "b", "EncryptionKey": {"Id": "k", "Type": "KMS"}
            },
        }
    ],
    "Stages": [
        {
            "Name": "Source",
            "Actions": [
                action("Code", "Source", "CodeStarSourceConnection", Namespace="Code",
                       Configuration={"ConnectionArn": "c", "FullRepositoryId": "a/b", "BranchName": "main",
                                      "DetectChanges": True},
                       OutputArtifacts=[{"Name": "Source"}])
            ],
        },
        {
            "Name": "Build",
            "Actions": [
                action("Two", "Build", "CodeBuild", RunOrder="2", Configuration={"ProjectName": "p"},
                       InputArtifacts=[{"Name": "Source"}]),
                action("One", "Build", "CodeBuild", RunOrder=1, InputArtifacts=[{"Name": "Source"}],
                       Configuration={"ProjectName": "p",
                                      "EnvironmentVariables": [{"name": "A", "value": "1"}]}),
            ],
        },
    ],
}  # fmt: skip


def checked(change: Callable[[Stages], Any] = lambda _: None, **more: Any) -> dict[str, Any]:
    properties = copy.deepcopy(PROPERTIES) | more
    change(properties["Stages"])
    return check(from_cloudformation("delivery", properties))


def test_cloudformation_properties_become_the_apis_declaration() -> None:
    found = checked()
    assert found["artifactStores"]["us-east-1"]["encryptionKey"] == {"id": "k", "type": "KMS"}
    assert found["executionMode"] == "SUPERSEDED"
    assert [[a["name"] for a in group] for group in run_orders(found["stages"][1])] == [["One"], ["Two"]]
    assert found["stages"][0]["actions"][0]["configuration"]["DetectChanges"] == "true"
    one = found["stages"][1]["actions"][1]
    assert one["configuration"]["EnvironmentVariables"] == '[{"name": "A", "value": "1"}]'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop(), "minimum of 2 stages"),
        (lambda s: s[1].update(Name="Source"), "stage names must be unique"),
        (lambda s: s[1]["Actions"][0].update(Name="One"), "action names must be unique within stage Build"),
        (lambda s: s[1]["Actions"].append(s[0]["Actions"][0]), "source actions belong into the first stage"),
        (lambda s: s[1]["Actions"][0]["InputArtifacts"].append({"Name": "Ghost"}),
         "no action before it produces the input artifact 'Ghost'"),
        (lambda s: s[1]["Actions"][0]["Configuration"].clear(),
         "action Build/Two lacks configuration ProjectName"),
        (lambda s: s[1]["Actions"][0].update(Namespace="Code"), "namespace 'Code' is used twice"),
        (lambda s: s[1]["Actions"][0].update(Commands=["ls"]),
         "action member commands (action Build/Two) is not implemented"),
        (lambda s: s[1].update(Nonsense=1), "property Stages[1].Nonsense is unknown"),
    ],
)  # fmt: skip
def test_faults_are_named(change: Callable[[Stages], Any], message: str) -> None:
    with pytest.raises(ServiceError) as found:
        checked(change)
    assert message in found.value.message


def test_trigger_on_pull_requests_is_refused_by_name() -> None:
    git = {"SourceActionName": "Code", "PullRequest": [{"Branches": {"Includes": ["main"]}}]}
    with pytest.raises(ServiceError, match="pull requests"):
        checked(Triggers=[{"ProviderType": "CodeStarSourceConnection", "GitConfiguration": git}])


def test_variables_are_resolved_and_missing_ones_named() -> None:
    spaces = {"Code": {"CommitId": "abc"}, "variables": {"Color": "red"}}
    assert resolve({"a": "#{Code.CommitId}/#{variables.Color}", "b": "plain"}, spaces) == {
        "a": "abc/red",
        "b": "plain",
    }
    with pytest.raises(VariableError, match=r"#\{Code.Author\} is not defined"):
        resolve({"a": "#{Code.Author}"}, spaces)


@pytest.mark.parametrize(
    ("push", "kind", "name", "starts"),
    [
        (None, "branch", "main", True),
        (None, "branch", "other", False),
        (None, "tag", "v1", False),
        ({"Tags": {"Includes": ["v*"]}}, "tag", "v1", True),
        ({"Tags": {"Includes": ["v*"], "Excludes": ["v1"]}}, "tag", "v1", False),
        ({"Tags": {"Includes": ["v*"]}}, "branch", "main", False),
        ({"Branches": {"Includes": ["release/*"]}}, "branch", "release/1", True),
        ({"Branches": {"Includes": ["release/*"]}}, "branch", "main", False),
        ({"Branches": {"Excludes": ["wip-*"]}}, "branch", "feature", True),
    ],
)
def test_pushes_start_what_their_filters_let_pass(
    push: dict[str, Any] | None, kind: str, name: str, starts: bool
) -> None:
    from twin.git_remote import Push

    git = {"SourceActionName": "Code", "Push": [push]}
    triggers = [{"ProviderType": "CodeStarSourceConnection", "GitConfiguration": git}] if push else []
    declaration = checked(Triggers=triggers)
    source = declaration["stages"][0]["actions"][0]
    assert wanted(declaration, source, Push("a/b", kind, name, "", "c" * 40)) is starts
