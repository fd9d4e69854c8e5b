"""A stack's changes: the templates' difference, put right by what CloudFormation says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from delivery.dossier import schemas
from delivery.dossier.change_sets import ChangeSet, Seen
from delivery.dossier.model import Action, Basis, PropertyChange, ResourceChange, StackChange
from delivery.dossier.sides import Stack, Thing
from delivery.dossier.template_diff import output_changes, parameter_changes, resource_changes

NEW_STACK = "the stack does not exist yet: everything in its template is new"


def stack_change(
    before: Stack | None, after: Stack, told: ChangeSet | None, notes: tuple[str, ...] = ()
) -> StackChange:
    """What happens to one stack; `before` and `told` are None for a stack that does not exist yet."""
    changes = resource_changes(before, after)
    by_change_set = told is not None and not told.unavailable
    if told is not None and by_change_set:
        changes = _put_right(changes, told, before, after)
    return StackChange(
        name=after.name,
        account=after.account,
        region=after.region,
        first=before is None,
        basis=Basis.CHANGE_SET if by_change_set else Basis.TEMPLATE,
        basis_because="" if by_change_set else (told.unavailable if told else NEW_STACK),
        resources=tuple(changes.values()),
        parameters=parameter_changes(before, after),
        outputs=output_changes(before, after),
        notes=(*notes, told.note) if told and told.note else notes,
    )


def _put_right(
    changes: Mapping[str, ResourceChange], told: ChangeSet, before: Stack | None, after: Stack
) -> dict[str, ResourceChange]:
    """CloudFormation's list, with the values of the templates' difference.

    What only the templates tell, such as a reference that comes to the same value, does not happen. Nor does
    what CloudFormation lists because it might follow another resource, when that one stays what it is: each
    round settles what the round before has left sure.
    """
    listed = [each for each in sorted(told.changes, key=lambda each: each.logical_id) if _is_effective(each)]
    fates = {each.logical_id: Action.REPLACED for each in listed}
    while True:
        found = dict[str, ResourceChange]()
        for each in listed:
            known = changes.get(each.logical_id)
            seen = _settled(each, known, fates, after)
            if seen is None:
                continue
            known = known or _only_told(seen, before, after)
            action, because = _fate(seen, known)
            found[each.logical_id] = known.model_copy(update={"action": action, "because": because})
        settled = {key: change.action for key, change in found.items()}
        if settled == fates:
            return found
        fates = settled


def _is_effective(seen: Seen) -> bool:
    return seen.action != "Modify" or seen.scope != frozenset({"Metadata"})


def _settled(
    seen: Seen, known: ResourceChange | None, fates: Mapping[str, Action], after: Stack
) -> Seen | None:
    """The change without the properties that follow only what stays; None when nothing is left of it."""
    if seen.action != "Modify" or seen.replacement == "True":
        return seen
    own = {change.path.split(".")[0] for change in known.properties} if known else set[str]()
    idle = {
        name
        for name, causes in seen.causes.items()
        if name not in own and all(_stays(cause, fates, after) for cause in causes)
    }
    left = {name: severity for name, severity in seen.recreation.items() if name not in idle}
    if not left and idle and seen.scope <= frozenset({"Properties", "Metadata"}):
        return None
    causes = {name: each for name, each in seen.causes.items() if name in left}
    harmless = idle and set(left.values()) <= {"Never"}
    replacement = "False" if harmless else seen.replacement
    return replace(seen, recreation=left, causes=causes, replacement=replacement)


def _stays(cause: str, fates: Mapping[str, Action], after: Stack) -> bool:
    """Whether what a property refers to keeps its value: nothing that happens to it changes that."""
    logical_id, _, attribute = cause.partition(".")
    if logical_id not in after.resources:
        return False
    fate = fates.get(logical_id)
    fixed = schemas.is_fixed(str(after.resources[logical_id].get("Type")), attribute)
    return fate is None or (fate is Action.CHANGED and fixed)


def _only_told(seen: Seen, before: Stack | None, after: Stack) -> ResourceChange:
    """A change that the template does not show: a reference's value changes, or the stack's tags do."""
    home = after if seen.logical_id in after.resources else before
    label = seen.logical_id
    if home is not None and seen.logical_id in home.resources:
        label = Thing(home, seen.logical_id, home.resources[seen.logical_id]).label
    properties = tuple(
        PropertyChange(path=name, before="", after=f"follows {', '.join(causes)}" if causes else "")
        for name in sorted(seen.recreation)
        for causes in [seen.causes.get(name, ())]
    )
    because = "its tags change" if seen.scope == frozenset({"Tags"}) else ""
    return ResourceChange(
        logical_id=seen.logical_id,
        label=label,
        type=seen.type,
        action=Action.CHANGED,
        properties=properties,
        because=because,
    )


def _fate(seen: Seen, known: ResourceChange) -> tuple[Action, str]:
    if seen.action == "Remove":
        return Action.DELETED, ""
    if seen.action in ("Add", "Import", "Dynamic"):
        return Action.ADDED, "imported" if seen.action == "Import" else ""
    always = [name for name, severity in seen.recreation.items() if severity == "Always"]
    if seen.replacement == "True":
        why = f"{', '.join(sorted(always))} cannot change in place" if always else known.because
        return Action.REPLACED, why
    if seen.replacement == "Conditional":
        return _conditional(seen, known, always)
    return Action.CHANGED, known.because if not known.because.endswith("in place") else ""


def _conditional(seen: Seen, known: ResourceChange, always: list[str]) -> tuple[Action, str]:
    """CloudFormation does not know yet: the new value is known at deployment only, or it never says.

    Where each property that it is unsure of may change in place by the resource's schema, it does.
    """
    if known.action is Action.REPLACED:
        return known.action, known.because
    if always:
        return Action.MAYBE_REPLACED, f"{', '.join(sorted(always))} is known at deployment only"
    fixed = schemas.create_only(seen.type) | schemas.conditionally_create_only(seen.type)
    unsure = [name for name, severity in seen.recreation.items() if severity == "Conditionally"]
    suspects = [name for name in unsure if any(path.split("/")[0] == name for path in fixed)]
    if schemas.is_known(seen.type) and unsure and known.action is Action.CHANGED:
        # A property with parts is unsure only where a part that differs is: the templates tell that.
        follows = [name for name in suspects if name in seen.causes]
        if not follows:
            return Action.CHANGED, known.because
        return Action.MAYBE_REPLACED, f"{', '.join(follows)} follows another resource"
    return Action.MAYBE_REPLACED, known.because or "CloudFormation cannot tell before the deployment"
