"""Tells people what happens to the champion: a readable message for each event that asks for attention.

Each says what happened to which model, why, and the command that shows more or acts. Smoke tests train models
of their own, whose events reach nobody: their report says how they went.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from vision_platform.event_bus import EVENT_SOURCE, PlatformBus
from vision_platform.model_lines import CHAMPION
from vision_platform.permissions import service_principal

# A promotion within a run tells of these itself: people hear of one failure once.
_TOLD_BY_THE_PROMOTION = (
    "DeploymentFailed",
    "DeploymentTimedOut",
    "PackageNotApproved",
    "RolledBack",
    "ThresholdsMissed",
)
_OPS = "python -m ops"


@dataclass(frozen=True, kw_only=True)
class _Announcement:
    """One kind of event, and its message: `<name>` is a key of the event's detail."""

    kind: str
    says: tuple[str, ...]
    next_steps: tuple[tuple[str, str], ...]
    detail: dict[str, Any] = field(default_factory=dict[str, Any])


class ModelAnnouncements(Construct):
    """A rule on the platform's bus for each kind of event, and a message to the topic for people."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        bus: PlatformBus,
        topic: sns.ITopic,
        environment: str,
        runbook_url: str | None,
    ) -> None:
        """`environment` is its name as the operator's commands know it, such as `dev`."""
        super().__init__(scope, id)
        runbook = [f"Runbook: {runbook_url}"] if runbook_url else []
        rules = [
            self._rule(each, bus, topic, [*_lines(each), *runbook]) for each in _announcements(environment)
        ]
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Announcements",
                principals=[service_principal("events.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                # The rules and no others of the account.
                conditions={"ArnEquals": {"aws:SourceArn": [rule.attr_arn for rule in rules]}},
            )
        )

    def _rule(
        self, announcement: _Announcement, bus: PlatformBus, topic: sns.ITopic, lines: Sequence[str]
    ) -> events.CfnRule:
        # EventBridge does not read escapes: a text of several lines is several strings.
        text = "\n".join(json.dumps(line) for line in lines)
        return events.CfnRule(
            self,
            announcement.kind.replace(" ", ""),
            description=f"Tells people: {announcement.kind}",
            event_bus_name=bus.name,
            event_pattern={
                "source": [EVENT_SOURCE],
                "detail-type": [announcement.kind],
                "detail": {"line": [CHAMPION], **announcement.detail},
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="Topic",
                    arn=topic.topic_arn,
                    input_transformer=events.CfnRule.InputTransformerProperty(
                        input_paths_map=_paths(text), input_template=text
                    ),
                )
            ],
        )


def _announcements(environment: str) -> tuple[_Announcement, ...]:
    here = f"--environment {environment}"
    return (
        _Announcement(
            kind="Training Failed",
            says=(
                "Run <run_id> failed (attempt <attempt>): <error>.",
                "Why: <cause>",
                "No model was promoted; the champion serves as before.",
            ),
            next_steps=(
                ("What the run has done", f"watch <run_id> {here}"),
                ("Once it is mended, go on where it stopped", f"train --again <run_id> {here} --watch"),
            ),
            detail={"error": [{"anything-but": list(_TOLD_BY_THE_PROMOTION)}]},
        ),
        _Announcement(
            kind="Model Promoted",
            says=(
                "<endpoint_name> serves another model since <time> (<reason>).",
                "Now: <model_package_arn>",
                "Before: <previous_model_package_arn>",
            ),
            next_steps=(
                ("What it was trained on, and its evaluation", f"lineage show <model_package_arn> {here}"),
                ("If its answers are worse, back to the model before", f"rollback --model {here}"),
            ),
        ),
        _Announcement(
            kind="Model Rolled Back",
            says=(
                "A new model for <endpoint_name> was taken back (<reason>): callers get the old one again.",
                "Why: <cause>",
                "Taken back: <model_package_arn>",
                "Serving: <serving_model_package_arn>",
            ),
            next_steps=(
                (
                    "What the new model was trained on, and what it answered",
                    f"lineage show <model_package_arn> {here}",
                ),
                ("The alarms", "status"),
            ),
        ),
        _Announcement(
            kind="Promotion Failed",
            says=(
                "A model could not be promoted to <endpoint_name> (<reason>): <error>.",
                "Why: <cause>",
                "Meant to serve: <model_package_arn>",
            ),
            next_steps=(
                ("What serves now", "status"),
                ("Once it is mended", f"promote --package <model_package_arn> --to {environment}"),
            ),
        ),
        _Announcement(
            kind="Drift Detected",
            says=(
                "What <model_package_arn> sees or answers differs from its baseline: score <score>.",
                "Retraining starts by itself where training.on_drift is set.",
            ),
            next_steps=(
                ("The runs", f"runs {here}"),
                ("Train on the newest dataset by hand", f"train {here} --watch"),
            ),
        ),
    )


def _lines(announcement: _Announcement) -> list[str]:
    """The message: what happened, then the commands."""
    first, *more = announcement.says
    steps = [f"{what}: {_OPS} {command}" for what, command in announcement.next_steps]
    return [f"<environment>: {first}", *more, *steps]


def _paths(text: str) -> dict[str, str]:
    """Where the event has what the text names."""
    names = {part.split(">")[0] for part in text.split("<")[1:]}
    return {name: "$.time" if name == "time" else f"$.detail.{name}" for name in sorted(names)}
