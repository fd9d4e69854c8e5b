"""How permissions change between two sides: what is gained, which broadens them, and what is lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from delivery.dossier.grants import Constraint, Element, Grant
from delivery.dossier.model import PermissionChange, Permissions
from delivery.dossier.policies import Policies, policies_of
from delivery.dossier.sides import Side
from delivery.dossier.wording import Wording


def compare(before: Side, after: Side, account: str) -> Permissions:
    """Compare all policies by what they mean; order, spelling and logical ids of policies do not matter.

    Gained is what is newly allowed, or allowed under weaker conditions, a principal newly trusted, a denial
    or a permissions boundary lost. Where nothing is deployed yet, nothing counts as broadened.
    """
    old, new = policies_of(before), policies_of(after)
    words = Wording(after, before)
    gained = _uncovered(new, old, "Allow", account)
    # A denial that goes with the thing that it protected gives nobody anything.
    undenied = {
        each for each in _uncovered(old, new, "Deny", account) if _is_left(each.holder, before, after)
    }
    lost = _uncovered(old, new, "Allow", account)
    gone = {each.holder for each in lost if not _is_left(each.holder, before, after)}
    denied = {each for each in _uncovered(new, old, "Deny", account) if _is_left(each.holder, after, before)}
    broader = [
        *_changes(gained, words, gained=True, earlier=old, account=account),
        *_changes(undenied, words, gained=True),
        *_boundaries(old, new, after, words),
        *_other_roles(old, new, words, account),
    ]
    narrower = [
        *_changes({each for each in lost if each.holder not in gone}, words, gained=False),
        *_changes(denied, words, gained=False),
        *(_gone(holder, lost, words) for holder in sorted(gone)),
    ]
    return Permissions(
        gained=tuple(broader), lost=tuple(narrower), broadened=bool(broader) and bool(before.stacks)
    )


def _uncovered(some: Policies, others: Policies, effect: str, account: str) -> set[Grant]:
    """The grants of one side that no single grant of the other covers."""
    by_holder: dict[tuple[str, str], list[Grant]] = defaultdict(list)
    for grant in others.grants:
        by_holder[grant.facet, grant.holder].append(grant)
    return {
        grant
        for grant in some.grants - others.grants
        if grant.effect == effect
        and not any(other.covers(grant, account) for other in by_holder[grant.facet, grant.holder])
    }


def _is_left(holder: str, where: Side, there: Side) -> bool:
    """Whether a holder of one side is on the other as well, or is none of the templates' own."""
    return holder in there.things or holder not in where.things


class _Row(NamedTuple):
    """What grants told in one sentence have in common."""

    facet: str
    holder: str
    effect: str
    principal: Element
    conditions: tuple[Constraint, ...]
    before: tuple[Constraint, ...]


def _changes(
    grants: Iterable[Grant],
    words: Wording,
    *,
    gained: bool,
    earlier: Policies | None = None,
    account: str = "",
) -> list[PermissionChange]:
    by_resource: dict[tuple[_Row, Element], list[Grant]] = defaultdict(list)
    for each in sorted(grants):
        before = _earlier_conditions(each, earlier, account) if earlier else ()
        row = _Row(each.facet, each.holder, each.effect, each.principal, each.conditions, before)
        by_resource[row, each.resource].append(each)
    # Resources on which the same may be done are told together.
    told: dict[tuple[_Row, frozenset[Element]], list[Grant]] = defaultdict(list)
    for (row, _), group in by_resource.items():
        told[row, frozenset(each.action for each in group)].extend(group)
    return [_change(row, group, words, gained) for (row, _), group in told.items()]


def _change(row: _Row, group: list[Grant], words: Wording, gained: bool) -> PermissionChange:
    home = row.holder
    before = words.conditions(row.before, home)
    allowed = "trust" if row.facet == "trust" else "allow"
    return PermissionChange(
        sentence=words.sentence(group, gained=gained, before=before),
        holder=words.thing(home),
        actions=tuple(sorted({words.action(each.action) for each in group})),
        resource=", ".join(sorted({words.resource(each.resource, home) for each in group})),
        principal=words.principal(row.principal, home) if row.principal != Element() else "",
        condition=words.conditions(row.conditions, home),
        kind="deny" if row.effect == "Deny" else allowed,
    )


def _earlier_conditions(grant: Grant, earlier: Policies, account: str) -> tuple[Constraint, ...]:
    """The conditions under which the same was allowed before; empty where it was not allowed at all."""
    found = [
        other.conditions
        for other in earlier.grants
        if other.conditions and other.covers_but_for_conditions(grant, account)
    ]
    return min(found, key=lambda each: (len(each), each)) if found else ()


def _boundaries(old: Policies, new: Policies, after: Side, words: Wording) -> list[PermissionChange]:
    changes: list[PermissionChange] = []
    for identity, boundary in sorted(old.boundaries.items()):
        now = new.boundaries.get(identity)
        if now == boundary or identity not in after.things:
            continue
        holder = words.subject(identity)
        said = words.resolved(boundary)
        sentence = f"{holder} no longer has the permissions boundary {said}"
        if now is not None:
            sentence = f"{holder} has another permissions boundary: {words.resolved(now)} instead of {said}"
        changes.append(PermissionChange(sentence=sentence, holder=words.thing(identity), kind="boundary"))
    return changes


def _other_roles(old: Policies, new: Policies, words: Wording, account: str) -> list[PermissionChange]:
    """What works as another role than before, which may do more."""
    changes: list[PermissionChange] = []
    for identity, role in sorted(new.runs_as.items()):
        was = old.runs_as.get(identity)
        if was in (None, role):
            continue
        could = [each for each in old.grants if (each.facet, each.holder) == ("identity", was)]
        more = [
            each
            for each in new.grants
            if (each.facet, each.holder, each.effect) == ("identity", role, "Allow")
            and not any(other.covers(replace(each, holder=was), account) for other in could)
        ]
        known = any(each.holder == role for each in new.grants)
        if more or not known:
            meaning = "and thereby may do more" if known else "which is not known here"
            sentence = (
                f"{words.subject(identity)} now works as {words.thing(role)} instead of "
                f"{words.thing(str(was))}, {meaning}"
            )
            changes.append(PermissionChange(sentence=sentence, holder=words.thing(identity), kind="allow"))
    return changes


def _gone(holder: str, lost: set[Grant], words: Wording) -> PermissionChange:
    count = sum(each.holder == holder for each in lost)
    what = "permission" if count == 1 else "permissions"
    return PermissionChange(
        sentence=f"{words.subject(holder)} is deleted, with its {count} {what}",
        holder=words.thing(holder),
        kind="allow",
    )
