"""Triggers: which pushes start the pipeline, by the settings' filters."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_codepipeline as codepipeline

from delivery.triggers import filter_pushes
from stages.settings import SourceSettings
from tests.assembly import Assembly

CONNECTION = "arn:aws:codeconnections:us-east-1:111111111111:connection/0000"


def triggers(**source: Any) -> Any:
    """The pipeline's triggers for a source with these settings."""
    stack = Stack(App(), "Stack")
    pipeline = codepipeline.Pipeline(stack, "Pipeline")
    filter_pushes(pipeline, SourceSettings.model_validate(source), action="Source")
    template: Any = pipeline.node.default_child
    return stack.resolve(template.triggers)


def push(**filters: Any) -> Any:
    """The filter of pushes for these settings."""
    (trigger,) = triggers(repository="a/b", branch="trunk", connection_arn=CONNECTION, triggers=filters)
    (found,) = trigger["gitConfiguration"]["push"]
    return found


def test_pushes_of_the_branch_start_it_unless_they_change_nothing_but_docs(assembly: Assembly) -> None:
    (trigger,) = assembly.only("AWS::CodePipeline::Pipeline").properties["Triggers"]
    assert trigger["ProviderType"] == "CodeStarSourceConnection"
    assert trigger["GitConfiguration"]["Push"] == [
        {
            "Branches": {"Includes": ["main"]},
            "FilePaths": {"Excludes": ["docs/**", "*.md", "**/*.md"]},
        }
    ]


def test_a_trigger_names_the_source_action_which_detects_no_changes_itself(assembly: Assembly) -> None:
    properties = assembly.only("AWS::CodePipeline::Pipeline").properties
    (action,) = properties["Stages"][0]["Actions"]
    (trigger,) = properties["Triggers"]
    assert trigger["GitConfiguration"]["SourceActionName"] == action["Name"]
    assert action["Configuration"]["DetectChanges"] is False


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (
            {"branches": ["main", "release/*"], "exclude_paths": []},
            {"branches": {"includes": ["main", "release/*"]}},
        ),
        (
            {"include_paths": ["model/**"], "exclude_paths": ["model/README.md"]},
            {
                "branches": {"includes": ["trunk"]},
                "filePaths": {"includes": ["model/**"], "excludes": ["model/README.md"]},
            },
        ),
    ],
)
def test_branches_and_paths_come_from_the_settings(filters: Any, expected: Any) -> None:
    assert push(**filters) == expected


def test_a_zip_in_s3_has_no_filters() -> None:
    assert triggers(kind="s3", bucket="commits", key="main.zip") is None
