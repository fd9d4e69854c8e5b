"""Dangers to data: stateful resources replaced or deleted, and protections that are weakened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from delivery.dossier.model import Action, ResourceChange, StackChange, StatefulRisk
from delivery.dossier.sides import Stack, Thing
from delivery.dossier.stateful_types import KEPT_BY, PROTECTIONS, STATEFUL, Protection
from delivery.dossier.wording import capital, noun

_DANGEROUS = (Action.REPLACED, Action.MAYBE_REPLACED, Action.DELETED)


def risks_of(change: StackChange, before: Stack, after: Stack) -> list[StatefulRisk]:
    """What a stack's change does to what it holds."""
    found = [
        _loss(each, before, after)
        for each in change.resources
        if each.action in _DANGEROUS and _type_before(each, before) in STATEFUL
    ]
    return [*found, *_weakened(before, after)]


def _type_before(change: ResourceChange, before: Stack) -> str:
    return str(before.resources.get(change.logical_id, {}).get("Type", change.type))


def _loss(change: ResourceChange, before: Stack, after: Stack) -> StatefulRisk:
    old = before.resources.get(change.logical_id, {})
    new = after.resources.get(change.logical_id, {})
    deleted = change.action is Action.DELETED
    # What is deployed decides on deletion; on replacement the new template does.
    policy = old.get("DeletionPolicy", "Delete") if deleted else new.get("UpdateReplacePolicy", "Delete")
    fate = "what it holds goes with it" if deleted else "the old one is deleted with what it holds"
    if policy in ("Retain", "RetainExceptOnCreate"):
        fate = "the old one is kept, but nothing uses it any more"
    elif policy == "Snapshot":
        fate = "a snapshot is kept"
    type_name = _type_before(change, before)
    cause = f" ({change.because})" if change.because else ""
    return StatefulRisk(
        stack=after.name,
        logical_id=change.logical_id,
        label=change.label,
        type=type_name,
        kind=change.action.value,  # pyright: ignore[reportArgumentType]  (one of _DANGEROUS)
        what=f"{capital(noun(type_name))} {change.label} is {_verb(change.action)}{cause}: {fate}",
        why=STATEFUL[type_name],
    )


def _verb(action: Action) -> str:
    return {Action.MAYBE_REPLACED: "perhaps replaced"}.get(action, action.value)


def _weakened(before: Stack, after: Stack) -> Iterator[StatefulRisk]:
    for logical_id in sorted(before.resources.keys() & after.resources.keys()):
        old, new = before.resources[logical_id], after.resources[logical_id]
        thing = Thing(after, logical_id, new)
        if old.get("Type") != thing.type:
            continue
        for what, why in _weaker(thing.type, old, new):
            yield StatefulRisk(
                stack=after.name,
                logical_id=logical_id,
                label=thing.label,
                type=thing.type,
                kind="protection",
                what=f"{capital(noun(thing.type))} {thing.label} {what}",
                why=why,
            )


def _weaker(type_name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if type_name in STATEFUL:
        for name in ("DeletionPolicy", "UpdateReplacePolicy"):
            was, now = old.get(name, "Delete"), new.get(name, "Delete")
            if was in KEPT_BY and now in KEPT_BY and KEPT_BY.index(now) > KEPT_BY.index(was):
                yield f"is no longer kept by its {name} ({was}, now {now})", STATEFUL[type_name]
    for protection in PROTECTIONS.get(type_name, ()):
        was, now = _at(old, protection.path), _at(new, protection.path)
        if was != now and _is_weaker(protection, was, now):
            shown = f"{_shown(was)}, now {_shown(now)}"
            yield protection.without, f"{protection.path} was {shown}"


def _is_weaker(protection: Protection, was: Any, now: Any) -> bool:
    match protection.rule:
        case "on":
            return _is_true(was) and not _is_true(now)
        case "off":
            return not _is_true(was) and _is_true(now)
        case "present":
            return was not in (None, "", [], {}) and now in (None, "", [], {})
        case "equals":
            return was == protection.value
        case "more":
            # No number at all keeps longest, or is the service's default: only numbers can be compared.
            return _number(was) is not None and _number(now) is not None and _less(now, was)


def _at(definition: Mapping[str, Any], path: str) -> Any:
    value: Any = definition.get("Properties") or {}
    for part in path.split("."):
        value = cast("Mapping[str, Any]", value).get(part) if isinstance(value, Mapping) else None
    return value


def _is_true(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _less(now: Any, was: Any) -> bool:
    return float(now) < float(was)


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    return (
        "set"
        if isinstance(value, Mapping | list)
        else str(value).lower()
        if value in (True, False)
        else str(value)
    )
