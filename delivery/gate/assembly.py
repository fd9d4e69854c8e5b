"""A synthesized assembly as the verdict reads it: stacks, resources, the CDK's report, acknowledgements."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from delivery.gate.findings import GateError
from vision_platform.references import flatten

REPORT = "validation-report.json"
PACKS = "compliance-packs.json"
_ACKNOWLEDGED = "aws:cdk:acknowledged-rules"
_LOGICAL_ID = "aws:cdk:logicalId"
# Metadata on a construct: why its policies name a resource by wildcard.
_WILDCARD_REASON = "vision:wildcard-reason"
# What the CDK acknowledges by itself, with the very reason that it gives: nobody here answers for it.
_OF_THE_CDK = (
    "CloudFormation-Validate::W3010",
    "Literal AZs in template are the result of accessing stack.availabilityZones, this is expected and safe",
)
_REVIEW = re.compile(r"\s*\(review by (\S+)\)$")
_ENVIRONMENT = re.compile(r"aws://([^/]+)/([^/]+)")


@dataclass(frozen=True)
class Resource:
    """One resource of a template. `path` is its construct's, such as `Delivery/Dev/Data/Lake/Resource`."""

    path: str
    logical_id: str
    type: str
    properties: dict[str, Any]


@dataclass(frozen=True)
class Stack:
    """One stack: where it stands in the construct tree, where it goes, and its template."""

    path: str
    name: str
    stage: str
    """Path of the stage around it; empty for a stack of the app itself."""
    environment: str
    """The environment that it belongs to, as its tags say; empty for a stack of the app itself."""
    account: str
    region: str
    template: Path
    metadata: Path | None

    @cached_property
    def body(self) -> dict[str, Any]:
        """The template."""
        return _object(self.template)

    @cached_property
    def entries(self) -> dict[str, list[dict[str, Any]]]:
        """The metadata of its constructs, by path."""
        return _object(self.metadata) if self.metadata else {}

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        """The template's resources, each with the path of its construct."""
        # Templates hold the paths too, but only those that the CDK's command line has asked for.
        paths = {
            entry["data"]: path.removeprefix("/")
            for path, entries in self.entries.items()
            for entry in entries
            if entry["type"] == _LOGICAL_ID
        }
        return tuple(
            Resource(
                paths.get(logical_id, f"{self.path}/{logical_id}"),
                logical_id,
                each["Type"],
                each.get("Properties", {}),
            )
            for logical_id, each in self.body.get("Resources", {}).items()
        )


@dataclass(frozen=True)
class Acknowledgement:
    """One finding accepted at one construct. `finding` holds the pack: `AwsSolutions::AwsSolutions-S1`."""

    construct: str
    finding: str
    reason: str
    review_by: str
    """As it is written; empty where there is none."""

    @property
    def judgement(self) -> tuple[str, str]:
        """What it decides, whichever packs ask: the same rule in three packs is one decision."""
        pack, _, rule = self.finding.partition("::")
        return self.construct, rule.removeprefix(f"{pack}-")


@dataclass(frozen=True)
class WildcardReason:
    """Why policies at a construct name a resource by wildcard; for some actions only, where it says so."""

    resource: str
    reason: str
    actions: frozenset[str]


def split_reason(text: str) -> tuple[str, str]:
    """A recorded reason as the reason itself and its date of review (empty where there is none)."""
    found = _REVIEW.search(text)
    return (text[: found.start()].strip(), found.group(1)) if found else (text.strip(), "")


class Assembly:
    """What `cdk synth` has written into `folder`. Raises GateError for what is missing or unreadable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "manifest.json").is_file():
            raise GateError(f"{folder} holds no synthesized assembly: run `make synth` first")

    @cached_property
    def stacks(self) -> tuple[Stack, ...]:
        """Every stack of every stage, in the order of the manifests."""
        found = tuple(_stacks(self.folder, ""))
        if not found:
            raise GateError(f"{self.folder} holds no stack: there is nothing to judge")
        return found

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        """The resources of all stacks."""
        return tuple(each for stack in self.stacks for each in stack.resources)

    @cached_property
    def reports(self) -> dict[str, dict[str, Any]]:
        """What each plugin of the CDK's validation reported, by its name; silent ones are not in it."""
        place = self.folder / REPORT
        if not place.is_file():
            raise GateError(f"{place} is missing: the rules did not run; run `make synth` again")
        found = _object(place).get("pluginReports")
        if not isinstance(found, list):
            raise GateError(f"{place} has no list `pluginReports`: run `make synth` again")
        return {each["pluginName"]: each for each in cast("list[dict[str, Any]]", found)}

    @cached_property
    def packs(self) -> frozenset[str]:
        """The packs of rules that the app asked, whether they found something or not."""
        place = self.folder / PACKS
        return frozenset(_object(place).get("packs", [])) if place.is_file() else frozenset()

    @cached_property
    def cloudformation_rules(self) -> bool:
        """Whether the app made CloudFormation's own rules errors, as its manifest tells."""
        artifacts = _object(self.folder / "manifest.json").get("artifacts", {})
        flags = artifacts.get("aws-cdk-lib/feature-flag-report", {}).get("properties", {}).get("flags", {})
        return flags.get("@aws-cdk/core:validateAgainstDefaultRules", {}).get("userValue") is True

    @cached_property
    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        """Everything that constructs here have acknowledged, duplicates included."""
        return tuple(
            Acknowledgement(path, finding, *split_reason(text))
            for path, data in self._metadata(_ACKNOWLEDGED)
            for finding, text in data.items()
            if (finding, text) != _OF_THE_CDK
        )

    @cached_property
    def wildcard_reasons(self) -> dict[str, list[WildcardReason]]:
        """Reasons for wildcards that stand at constructs without being acknowledgements, by construct."""
        found: dict[str, list[WildcardReason]] = {}
        for path, data in self._metadata(_WILDCARD_REASON):
            reason = WildcardReason(
                flatten(data.get("resource", "")), data.get("reason", ""), frozenset(data.get("actions", ()))
            )
            found.setdefault(path, []).append(reason)
        return found

    def _metadata(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for stack in self.stacks:
            for path, entries in stack.entries.items():
                for entry in entries:
                    if entry["type"] == kind:
                        yield path.removeprefix("/"), entry["data"]


def _stacks(folder: Path, stage: str) -> Iterator[Stack]:
    for name, artifact in _object(folder / "manifest.json").get("artifacts", {}).items():
        properties = artifact.get("properties", {})
        if artifact["type"] == "cdk:cloud-assembly":
            yield from _stacks(folder / properties["directoryName"], properties.get("displayName", name))
        elif artifact["type"] == "aws:cloudformation:stack":
            found = _ENVIRONMENT.match(artifact.get("environment", ""))
            account, region = found.groups() if found else ("", "")
            metadata = artifact.get("additionalMetadataFile")
            tags = properties.get("tags", {})
            yield Stack(
                path=artifact.get("displayName", name),
                name=properties.get("stackName", name),
                stage=stage,
                environment=(tags.get("environment") or stage.rpartition("/")[2].lower()) if stage else "",
                account=account,
                region=region,
                template=folder / properties["templateFile"],
                metadata=folder / metadata if metadata else None,
            )


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        raise GateError(f"{path} is missing: run `make synth` again") from None
    except (OSError, ValueError) as error:
        raise GateError(f"{path} cannot be read ({error}): run `make synth` again") from None
    if not isinstance(value, dict):
        raise GateError(f"{path} is no JSON object: run `make synth` again")
    return cast("dict[str, Any]", value)
