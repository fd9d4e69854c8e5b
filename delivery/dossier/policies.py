"""Every policy of an environment's templates, taken apart: identity, trust and resource policies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from delivery.dossier.grants import Constraint, Element, Facet, Grant
from delivery.dossier.sides import Side, Stack, Thing
from delivery.dossier.statements import Documents, Gates, account_root, alternatives, documents, listed

_IDENTITIES = ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group")
# Policies that templates attach to identities, which they name by these properties.
_ATTACHED = {
    "AWS::IAM::Policy": ("Roles", "Users", "Groups"),
    "AWS::IAM::ManagedPolicy": ("Roles", "Users", "Groups"),
    "AWS::IAM::RolePolicy": ("RoleName",),
    "AWS::IAM::UserPolicy": ("UserName",),
    "AWS::IAM::GroupPolicy": ("GroupName",),
}
_KINDS = {
    "Roles": "AWS::IAM::Role",
    "RoleName": "AWS::IAM::Role",
    "Users": "AWS::IAM::User",
    "UserName": "AWS::IAM::User",
    "Groups": "AWS::IAM::Group",
    "GroupName": "AWS::IAM::Group",
}
# Where a policy is a resource of its own, the properties that say whose it is.
_TARGETS = (
    "Bucket",
    "Queues",
    "Queue",
    "Topics",
    "TopicArn",
    "SecretId",
    "ResourceArn",
    "EventBusName",
    "FunctionName",
    "LayerVersionArn",
    "RepositoryName",
    "FileSystemId",
    "StreamARN",
)
# Permissions that are not written as policy documents.
_FLAT = (
    "AWS::Lambda::Permission",
    "AWS::Lambda::LayerVersionPermission",
    "AWS::Events::EventBusPolicy",
)
# Properties that say as which role a function, a workflow, a build or a job works.
_WORKS_AS = ("Role", "RoleArn", "ServiceRole", "ExecutionRoleArn", "TaskRoleArn", "RoleARN")
_OWN_POLICY = ("Policy", "Permission")  # how the names of such types end
# What such a permission may be limited by, and the condition that each stands for.
_PERMISSION_CONDITIONS = {
    "SourceArn": ("ArnLike", "aws:SourceArn"),
    "SourceAccount": ("StringEquals", "aws:SourceAccount"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
    "OrganizationId": ("StringEquals", "aws:PrincipalOrgID"),
}


@dataclass
class Policies:
    """All grants, the permissions boundary of each identity that has one, and the role that each works as."""

    grants: set[Grant] = field(default_factory=set[Grant])
    boundaries: dict[str, str] = field(default_factory=dict[str, str])
    runs_as: dict[str, str] = field(default_factory=dict[str, str])


def policies_of(side: Side) -> Policies:
    """Take apart all policies of one side."""
    reader = _Reader(side)
    for identity, thing in side.things.items():
        reader.read(identity, thing)
    return reader.found


class _Reader:
    def __init__(self, side: Side) -> None:
        self._side = side
        self._documents = Documents(side)
        self.found = Policies()
        self._customer_policies = {
            identity for identity, thing in side.things.items() if thing.type == "AWS::IAM::ManagedPolicy"
        }
        self._attached_by_roles: dict[str, list[str]] = {}
        for identity, thing in side.things.items():
            for policy in self._managed(thing):
                self._attached_by_roles.setdefault(policy, []).append(identity)

    def read(self, identity: str, thing: Thing) -> None:
        gates = _gate(thing)
        for name in _WORKS_AS:
            if name in thing.properties:
                role = self._owner(self._side.text(thing.stack, thing.properties[name]))
                self.found.runs_as[identity] = role
        if thing.type in _IDENTITIES:
            self._identity(identity, thing, gates)
        elif thing.type in _ATTACHED:
            document = thing.properties.get("PolicyDocument")
            for holder in self._holders(identity, thing):
                self._document("identity", holder, thing.stack, document, gates)
        elif thing.type in _FLAT and "Statement" not in thing.properties:
            self._flat_permission(identity, thing, gates)
        else:
            for holder in self._targets(identity, thing):
                for document in documents(thing.properties):
                    self._document("resource", holder, thing.stack, document, gates)

    def _identity(self, identity: str, thing: Thing, gates: Gates) -> None:
        self._document(
            "trust", identity, thing.stack, thing.properties.get("AssumeRolePolicyDocument"), gates
        )
        for policy in thing.properties.get("Policies") or []:
            for each, more in alternatives(policy):
                self._document("identity", identity, thing.stack, each.get("PolicyDocument"), gates + more)
        for policy in self._managed(thing):
            if policy not in self._customer_policies:
                whole = Element(f"all of managed policy {policy}")
                self.found.grants.add(
                    Grant("identity", identity, "Allow", Element(), whole, Element("*"), gates)
                )
        boundary = thing.properties.get("PermissionsBoundary")
        if boundary is not None:
            self.found.boundaries[identity] = self._side.text(thing.stack, boundary)

    def _managed(self, thing: Thing) -> list[str]:
        """The managed policies that an identity names: identities of the templates' own, ARNs of others."""
        if thing.type not in _IDENTITIES:
            return []
        named = thing.properties.get("ManagedPolicyArns") or []
        return [
            self._owner(self._side.text(thing.stack, each))
            for item in named
            for each, _ in alternatives(item)
        ]

    def _holders(self, identity: str, thing: Thing) -> list[str]:
        """Whom a policy is attached to; itself where nothing in the templates is."""
        found = list(self._attached_by_roles.get(identity, []))
        for name in _ATTACHED[thing.type]:
            for item in listed(thing.properties.get(name)):
                text = self._side.text(thing.stack, item)
                found.append(self._named(text, _KINDS[name], thing.stack))
        return list(dict.fromkeys(found)) or [identity]

    def _named(self, text: str, kind: str, stack: Stack) -> str:
        if text.startswith("<"):
            return self._owner(text)
        return self._side.named.get((kind, text, stack.region), f"{kind} {text}")

    def _targets(self, identity: str, thing: Thing) -> list[str]:
        if not thing.type.endswith(_OWN_POLICY):
            return [identity]
        for name in _TARGETS:
            if name in thing.properties:
                items = listed(thing.properties[name])
                return [self._owner(self._side.text(thing.stack, item)) for item in items]
        return [identity]

    def _owner(self, text: str) -> str:
        """The identity of the resource that a reference is about; other text as it is."""
        if not (text.startswith("<") and text.endswith(">")):
            return text
        inner = text[1:-1]
        return inner if inner in self._side.things else inner.rpartition(".")[0] or inner

    def _flat_permission(self, identity: str, thing: Thing, gates: Gates) -> None:
        given = thing.properties
        conditions = tuple(
            Constraint(operator, key, (self._side.text(thing.stack, given[name]),))
            for name, (operator, key) in _PERMISSION_CONDITIONS.items()
            if name in given
        )
        if "Condition" in given:
            held = given["Condition"]
            conditions += (Constraint("StringEquals", str(held.get("Key")), (str(held.get("Value")),)),)
        principal = self._side.text(thing.stack, given.get("Principal", "*"))
        kind = "Service" if principal.endswith(("amazonaws.com", "amazonaws.com.cn")) else "AWS"
        for holder in self._targets(identity, thing):
            self.found.grants.add(
                Grant(
                    "resource",
                    holder,
                    "Allow",
                    Element("*" if principal == "*" else f"{kind} {account_root(principal)}"),
                    Element(self._side.text(thing.stack, given.get("Action", "*"))),
                    Element("*"),
                    tuple(sorted(conditions + gates)),
                )
            )

    def _document(self, facet: Facet, holder: str, stack: Stack, document: Any, gates: Gates) -> None:
        self.found.grants.update(self._documents.grants(facet, holder, stack, document, gates))


def _gate(thing: Thing) -> Gates:
    condition = thing.definition.get("Condition")
    return (Constraint("Template", str(condition), ("true",)),) if condition else ()
