"""The IAM check: no wildcard action, no resource by wildcard without its reason, nothing open to everyone.

A resource policy speaks for its own resource alone: `*` in a key's policy is that key and no wildcard. What
lies within a resource is: `<Bucket.Arn>/models/*` needs its reason, but for a service of AWS, which chooses
the names itself. A Deny is no grant, and the policy of a VPC endpoint limits what passes without granting it.

The reason stands at the construct or one around it: as an acknowledgement of the finding that is printed here
(`IAM-WildcardResource[...]`); or of cdk-nag's on the very same resource of an identity
(`AwsSolutions-IAM5[Resource::...]`), for one reason is enough; or as metadata `vision:wildcard-reason`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from delivery.gate.assembly import Acknowledgement, Assembly, Resource
from delivery.gate.findings import Check, Finding, convinces
from delivery.gate.statements import Kind, Statement, of_resource, statements
from vision_platform.references import flatten

NAME = "IAM"
WILDCARD_ACTION = "IAM-WildcardAction"
WILDCARD_RESOURCE = "IAM-WildcardResource"
ANY_PRINCIPAL = "IAM-AnyPrincipal"
ALL_BUT = "IAM-AllBut"
_RULES = (WILDCARD_ACTION, WILDCARD_RESOURCE, ANY_PRINCIPAL, ALL_BUT)
_SAME_FOR_NAG = "AwsSolutions::AwsSolutions-IAM5[Resource::{}]"
# Conditions that say who calls; that it calls by TLS, for one, says nothing of who it is.
_NAME_THE_CALLER = frozenset(
    each.lower()
    for each in (
        "aws:PrincipalAccount",
        "aws:PrincipalArn",
        "aws:PrincipalOrgID",
        "aws:PrincipalOrgPaths",
        "aws:SourceAccount",
        "aws:SourceArn",
        "aws:SourceOrgID",
        "aws:SourceOwner",
        "aws:SourceVpc",
        "aws:SourceVpce",
        "kms:CallerAccount",
    )
)
# Says, and what to do: of each rule.
_TEXTS = {
    WILDCARD_ACTION: ("allows {what}: more actions than are named", "write the actions out"),
    WILDCARD_RESOURCE: (
        "allows {actions} on {what}, and nothing says why",
        "name the resource; where the service knows none, say why at the construct, in a sentence",
    ),
    ANY_PRINCIPAL: (
        "lets {what} in, and no condition names the caller",
        "name the principal, or add a condition such as aws:SourceAccount",
    ),
    ALL_BUT: ("allows by {what}: everything but what is named", "name what is allowed"),
}


def iam_check(assembly: Assembly) -> Check:
    """Every statement of every template against the rules above."""
    reasons = Reasons(assembly)
    findings = [
        _finding(statement, rule, what, reasons.of(statement, rule, what))
        for statement in statements(assembly)
        for rule, what in broken(statement)
    ]
    return Check(NAME, len(_RULES), len(assembly.resources), tuple(dict.fromkeys(findings)))


def broken(statement: Statement) -> Iterator[tuple[str, str]]:
    """The rules that a statement breaks, each with what breaks it."""
    if statement.kind is Kind.LIMIT:
        return
    for action in statement.actions:
        if is_wild(action):
            yield WILDCARD_ACTION, action
    for resource in wild_resources(statement):
        yield WILDCARD_RESOURCE, resource
    for principal in statement.principals:
        if is_wild(principal) and not statement.condition_keys & _NAME_THE_CALLER:
            yield ANY_PRINCIPAL, principal
    for element in statement.inverted:
        yield ALL_BUT, element


def wild_resources(statement: Statement) -> list[str]:
    """The resources that a statement names by wildcard."""
    wild = [each for each in statement.resources if is_wild(each)]
    if statement.kind is not Kind.RESOURCE:
        return wild
    # `*` is the resource that the policy is attached to, and no other policy reaches beyond that either.
    wild = [each for each in wild if each != "*"]
    if statement.principals and all(each.endswith(".amazonaws.com") for each in statement.principals):
        own = _own(statement.owner)
        wild = [each for each in wild if not each.startswith(own)]
    return wild


def is_wild(text: str) -> bool:
    """Whether IAM would match more than one name by it."""
    return "*" in text or "?" in text


class Reasons:
    """Why what breaks a rule is accepted, as it stands at constructs."""

    def __init__(self, assembly: Assembly) -> None:
        self._acknowledged = _by_construct(assembly.acknowledgements)
        self._metadata = assembly.wildcard_reasons

    def of(self, statement: Statement, rule: str, what: str) -> str:
        """The reason at the statement's construct or one around it; empty when there is none.

        A reason for just these actions counts before one for the resource as such.
        """
        accepted = {f"{NAME}::{rule}[{what}]"}
        if rule == WILDCARD_RESOURCE and statement.kind is Kind.IDENTITY:
            accepted.add(_SAME_FOR_NAG.format(what))
        found: list[str] = []
        for place in around(statement.owner.path):
            if rule == WILDCARD_RESOURCE:
                found += self._given(place, statement, what)
            found += [
                each.reason or "no reason given"
                for each in self._acknowledged.get(place, ())
                if each.finding in accepted
            ]
            if found:
                return found[0]
        return ""

    def of_managed_policy(self, path: str, policy: str) -> str:
        """Why a policy of AWS is attached to the role at `path`; empty when nobody says it."""
        finding = f"AwsSolutions::AwsSolutions-IAM4[Policy::{policy}]"
        for place in around(path):
            for each in self._acknowledged.get(place, ()):
                if each.finding == finding:
                    return each.reason
        return ""

    def _given(self, place: str, statement: Statement, what: str) -> list[str]:
        actions = set(statement.actions)
        found = self._metadata.get(place, ())
        given = [each for each in found if each.resource == what and convinces(each.reason)]
        exact = [each.reason for each in given if each.actions and actions & each.actions]
        anyhow = [each.reason for each in given if not each.actions]
        return ["; ".join(dict.fromkeys(exact))] if exact else anyhow


def own_acknowledgements_used(assembly: Assembly) -> dict[tuple[str, str], list[str]]:
    """What acknowledgements of this check's findings silence: constructs' paths by (construct, finding)."""
    silenced: dict[tuple[str, str], list[str]] = {}
    at = _by_construct(each for each in assembly.acknowledgements if each.finding.startswith(f"{NAME}::"))
    for resource in assembly.resources if at else ():
        for rule, what in {found for each in of_resource(resource) for found in broken(each)}:
            finding = f"{NAME}::{rule}[{what}]"
            for place in around(resource.path):
                if any(each.finding == finding for each in at.get(place, ())):
                    silenced.setdefault((place, finding), []).append(resource.path)
                    break
    return silenced


def around(path: str) -> Iterator[str]:
    """A construct's path and those of the constructs around it, inside out."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _by_construct(acknowledgements: Iterable[Acknowledgement]) -> dict[str, list[Acknowledgement]]:
    at: dict[str, list[Acknowledgement]] = {}
    for each in acknowledgements:
        at.setdefault(each.construct, []).append(each)
    return at


def _finding(statement: Statement, rule: str, what: str, reason: str) -> Finding:
    says, cure = _TEXTS[rule]
    names = statement.actions
    actions = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Finding(
        NAME, f"{rule}[{what}]", statement.owner.path, says.format(what=what, actions=actions), cure, reason
    )


def _own(owner: Resource) -> tuple[str, ...]:
    """How the resources of a resource policy begin when they are its owner's own."""
    names = {owner.logical_id, *_references([each for each in owner.properties.values() if _is_name(each)])}
    starts = ("<{}.Arn>", "<{}>", "arn:aws:s3:::<{}>", "arn:<AWS::Partition>:s3:::<{}>")
    return ("execute-api:/", *(start.format(name) for name in names for start in starts))


def _is_name(value: Any) -> bool:
    """Whether a property says what a policy is attached to, rather than being the policy."""
    return '"Effect"' not in json.dumps(value)


def _references(value: Any) -> set[str]:
    """Logical ids that a value refers to, by Ref or by one of their attributes."""
    match value:
        case {"Ref": str(name)}:
            return {name}
        case {"Fn::GetAtt": [name, _]}:
            return {flatten(name)}
        case dict():
            return set[str]().union(*(_references(each) for each in value.values()))
        case list():
            return set[str]().union(*(_references(each) for each in value))
        case _:
            return set()
