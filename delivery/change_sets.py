"""Change sets where a person has approved; elsewhere one plain deployment per stack, which can be retried.

The CDK offers the choice for a whole pipeline only: the pipeline is made with change sets, and the stages of
unattended environments are simplified afterwards.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aws_cdk import Stack, Token
from aws_cdk import aws_codepipeline as codepipeline

from vision_platform.resources import cfn_resource

_PREPARE, _EXECUTE = "CHANGE_SET_REPLACE", "CHANGE_SET_EXECUTE"


def deploy_without_change_sets(pipeline: codepipeline.Pipeline, stage_names: Collection[str]) -> None:
    """In the named stages, turn each pair of actions (prepare a change set, execute it) into one deployment.

    To be called when the pipeline is complete: its stages are taken as they are then.
    """
    template = cfn_resource(pipeline, codepipeline.CfnPipeline)
    stages: list[dict[str, Any]] = Stack.of(pipeline).resolve(template.stages)
    simplified: Any = [_without_change_sets(each) if each["name"] in stage_names else each for each in stages]
    for stage in simplified:
        stage["actions"] = [_assignable(action) for action in stage["actions"]]
    template.stages = simplified


def _without_change_sets(stage: dict[str, Any]) -> dict[str, Any]:
    return {**stage, "actions": _simplified(stage["actions"])}


def _simplified(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    prepared = {_stack(action): action for action in actions if _mode(action) == _PREPARE}
    kept = [action for action in actions if _mode(action) != _PREPARE]
    orders = sorted({action["runOrder"] for action in kept})
    return [
        {
            **(_deployment(prepared[_stack(action)], action) if _mode(action) == _EXECUTE else action),
            "runOrder": orders.index(action["runOrder"]) + 1,
        }
        for action in kept
    ]


def _deployment(prepare: dict[str, Any], execute: dict[str, Any]) -> dict[str, Any]:
    """What the first action deploys, at the place and under the name of the second."""
    configuration = {key: value for key, value in prepare["configuration"].items() if key != "ChangeSetName"}
    return {
        **execute,
        "configuration": {**configuration, "ActionMode": "CREATE_UPDATE"},
        "inputArtifacts": prepare["inputArtifacts"],
    }


def _assignable(action: dict[str, Any]) -> dict[str, Any]:
    """A resolved action as the property takes it back: text that is an intrinsic function goes as a token."""
    role = action.get("roleArn")
    return {**action, "roleArn": Token.as_string(role)} if isinstance(role, dict) else action


def _stack(action: dict[str, Any]) -> tuple[str, str | None]:
    """A stack of an environment has one name in all its regions."""
    return action["configuration"]["StackName"], action.get("region")


def _mode(action: dict[str, Any]) -> str | None:
    return action["configuration"].get("ActionMode")
