"""What CodePipeline does around its stages: what it tries again, rolls back, and enters only for a reason.

The CDK's pipelines offer none of it: the rules are laid over the template, by the names of stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_codepipeline as codepipeline

from vision_platform.resources import cfn_resource

# Only what failed runs again; its neighbours have done their work.
RETRY: Mapping[str, Any] = {
    "Result": "RETRY",
    "RetryConfiguration": {"RetryMode": "FAILED_ACTIONS"},
}
ROLLBACK: Mapping[str, Any] = {"Result": "ROLLBACK"}


@dataclass(frozen=True, kw_only=True)
class Said:
    """What an earlier action has said: the value of a variable that it exports.

    A stage is skipped for this very value. Whatever else the variable says lets the execution in, so that a
    value that nobody expected stops at a person and is not waved through.
    """

    stage: str
    action: str
    variable: str
    value: str


@dataclass(frozen=True, kw_only=True)
class StageRule:
    """One stage's rule: what happens when it fails, and when it is passed over."""

    on_failure: Mapping[str, Any] | None = None
    skipped_if: Said | None = None


def apply_stage_rules(
    pipeline: codepipeline.Pipeline, rules: Mapping[str, StageRule], *, approval_timeout_hours: int
) -> None:
    """Lay `rules`, by stage name, and the approvals' time limit over the pipeline's template.

    To be called when the pipeline is complete: its stages are counted as they are then. Raises ValueError for
    a rule of a stage, or on an action with variables, that there is not.
    """
    template = cfn_resource(pipeline, codepipeline.CfnPipeline)
    # The property `stages` would fetch every member of every action in a call of its own.
    stages: list[dict[str, Any]] = Stack.of(pipeline).resolve(template._cfn_properties["stages"])
    unknown = set(rules) - {stage["name"] for stage in stages}
    if unknown:
        raise ValueError(f"the pipeline has no stage {', '.join(sorted(unknown))}")
    for number, stage in enumerate(stages):
        rule = rules.get(stage["name"], StageRule())
        if rule.on_failure is not None:
            template.add_property_override(f"Stages.{number}.OnFailure", dict(rule.on_failure))
        if rule.skipped_if is not None:
            condition = _entered_unless(rule.skipped_if, stages)
            template.add_property_override(f"Stages.{number}.BeforeEntry", condition)
        for position, action in enumerate(stage["actions"]):
            if action["actionTypeId"]["category"] == "Approval":
                template.add_property_override(
                    f"Stages.{number}.Actions.{position}.TimeoutInMinutes", approval_timeout_hours * 60
                )


def _entered_unless(said: Said, stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    spaces = [
        action["namespace"]
        for stage in stages
        for action in stage["actions"]
        if (stage["name"], action["name"]) == (said.stage, said.action) and "namespace" in action
    ]
    if not spaces:
        raise ValueError(f"no action {said.action} in stage {said.stage} has variables")
    rule = {
        "Name": "NotNeeded",
        "RuleTypeId": {"Category": "Rule", "Owner": "AWS", "Provider": "VariableCheck", "Version": "1"},
        "Configuration": {
            "Variable": f"#{{{spaces[0]}.{said.variable}}}",
            "Operator": "NE",
            "Value": said.value,
        },
    }
    return {"Conditions": [{"Result": "SKIP", "Rules": [rule]}]}
