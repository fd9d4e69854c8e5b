"""Every IAM statement of an assembly: identity, trust and resource policies, wherever they lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from delivery.gate.assembly import Assembly, Resource
from vision_platform.references import flatten

_IDENTITY_POLICIES = frozenset(
    f"AWS::IAM::{kind}" for kind in ("Policy", "ManagedPolicy", "RolePolicy", "UserPolicy", "GroupPolicy")
)
_IDENTITIES = frozenset({"AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group"})
# Their properties are one statement, not a policy document.
_PERMISSIONS = frozenset({"AWS::Lambda::Permission", "AWS::Lambda::LayerVersionPermission"})


class Kind(Enum):
    """What a policy is attached to decides what it may mean."""

    IDENTITY = "identity"
    TRUST = "trust"
    RESOURCE = "resource"
    LIMIT = "limit"
    """A VPC endpoint's policy: it grants nothing, it limits what passes."""


@dataclass(frozen=True)
class Statement:
    """One statement that allows something, its lists as flat text such as `<Bucket.Arn>/*`."""

    owner: Resource
    kind: Kind
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    conditions: dict[str, Any]
    inverted: tuple[str, ...]
    """Which of NotAction, NotResource and NotPrincipal it uses."""

    @property
    def condition_keys(self) -> frozenset[str]:
        """The keys that its conditions test, in lower case."""
        return frozenset(key.lower() for each in self.conditions.values() for key in each)


def statements(assembly: Assembly) -> Iterator[Statement]:
    """All allowing statements, in the order of stacks and resources. A Deny grants nothing: left out."""
    for resource in assembly.resources:
        yield from of_resource(resource)


def of_resource(resource: Resource) -> Iterator[Statement]:
    """The allowing statements within one resource's properties."""
    if resource.type in _PERMISSIONS:
        yield _permission(resource)
        return
    for name, value in resource.properties.items():
        if resource.type in _IDENTITY_POLICIES or (resource.type in _IDENTITIES and name == "Policies"):
            kind = Kind.IDENTITY
        elif name == "AssumeRolePolicyDocument":
            kind = Kind.TRUST
        elif resource.type == "AWS::EC2::VPCEndpoint":
            kind = Kind.LIMIT
        else:
            kind = Kind.RESOURCE
        # An event bus policy has its one statement directly in its properties.
        for raw in _raw({name: value} if name == "Statement" else value):
            if raw["Effect"] == "Allow":
                yield _statement(resource, kind, raw)


def listed(value: Any) -> list[Any]:
    """A value that IAM takes alone or in a list, as a list."""
    if value is None:
        return []
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def _raw(value: Any) -> Iterator[dict[str, Any]]:
    """Statements anywhere below a value; documents may lie deep, or be text in JSON."""
    if isinstance(value, str) and '"Statement"' in value:
        try:
            yield from _raw(json.loads(value))
        except ValueError:
            return
    elif isinstance(value, dict):
        for name, inner in cast("dict[str, Any]", value).items():
            if name == "Statement":
                yield from (each for each in listed(inner) if isinstance(each, dict) and "Effect" in each)
            else:
                yield from _raw(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _raw(inner)


def _statement(owner: Resource, kind: Kind, raw: dict[str, Any]) -> Statement:
    inverted = tuple(name for name in ("NotAction", "NotResource", "NotPrincipal") if name in raw)
    return Statement(
        owner=owner,
        kind=kind,
        actions=tuple(flatten(each) for each in listed(raw.get("Action"))),
        resources=tuple(flatten(each) for each in listed(raw.get("Resource"))),
        principals=tuple(_principals(raw.get("Principal"))),
        conditions=raw.get("Condition") or {},
        inverted=inverted,
    )


def _principals(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and not any(key == "Ref" or key.startswith("Fn::") for key in value):
        for each in cast("dict[str, Any]", value).values():
            yield from (flatten(one) for one in listed(each))
    else:
        yield from (flatten(each) for each in listed(value))


def _permission(owner: Resource) -> Statement:
    given = owner.properties
    limits = {
        key: given[name]
        for name, key in (
            ("SourceArn", "aws:SourceArn"),
            ("SourceAccount", "aws:SourceAccount"),
            ("PrincipalOrgID", "aws:PrincipalOrgID"),
            ("OrganizationId", "aws:PrincipalOrgID"),
        )
        if name in given
    }
    return Statement(
        owner=owner,
        kind=Kind.RESOURCE,
        actions=(flatten(given.get("Action", "")),),
        resources=(),
        principals=(flatten(given.get("Principal", "")),),
        conditions={"given": limits} if limits else {},
        inverted=(),
    )
