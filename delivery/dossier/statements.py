"""Policy documents taken apart into grants, with both branches of everything that is conditional."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from delivery.dossier.grants import Constraint, Element, Facet, Grant
from delivery.dossier.sides import Side, Stack

# Conditions of the template under which something is there at all.
Gates = tuple[Constraint, ...]


class Documents:
    """Reads the policy documents of one side."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def grants(
        self, facet: Facet, holder: str, stack: Stack, document: Any, gates: Gates = ()
    ) -> Iterator[Grant]:
        """What a document of `stack`, attached to `holder`, allows and denies."""
        for whole, outer in alternatives(document):
            for item in listed(whole.get("Statement") if isinstance(whole, Mapping) else None):
                for statement, inner in alternatives(item):
                    yield from self._statement(facet, holder, stack, statement, gates + outer + inner)

    def _statement(
        self, facet: Facet, holder: str, stack: Stack, statement: Mapping[str, Any], gates: Gates
    ) -> Iterator[Grant]:
        effect: Literal["Allow", "Deny"] = "Deny" if statement.get("Effect") == "Deny" else "Allow"
        conditions = tuple(sorted((*self._conditions(stack, statement.get("Condition") or {}), *gates)))
        for principal, first in self._principals(stack, statement):
            for action, second in self._elements(stack, statement, "Action"):
                for resource, third in self._elements(stack, statement, "Resource"):
                    more = tuple(sorted({*conditions, *first, *second, *third}))
                    yield Grant(facet, holder, effect, principal, action, resource, more)

    def _elements(
        self, stack: Stack, statement: Mapping[str, Any], name: str
    ) -> Iterator[tuple[Element, Gates]]:
        if f"Not{name}" in statement:
            items = [self._side.text(stack, item) for item in listed(statement[f"Not{name}"])]
            yield Element("", tuple(sorted(items))), ()
        elif name in statement:
            for item in listed(statement[name]):
                for each, gates in alternatives(item):
                    for value in listed(each):
                        yield Element(self._side.text(stack, value)), gates
        else:
            yield Element(), ()

    def _principals(self, stack: Stack, statement: Mapping[str, Any]) -> Iterator[tuple[Element, Gates]]:
        negated = "NotPrincipal" in statement
        given = statement.get("NotPrincipal" if negated else "Principal")
        if given is None:
            yield Element(), ()
            return
        kinds = cast("Mapping[str, Any]", given if isinstance(given, Mapping) else {"AWS": given})
        named: list[tuple[str, Gates]] = []
        for kind, items in kinds.items():
            for item in listed(items):
                for each, gates in alternatives(item):
                    text = account_root(self._side.text(stack, each))
                    named.append(("*" if text == "*" and kind == "AWS" else f"{kind} {text}", gates))
        if negated:
            yield Element("", tuple(sorted(text for text, _ in named))), ()
        else:
            yield from ((Element(text), gates) for text, gates in named)

    def _conditions(self, stack: Stack, given: Mapping[str, Any]) -> Iterator[Constraint]:
        for operator, keys in given.items():
            if not isinstance(keys, Mapping):
                yield Constraint(operator, "", (self._side.text(stack, keys),))
                continue
            for key, values in cast("Mapping[str, Any]", keys).items():
                texts = sorted(self._side.text(stack, value) for value in listed(values))
                yield Constraint(operator, key, tuple(texts))


def alternatives(value: Any, gates: Gates = ()) -> Iterator[tuple[Any, Gates]]:
    """What a value may come to: both branches of every Fn::If, each with the condition that leads there."""
    match value:
        case {"Fn::If": [condition, yes, no]}:
            yield from alternatives(yes, (*gates, Constraint("Template", str(condition), ("true",))))
            yield from alternatives(no, (*gates, Constraint("Template", str(condition), ("false",))))
        case {"Ref": "AWS::NoValue"} | None:
            return
        case _:
            yield value, gates


def documents(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every policy document in a resource's properties, at any depth, also as JSON text."""
    if isinstance(value, str) and '"Statement"' in value:
        try:
            yield from documents(json.loads(value))
        except ValueError:
            return
    elif isinstance(value, Mapping):
        known = cast("Mapping[str, Any]", value)
        if any(isinstance(each, Mapping) and "Effect" in each for each in listed(known.get("Statement"))):
            yield known
        else:
            for inner in known.values():
                yield from documents(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from documents(inner)


def account_root(principal: str) -> str:
    """An account's number means its root."""
    return f"arn:aws:iam::{principal}:root" if principal.isdigit() and len(principal) == 12 else principal


def listed(value: Any) -> Sequence[Any]:
    """A list of what may be a list, one value or nothing."""
    if value is None:
        return []
    return cast("list[Any]", value) if isinstance(value, list) else [value]
