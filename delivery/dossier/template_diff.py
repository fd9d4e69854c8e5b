"""How two templates differ: resource by resource, property by property, and what must be made anew."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from delivery.dossier import schemas
from delivery.dossier.model import Action, PropertyChange, ResourceChange
from delivery.dossier.sides import Stack, Thing, short_hashes, without_hashes

_SHOWN = 90  # characters of a value
_LEAD = 24  # characters shown in front of the first difference of long values
# What CloudFormation does not act upon.
_SILENT = ("Metadata", "DependsOn")


def resource_changes(before: Stack | None, after: Stack) -> dict[str, ResourceChange]:
    """What happens to each resource that differs, by logical id; `before` is None for a new stack."""
    old = before.resources if before else {}
    changes: dict[str, ResourceChange] = {}
    for logical_id in sorted(old.keys() | after.resources.keys()):
        if logical_id not in old:
            changes[logical_id] = _whole(Thing(after, logical_id, after.resources[logical_id]), Action.ADDED)
        elif before is not None and logical_id not in after.resources:
            changes[logical_id] = _whole(Thing(before, logical_id, old[logical_id]), Action.DELETED)
        elif _effective(old[logical_id]) != _effective(after.resources[logical_id]):
            thing = Thing(after, logical_id, after.resources[logical_id])
            changes[logical_id] = _changed(old[logical_id], thing)
    return changes


def _whole(thing: Thing, action: Action) -> ResourceChange:
    return ResourceChange(logical_id=thing.logical_id, label=thing.label, type=thing.type, action=action)


def _changed(old: Mapping[str, Any], thing: Thing) -> ResourceChange:
    found = dict(paths(_effective(old), _effective(thing.definition)))
    action, because = _fate(str(old.get("Type")), thing.type, found)
    hidden_code = without_hashes(_effective(old)) == without_hashes(_effective(thing.definition))
    return ResourceChange(
        logical_id=thing.logical_id,
        label=thing.label,
        type=thing.type,
        action=action,
        properties=tuple(property_change(path, *values) for path, values in found.items()),
        code_only=hidden_code,
        because=because,
    )


def _effective(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in definition.items() if key not in _SILENT}


def _fate(old_type: str, new_type: str, found: Mapping[str, tuple[Any, Any]]) -> tuple[Action, str]:
    """Whether the resource is changed in place or made anew, by CloudFormation's resource schema."""
    if old_type != new_type:
        return Action.REPLACED, f"its type was {old_type}"
    maybe = ""
    changed = [path.removeprefix("Properties/") for path in found if path.startswith("Properties/")]
    for path in changed:
        for fixed in schemas.create_only(new_type):
            if path == fixed or path.startswith(f"{fixed}/"):
                return Action.REPLACED, f"{path.replace('/', '.')} cannot change in place"
            if fixed.startswith(f"{path}/"):
                maybe = f"{fixed.replace('/', '.')} cannot change in place"
        for fixed in schemas.conditionally_create_only(new_type):
            if path == fixed or path.startswith(f"{fixed}/") or fixed.startswith(f"{path}/"):
                maybe = f"{path.replace('/', '.')} cannot always change in place"
    return (Action.MAYBE_REPLACED, maybe) if maybe else (Action.CHANGED, "")


def paths(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """The places where two values differ, as (path with slashes, (old, new)); lists count as one value."""
    if not (_is_structure(old) and _is_structure(new)):
        if old != new:
            yield prefix, (old, new)
        return
    for key in sorted(old.keys() | new.keys()):
        place = f"{prefix}/{key}" if prefix else str(key)
        yield from paths(old.get(key), new.get(key), place)


def _is_structure(value: Any) -> bool:
    """Whether a value has parts of its own; an intrinsic function is one value."""
    if not isinstance(value, Mapping):
        return False
    keys = list(cast("Mapping[str, Any]", value))
    return not (len(keys) == 1 and (keys[0] == "Ref" or keys[0].startswith("Fn::")))


def property_change(path: str, old: Any, new: Any) -> PropertyChange:
    """A changed value for reading: long values are cut around the first place where they differ."""
    before, after = _plain(old), _plain(new)
    start = 0
    if max(len(before), len(after)) > _SHOWN:
        same = next(
            (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
            min(len(before), len(after)),
        )
        start = max(0, same - _LEAD)
    shown = path.removeprefix("Properties/").replace("/", ".")
    return PropertyChange(path=shown, before=_cut(before, start), after=_cut(after, start))


def _plain(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return short_hashes(text)


def _cut(text: str, start: int) -> str:
    piece = text[start : start + _SHOWN]
    return ("…" if start and piece else "") + piece + ("…" if len(text) > start + _SHOWN else "")


def parameter_changes(before: Stack | None, after: Stack) -> tuple[PropertyChange, ...]:
    """Parameters whose declaration or default differs, without those that the CDK's bootstrap check adds."""
    return _section(before, after, "Parameters", ignored=("BootstrapVersion",))


def output_changes(before: Stack | None, after: Stack) -> tuple[PropertyChange, ...]:
    """Outputs whose value, description or export differs."""
    return _section(before, after, "Outputs", ignored=())


def _section(
    before: Stack | None, after: Stack, section: str, ignored: tuple[str, ...]
) -> tuple[PropertyChange, ...]:
    old = dict(before.template.get(section) or {}) if before else {}
    new = dict(after.template.get(section) or {})
    return tuple(
        property_change(name, _only_value(old.get(name)), _only_value(new.get(name)))
        for name in sorted(old.keys() | new.keys())
        if name not in ignored and old.get(name) != new.get(name)
    )


def _only_value(entry: Any) -> Any:
    return entry.get("Value", entry.get("Default", entry)) if isinstance(entry, Mapping) else entry
