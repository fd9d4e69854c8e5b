"""Puts a dossier together: reads both sides, compares them, and judges the risk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from delivery.dossier import cost, history, reports, stateful
from delivery.dossier import deployed as reading
from delivery.dossier.assembly import PlannedStack, pipeline_acknowledgements, planned_stacks
from delivery.dossier.change_sets import ChangeSet, ChangeSets
from delivery.dossier.deployed import Deployed
from delivery.dossier.faults import DossierError
from delivery.dossier.model import SCHEMA, Dossier, Permissions, StackChange, StatefulRisk
from delivery.dossier.permissions import compare
from delivery.dossier.session import Aws
from delivery.dossier.settings import Settings
from delivery.dossier.sides import Side, renamed, title
from delivery.dossier.stack_changes import stack_change

_THREADS = 8
_BROKEN = "_FAILED"


def make(settings: Settings, aws: Aws, now: datetime) -> Dossier:
    """The dossier of the deployment that the settings name, as of `now`.

    Raises:
        DossierError: it cannot be made, with the reason and the cure.
    """
    planned = planned_stacks(settings.assembly, settings.environment, settings.account)
    strange = sorted({each.stack.region for each in planned} - set(settings.regions))
    if strange:
        raise DossierError(f"the assembly deploys to {', '.join(strange)} as well: add it to TARGET_REGIONS")
    past = history.read(settings, aws.own("codepipeline"))
    there = reading.read(planned, settings.lookup_role, aws)
    told = _change_sets(settings, planned, there, aws)
    stacks = [_stack(each, there, told.get(_key(each))) for each in planned]
    before, after = _sides(planned, there)
    permissions = compare(before, after, settings.account)
    dangers = [
        risk
        for each, change in zip(planned, stacks, strict=True)
        if _key(each) in there.stacks
        for risk in stateful.risks_of(change, there.stacks[_key(each)].stack, each.stack)
    ]
    risks = _risks(permissions, dangers)
    s3 = aws.own("s3")
    last = reports.last_dossier(settings, past.commits.since, s3)
    accepted = [
        *(acknowledged for each in planned for acknowledged in each.acknowledgements),
        *pipeline_acknowledgements(settings.assembly),
    ]
    return Dossier(
        schema=SCHEMA,
        pipeline=settings.pipeline,
        execution=settings.execution,
        environment=settings.environment,
        account=settings.account,
        regions=settings.regions,
        made_at=now,
        first=not there.stacks,
        risk="confirm" if risks else "none",
        risks=tuple(risks),
        commits=past.commits,
        stacks=tuple(stacks),
        left_behind=tuple(title(each.stack, before, after) for each in there.left_behind),
        permissions=permissions,
        stateful=tuple(dangers),
        acknowledgements=reports.acknowledgements(accepted, past.commits.since, last),
        cost=cost.read(settings.assembly, settings.environment, past.commits.since, last),
        smoke=reports.smoke(settings, s3),
        rollback=past.rollback,
    )


def _key(planned: PlannedStack) -> tuple[str, str]:
    return planned.stack.region, planned.stack.name


def _change_sets(
    settings: Settings, planned: Sequence[PlannedStack], there: Deployed, aws: Aws
) -> dict[tuple[str, str], ChangeSet]:
    """A change set for every stack that exists, all at once; none is left when this returns or fails."""
    maker = ChangeSets(aws, settings.dossier_role, settings.execution)
    existing = [each for each in planned if _key(each) in there.stacks]
    with ThreadPoolExecutor(_THREADS) as threads:
        waiting = {_key(each): threads.submit(maker.look, each) for each in existing}
        try:
            return {key: each.result() for key, each in waiting.items()}
        except BaseException:
            # Stopped from outside: those that wait give up, delete their change set, and then this ends.
            maker.abandoned.set()
            raise


def _stack(planned: PlannedStack, there: Deployed, told: ChangeSet | None) -> StackChange:
    found = there.stacks.get(_key(planned))
    notes: list[str] = []
    if found and found.status.endswith(_BROKEN):
        notes.append(
            f"The stack is in the state {found.status}: it must be repaired before it can be deployed"
        )
    if _key(planned) in there.unusable:
        notes.append(f"A stack of this name exists, but empty, in the state {there.unusable[_key(planned)]}")
    return stack_change(found.stack if found else None, planned.stack, told, tuple(notes))


def _sides(planned: Sequence[PlannedStack], there: Deployed) -> tuple[Side, Side]:
    """The environment before and after; the pipeline deletes no stack that nothing plans any more."""
    left = [each.stack for each in there.left_behind]
    before = Side([*(each.stack for each in there.stacks.values()), *left])
    after = Side([*(each.stack for each in planned), *left])
    return before, Side(after.stacks, renamed(before, after))


def _risks(permissions: Permissions, dangers: Iterable[StatefulRisk]) -> list[str]:
    """What must be confirmed, most serious first, in a sentence each."""
    order = ("deleted", "replaced", "may be replaced", "protection")
    listed = sorted(dangers, key=lambda each: order.index(each.kind))
    broader = permissions.gained if permissions.broadened else ()
    return [*(each.what for each in listed), *(each.sentence for each in broader)]
