"""Grants in plain words: who may do what on which thing, and under which conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from delivery.dossier.grants import Constraint, Element, Grant
from delivery.dossier.sides import Side, Thing, title

_REFERENCE = re.compile(r"<([^<>]+)>")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")
_MANAGED = "all of managed policy "
_NAMES = {"AWS::ApiGateway::RestApi": "REST API", "AWS::ECR::Repository": "image repository"}
_OPERATORS = {
    "StringEquals": "is",
    "ArnEquals": "is",
    "Bool": "is",
    "NumericEquals": "is",
    "StringLike": "is like",
    "ArnLike": "is like",
    "IpAddress": "is in",
    "StringNotEquals": "is not",
    "ArnNotEquals": "is not",
    "StringNotLike": "is not like",
    "ArnNotLike": "is not like",
    "NotIpAddress": "is not in",
    "NumericLessThan": "is below",
    "NumericGreaterThan": "is above",
    "Null": "is missing:",
}


def noun(type_name: str) -> str:
    """A resource type as people say it: `AWS::DynamoDB::Table` is a table."""
    if type_name in _NAMES:
        return _NAMES[type_name]
    last = type_name.rsplit("::", 1)[-1]
    return " ".join(
        word if word.isupper() and len(word) > 1 else word.lower() for word in _WORDS.findall(last)
    )


def capital(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]


def joined(items: Iterable[str], last: str = "and") -> str:
    """Words in a row: `a, b and c`."""
    every = list(items)
    return every[0] if len(every) == 1 else f"{', '.join(every[:-1])} {last} {every[-1]}" if every else ""


class Wording:
    """Words for what grants name; what is gone is looked up on the other side."""

    def __init__(self, *sides: Side) -> None:
        self._things: dict[str, Thing] = {}
        self._titles: dict[str, str] = {}
        for side in reversed(sides):
            for identity, thing in side.things.items():
                self._things[identity] = thing
                self._titles[identity] = title(thing.stack, *sides)

    def thing(self, identity: str, *, stack: bool = True) -> str:
        """A resource: `role Predict/Role (vision-prod-inference)`."""
        thing = self._things.get(identity)
        if thing is None:
            return self.resolved(identity)
        kind = noun(thing.type)
        place = f" ({self._titles[identity]})" if stack else ""
        return f"{kind} {thing.label}{place}"

    def subject(self, identity: str) -> str:
        """A resource at the beginning of a sentence; what has only a name keeps it as it is."""
        named = identity not in self._things and not identity.startswith("AWS::")
        return identity if named else capital(self.thing(identity))

    def resolved(self, text: str, home: str = "") -> str:
        """Text with words for the references in it; the stack is named where it is not that of `home`."""

        def words(found: re.Match[str]) -> str:
            identity, attribute = found.group(1), ""
            if identity not in self._things:
                identity, _, attribute = identity.rpartition(".")
            if identity not in self._things:
                return found.group(1)
            elsewhere = self._titles[identity] != self._titles.get(home)
            said = self.thing(identity, stack=elsewhere)
            return said if attribute in ("", "Arn") else f"{attribute} of {said}"

        if text.startswith("AWS::"):
            kind, _, rest = text.partition(" ")
            return f"{noun(kind)} {rest.split(' ')[0]}"
        return _REFERENCE.sub(words, text)

    def resource(self, element: Element, home: str) -> str:
        """What a permission is about."""
        if element.excluded:
            return f"everything but {joined(self.resolved(each, home) for each in element.excluded)}"
        return "any resource" if element.pattern == "*" else self.resolved(element.pattern, home)

    def action(self, element: Element) -> str:
        """What a permission allows to do."""
        if element.excluded:
            return f"every action but {joined(element.excluded)}"
        if element.pattern.startswith(_MANAGED):
            return f"everything that the managed policy {element.pattern.removeprefix(_MANAGED)} allows"
        return "every action" if element.pattern == "*" else element.pattern

    def principal(self, element: Element, home: str) -> str:
        """Who is allowed something."""
        if element.excluded:
            return f"everybody but {joined(self._one(each, home) for each in element.excluded)}"
        return self._one(element.pattern, home)

    def _one(self, text: str, home: str) -> str:
        if text == "*":
            return "anybody"
        kind, _, who = text.partition(" ")
        root = re.fullmatch(r"arn:[^:]+:iam::(\d{12}):root", who)
        if root:
            return f"account {root.group(1)}"
        said = self.resolved(who, home)
        return f"the service {said}" if kind == "Service" else said

    def conditions(self, constraints: Iterable[Constraint], home: str) -> str:
        """The conditions that must all be met; empty where there are none."""
        return " and ".join(self._condition(each, home) for each in constraints)

    def _condition(self, constraint: Constraint, home: str) -> str:
        if constraint.operator == "Template":
            held = "holds" if constraint.values == ("true",) else "does not hold"
            return f"the template's condition {constraint.key} {held}"
        operator = constraint.operator.rpartition(":")[2]
        words = _OPERATORS.get(operator.removesuffix("IfExists"), operator)
        values = joined((self.resolved(each, home) for each in constraint.values), "or")
        some = {"ForAllValues": "every ", "ForAnyValue": "any "}.get(
            constraint.operator.partition(":")[0], ""
        )
        given = ", if given," if operator.endswith("IfExists") else ""
        return f"{some}{constraint.key}{given} {words} {values}"

    def sentence(self, grants: list[Grant], *, gained: bool, before: str = "") -> str:
        """What a group of grants says, that differ in actions or resources only."""
        first = grants[0]
        home = first.holder
        actions = joined(sorted({self.action(each.action) for each in grants}))
        resources = joined(sorted({self.resource(each.resource, home) for each in grants}))
        condition = self.conditions(first.conditions, home)
        holder = self.subject(home)
        if first.facet == "trust":
            verb = "may now be assumed by" if gained else "may no longer be assumed by"
            if first.effect == "Deny":
                verb = "no longer refuses" if gained else "now refuses"
            who = self.principal(first.principal, home)
            plain = {each.action.pattern for each in grants} <= {"sts:AssumeRole"}
            text = f"{holder} {verb} {who}{'' if plain else f' ({actions})'}"
        elif first.facet == "identity":
            verbs = {
                ("Allow", True): "may now do:",
                ("Allow", False): "may no longer do:",
                ("Deny", True): "is no longer denied:",
                ("Deny", False): "is now denied:",
            }
            about = "" if first.action.pattern.startswith(_MANAGED) else f" on {resources}"
            text = f"{holder} {verbs[first.effect, gained]} {actions}{about}"
        else:
            who = self.principal(first.principal, home)
            verbs = {
                ("Allow", True): f"now lets {who} do:",
                ("Allow", False): f"no longer lets {who} do:",
                ("Deny", True): f"no longer denies {who}:",
                ("Deny", False): f"now denies {who}:",
            }
            own = resources in ("any resource", self.thing(home, stack=False))
            text = f"{holder} {verbs[first.effect, gained]} {actions}{'' if own else f' on {resources}'}"
        text += f", if {condition}" if condition else ""
        return text + (f" (before only if {before})" if before else "")
