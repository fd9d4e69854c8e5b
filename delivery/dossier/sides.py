"""One side of the comparison, deployed or to be deployed: its templates, and what their references mean."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from delivery.dossier import schemas

# The content of an asset decides its name in the bootstrap bucket: other code is not another permission.
_ASSET = re.compile(r"(cdk-[a-z0-9]+-(?:container-)?assets-[^/\s]+[/:])[0-9a-f]{64}")
_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_SUB = re.compile(r"\$\{(!?[^}]+)\}")
# What the CDK puts between a construct and its CloudFormation resource.
_SILENT_PARTS = ("Resource", "Default")


@dataclass(frozen=True)
class Stack:
    """One stack's template, with the values of its parameters.

    `path` is the construct path of the stack in the app, as far as it is known.
    """

    name: str
    account: str
    region: str
    template: Mapping[str, Any]
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    path: str = ""

    @property
    def resources(self) -> Mapping[str, Any]:
        """Definitions by logical id."""
        return self.template.get("Resources") or {}


@dataclass(frozen=True)
class Thing:
    """A resource: where it is declared, and what people call it."""

    stack: Stack
    logical_id: str
    definition: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Its CloudFormation type."""
        return str(self.definition.get("Type", ""))

    @property
    def properties(self) -> Mapping[str, Any]:
        """Its properties."""
        return self.definition.get("Properties") or {}

    @property
    def label(self) -> str:
        """Its place in the stack's constructs, such as `Lineage/Table`; else its logical id."""
        path = str((self.definition.get("Metadata") or {}).get("aws:cdk:path", ""))
        inside = path.removeprefix(self.stack.path).strip("/") if self.stack.path else ""
        if not path.startswith(self.stack.path) or not inside:
            return self.logical_id
        parts = inside.split("/")
        while len(parts) > 1 and parts[-1] in _SILENT_PARTS:
            parts.pop()
        return "/".join(parts)


class Side:
    """All stacks of an environment as they are, or as they will be."""

    def __init__(self, stacks: Iterable[Stack], same: Mapping[str, str] | None = None) -> None:
        """`same` tells under which identity the other side knows things that have another one here."""
        self.stacks = tuple(stacks)
        self._same = same or {}

    @cached_property
    def things(self) -> dict[str, Thing]:
        """Every resource by its identity."""
        return {
            self.identity(stack, logical_id): Thing(stack, logical_id, definition)
            for stack in self.stacks
            for logical_id, definition in stack.resources.items()
        }

    @cached_property
    def named(self) -> dict[tuple[str, str, str], str]:
        """The identities of the things that their templates name, by type, name and region."""
        return {
            (thing.type, name, thing.stack.region): identity
            for identity, thing in self.things.items()
            if isinstance(name := thing.properties.get(schemas.name_property(thing.type) or ""), str)
        }

    def identity(self, stack: Stack, logical_id: str) -> str:
        """What a resource is known by: its logical id in its stack, or what that was on the other side."""
        own = f"{stack.region} {stack.name}/{logical_id}"
        return self._same.get(own, own)

    def text(self, stack: Stack, value: Any) -> str:
        """A template's value as text that is equal when the meaning is; references stand in `<...>`."""
        match value:
            case str():
                text = value
            case bool():
                text = "true" if value else "false"
            case int() | float():
                text = str(value)
            case {"Ref": str(name)}:
                text = self._reference(stack, name)
            case {"Fn::GetAtt": [str(name), attribute]}:
                text = self._attribute(stack, name, self.text(stack, attribute))
            case {"Fn::GetAtt": str(both)}:
                text = self._attribute(stack, *both.split(".", 1))
            case {"Fn::Join": [delimiter, list(items)]}:
                text = str(delimiter).join(self.text(stack, item) for item in cast("list[Any]", items))
            case {"Fn::Sub": [str(pattern), dict(own)]}:
                text = self._substituted(stack, pattern, cast("dict[str, Any]", own))
            case {"Fn::Sub": str(pattern)}:
                text = self._substituted(stack, pattern, {})
            case {"Fn::GetStackOutput": dict(where)}:
                text = self._output(stack, cast("dict[str, Any]", where))
            case {"Fn::ImportValue": name}:
                text = self._export(stack, name)
            case _:
                text = json.dumps(self._canonical(stack, value), sort_keys=True, separators=(",", ":"))
        # What the parts join to may be the address of an asset.
        return _ASSET.sub(r"\1(asset)", text)

    def _canonical(self, stack: Stack, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._inner(stack, item) for key, item in cast("Mapping[str, Any]", value).items()}
        return [self._inner(stack, item) for item in value] if isinstance(value, list) else value

    def _inner(self, stack: Stack, value: Any) -> Any:
        """Values inside of others: text for what refers to something, structure for the rest."""
        refers = isinstance(value, Mapping) and len(cast("Mapping[str, Any]", value)) == 1
        refers = refers and next(iter(cast("Mapping[str, Any]", value))).startswith(("Ref", "Fn::"))
        return self.text(stack, value) if refers or isinstance(value, str) else self._canonical(stack, value)

    def _reference(self, stack: Stack, name: str) -> str:
        pseudo = {
            "AWS::Region": stack.region,
            "AWS::AccountId": stack.account,
            "AWS::StackName": stack.name,
            "AWS::Partition": partition(stack.region),
            "AWS::URLSuffix": "amazonaws.com.cn" if stack.region.startswith("cn-") else "amazonaws.com",
            "AWS::NoValue": "",
        }
        if name in pseudo:
            return pseudo[name]
        if name in stack.resources:
            return f"<{self.identity(stack, name)}>"
        declared = (stack.template.get("Parameters") or {}).get(name, {})
        return str(stack.parameters.get(name, declared.get("Default", f"<parameter {name}>")))

    def _attribute(self, stack: Stack, name: str, attribute: str = "") -> str:
        return f"<{self.identity(stack, name)}.{attribute}>"

    def _substituted(self, stack: Stack, pattern: str, own: Mapping[str, Any]) -> str:
        def value(found: re.Match[str]) -> str:
            name = found.group(1)
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in own:
                return self.text(stack, own[name])
            resource, dot, attribute = name.partition(".")
            return self._attribute(stack, resource, attribute) if dot else self._reference(stack, name)

        return _SUB.sub(value, pattern)

    def _output(self, stack: Stack, where: Mapping[str, Any]) -> str:
        name, output = self.text(stack, where.get("StackName")), self.text(stack, where.get("OutputName"))
        region = self.text(stack, where.get("Region", stack.region))
        for other in self.stacks:
            outputs = other.template.get("Outputs") or {}
            if other.name == name and other.region == region and output in outputs:
                return self.text(other, outputs[output].get("Value"))
        return f"<output {output} of {name}>"

    def _export(self, stack: Stack, name: Any) -> str:
        wanted = self.text(stack, name)
        for other, output in self._exports(stack.region):
            if self.text(other, output["Export"].get("Name")) == wanted:
                return self.text(other, output.get("Value"))
        return f"<export {wanted}>"

    def _exports(self, region: str) -> Iterator[tuple[Stack, Mapping[str, Any]]]:
        for stack in self.stacks:
            for output in (stack.template.get("Outputs") or {}).values():
                if stack.region == region and "Export" in output:
                    yield stack, output


def title(stack: Stack, *sides: Side) -> str:
    """The stack's name, with its region where the sides have several."""
    regions = {each.region for side in sides for each in side.stacks}
    return f"{stack.name} in {stack.region}" if len(regions) > 1 else stack.name


def renamed(before: Side, after: Side) -> dict[str, str]:
    """Things that a change of logical ids or a move to another stack leaves what they are: new to old.

    Their templates give them the same name on both sides, so that there can be only one of them.
    """
    return {
        new: old
        for key, new in after.named.items()
        if new not in before.things and (old := before.named.get(key)) is not None and old not in after.things
    }


def without_hashes(value: Any) -> Any:
    """The value with every content hash blotted out: what is left equal differs in code only."""
    if isinstance(value, str):
        return _HASH.sub("(hash)", value)
    if isinstance(value, Mapping):
        return {key: without_hashes(item) for key, item in cast("Mapping[str, Any]", value).items()}
    return [without_hashes(item) for item in value] if isinstance(value, list) else value


def short_hashes(text: str) -> str:
    """The text with the beginnings of content hashes, which tell them apart."""
    return _HASH.sub(lambda found: f"{found.group()[:10]}…", text)


def partition(region: str) -> str:
    """The AWS partition of a region, as ARNs name it."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
