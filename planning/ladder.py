"""The ladder from half a million to a billion images a day: capacity, bill, quotas, simulation of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from planning.capacity import Capacity, plan
from planning.hosting import Hosting
from planning.monthly_cost import Bill, monthly
from planning.provision import Provision
from planning.quotas import ALL, Need, Quota, exceeded, needs
from planning.simulation.outcome import Outcome
from planning.simulation.run import simulate
from planning.simulation.scenario import (
    HALVES,
    STEP,
    WITHIN_A_MINUTE,
    Scenario,
    as_the_workload_says,
    cell,
    halved,
    may_be_halved,
)
from planning.workload import Workload

RUNGS = (500_000, 5_000_000, 50_000_000, 500_000_000, 1_000_000_000)
SEEDS = (1, 2, 3)
# Modes without instances, with the memory that is their default.
ON_EXECUTIONS = (Hosting(mode="serverless", memory_mb=2048), Hosting(mode="lambda", memory_mb=1769))
# The peak, and as many records in the stream as its consumers work off within the goal.
WITH_BACKLOG = replace(WITHIN_A_MINUTE, backlog=12_000)
_FEWEST, _MOST = 1_000, 10**12
_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Rung:
    """One amount of work, and all that the plan says about it."""

    capacity: Capacity
    bill: Bill
    exceeded: tuple[Need, ...]

    @property
    def workload(self) -> Workload:
        """What is asked for."""
        return self.capacity.workload

    @property
    def provision(self) -> Provision:
        """What is provided."""
        return self.capacity.provision


@dataclass(frozen=True)
class Breaking:
    """A quota, and from how many images a day on AWS's default is not enough."""

    quota: Quota
    images_per_day: int


def rung(workload: Workload, hosting: Hosting | None = None) -> Rung:
    """The plan for a workload, its bill, and the quotas that it exceeds."""
    capacity = plan(workload, hosting=hosting)
    found = needs(workload, capacity.provision)
    return Rung(capacity, monthly(workload, capacity.provision), exceeded(found))


def rungs(usual: Workload | None = None) -> tuple[Rung, ...]:
    """The ladder: the usual workload, with more and more images."""
    usual = usual or Workload()
    return tuple(rung(replace(usual, images_per_day=images)) for images in RUNGS)


def breaking(usual: Workload | None = None) -> tuple[Breaking, ...]:
    """The quotas in the order in which growth breaks them; those that a trillion do not are left out."""
    usual = usual or Workload()
    found = (Breaking(quota, first) for quota in ALL if (first := _first(usual, quota)) is not None)
    return tuple(sorted(found, key=lambda each: each.images_per_day))


def _first(usual: Workload, quota: Quota) -> int | None:
    """The fewest images a day that exceed a quota, to a hundredth. Needs grow with images."""

    def breaks(images: int) -> bool:
        workload = replace(usual, images_per_day=images)
        found = needs(workload, plan(workload).provision)
        return any(each.exceeds() for each in found if each.quota == quota)

    if not breaks(_MOST):
        return None
    low, high = _FEWEST, _MOST
    while high > low * 1.01:
        middle = int((low * high) ** 0.5)
        low, high = (low, middle) if breaks(middle) else (middle, high)
    return high


def climb(found: Rung, seed: int) -> Outcome:
    """The rung's rise and peak, in full length, on the rung or an equal part of it."""
    part = cell(found.workload, found.provision)
    return simulate(part.workload, part.provision, as_the_workload_says(part.workload), seed)


def step(workload: Workload, provision: Provision, seed: int, scenario: Scenario | None = None) -> Outcome:
    """A peak that comes at once (without instances: within a minute), on the whole or an equal part of it."""
    part = cell(workload, provision)
    sudden = STEP if provision.hosting.has_instances else WITHIN_A_MINUTE
    return simulate(part.workload, part.provision, scenario or sudden, seed)


def halves(found: Rung, seed: int) -> Iterator[tuple[str, float, Outcome]]:
    """Each provisioned number halved, one at a time: its name, the half, and what becomes of the peak."""
    for field in may_be_halved(found.provision):
        provision = halved(found.provision, field)
        yield HALVES[field], getattr(provision, field), step(found.workload, provision, seed)


def fingerprint() -> str:
    """Changes with everything that the ladder's simulations depend on: plans, figures and the simulation."""
    seen = hashlib.sha256()
    for each in rungs():
        seen.update(repr((each.workload, each.provision)).encode())
    for hosting in ON_EXECUTIONS:
        seen.update(repr(plan(Workload(), hosting=hosting).provision).encode())
    for path in (_HERE / "measured.py", *sorted((_HERE / "simulation").glob("*.py"))):
        seen.update(path.read_bytes())
    return seen.hexdigest()[:16]
