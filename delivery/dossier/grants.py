"""Policies in their smallest parts, and whether one part allows (or denies) all that another one does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

Facet = Literal["identity", "trust", "resource"]
# Operators whose condition gets narrower with every value: they hold when the value is none of the listed.
_NEGATED = re.compile(r"Not(Equals|Like|IpAddress)|NotEqualsIgnoreCase")
_ROOT = re.compile(r"^AWS arn:[^:]+:iam::(\d{12}):root$")
_ARN_ACCOUNT = re.compile(r"^AWS arn:[^:]+:(?:iam|sts)::(\d{12}):")


@dataclass(frozen=True, order=True)
class Constraint:
    """One condition: an operator on a key with values, any of which will do (none of them, if negated)."""

    operator: str
    key: str
    values: tuple[str, ...]

    def holds_whenever(self, other: Constraint) -> bool:
        """Whether this condition is met in every case in which `other` is."""
        same = self.operator in (other.operator, f"{other.operator}IfExists")
        if self.key.lower() != other.key.lower() or not same:
            return False
        if self.operator != other.operator and _NEGATED.search(self.operator):
            return False
        mine, others = set(self.values), set(other.values)
        if _NEGATED.search(self.operator):
            return mine <= others
        if "Like" in self.operator:
            return all(any(matches(pattern, value) for pattern in mine) for value in others)
        return others <= mine


@dataclass(frozen=True, order=True)
class Element:
    """Actions, resources or principals: one pattern, or everything but some (`excluded`)."""

    pattern: str = ""
    excluded: tuple[str, ...] = ()

    def covers(self, other: Element) -> bool:
        """Whether all that `other` names is named here. False where it cannot be told."""
        if not self.excluded:
            return matches(self.pattern, other.pattern) if not other.excluded else self.pattern == "*"
        if other.excluded:
            return all(any(matches(broad, narrow) for broad in other.excluded) for narrow in self.excluded)
        literal = not set(other.pattern) & {"*", "?"}
        return literal and not any(matches(each, other.pattern) for each in self.excluded)

    def lowered(self) -> Element:
        """The same in small letters: IAM does not tell them apart in actions."""
        return Element(self.pattern.lower(), tuple(each.lower() for each in self.excluded))


@dataclass(frozen=True, order=True)
class Grant:
    """That something may (or, denied, may not) be done: one action, one resource, one principal.

    `holder` is what the policy is attached to: the role itself for identity and trust policies. `principal`
    is empty in identity policies, `resource` in trust policies.
    """

    facet: Facet
    holder: str
    effect: Literal["Allow", "Deny"]
    principal: Element
    action: Element
    resource: Element
    conditions: tuple[Constraint, ...] = ()

    def covers(self, other: Grant, account: str) -> bool:
        """Whether this says all that `other` says, about the same holder, in an account's policies."""
        return self.covers_but_for_conditions(other, account) and all(
            any(mine.holds_whenever(theirs) for theirs in other.conditions) for mine in self.conditions
        )

    def covers_but_for_conditions(self, other: Grant, account: str) -> bool:
        """The same, whatever the conditions."""
        return (
            (self.facet, self.holder, self.effect) == (other.facet, other.holder, other.effect)
            and _names_principal(self.principal, other.principal, account)
            and self.action.lowered().covers(other.action.lowered())
            and self.resource.covers(other.resource)
        )


def _names_principal(broad: Element, narrow: Element, account: str) -> bool:
    if broad == narrow or broad.pattern == "*":
        return True
    if broad.excluded or narrow.excluded:
        return False
    # Another account as a whole stands for each of its roles. Within an account it does not: there a role
    # that is named needs no further permission, and one that is not needs an identity policy as well.
    root, named = _ROOT.match(broad.pattern), _ARN_ACCOUNT.match(narrow.pattern)
    return bool(root and named and root.group(1) == named.group(1) != account)


def matches(pattern: str, text: str) -> bool:
    """Whether an IAM pattern matches everything that `text`, itself perhaps a pattern, stands for."""
    return pattern == text or _compiled(pattern).fullmatch(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # A `?` is one character; the text's own `*` may stand for many.
    parts = {"*": ".*", "?": r"[^*]"}
    return re.compile("".join(parts.get(each) or re.escape(each) for each in pattern), re.DOTALL)
