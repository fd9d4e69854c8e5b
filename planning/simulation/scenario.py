"""What happens in a simulation: how load moves, what fails, how large a part is looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from planning import sizing_api, sizing_functions
from planning.explained import Explained
from planning.hardware import FAMILY, LADDER, vcpus
from planning.provision import Provision
from planning.workload import Workload

_MINUTE = 60.0
# Callers who send together do so this often at the mean; more often as load grows.
TOGETHER_EVERY_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Load over time: `quiet` seconds at the mean, a rise, and the peak. Only the peak is judged.

    `backlog` records come into the stream in the instant in which the peak begins. `instance_fails_at` is the
    second at which one instance of the endpoint stops answering for good; the fleet replaces it as it would
    start any other; nothing fails where there are no instances. `slow_from` and `slow_until` are when the
    model takes `slow_factor` times its time.
    """

    quiet: float = 30.0
    rise: float = 60.0
    peak: float = 300.0
    backlog: int = 0
    instance_fails_at: float | None = None
    slow_from: float = math.inf
    slow_until: float = math.inf
    slow_factor: float = 1.0

    @property
    def end(self) -> float:
        """When load ends; what is under way is still waited for."""
        return self.quiet + self.rise + self.peak

    @property
    def judged_from(self) -> float:
        """From when on requests count."""
        return self.quiet + self.rise

    def share_of_the_way(self, now: float) -> float:
        """How far load has risen from the mean (0) to the peak (1)."""
        return min(1.0, max(0.0, (now - self.quiet) / self.rise)) if self.rise else float(now >= self.quiet)


# A peak that comes at once, in its usual length: nothing has time to grow.
STEP = Scenario(quiet=30, rise=0, peak=900)
# Environments come with requests. In a single instant they all start at once, which asks for how long that
# takes, and not for how many of them there may be.
WITHIN_A_MINUTE = replace(STEP, rise=_MINUTE)


def as_the_workload_says(workload: Workload) -> Scenario:
    """The rise and the peak of the workload, in full length: what scaling must keep up with."""
    return Scenario(quiet=_MINUTE, rise=workload.rise_minutes * _MINUTE, peak=workload.peak_minutes * _MINUTE)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """An equal part of a platform that is too large to be simulated whole; `share` is how large a part.

    Arrivals at random, dealt out at random, are arrivals at random: each part sees what the whole sees, on
    its share of what is provisioned. It has smaller instances, and fractions of its share are left out; so it
    errs towards slow.
    """

    share: float
    workload: Workload
    provision: Provision


# So many vCPUs can be simulated in seconds.
_MOST_VCPUS = 24
_SMALLEST = f"{FAMILY}.{LADDER[0]}"
_FLEETS = range(6, _MOST_VCPUS // vcpus(_SMALLEST) + 1)


def cell(workload: Workload, provision: Provision) -> Cell:
    """The platform itself, or an equal part of it that is small enough. No part is rounded up."""
    if not provision.hosting.has_instances:
        return _without_instances(workload, provision)
    whole = vcpus(provision.instance_type)
    if provision.most_instances * whole <= _MOST_VCPUS:
        return Cell(share=1.0, workload=workload, provision=provision)
    ratio = provision.instances / provision.most_instances
    # The size at which least of the fleet is lost to rounding.
    fleet = max(_FLEETS, key=lambda count: math.floor(count * ratio) / (count * ratio))
    share = fleet * vcpus(_SMALLEST) / (provision.most_instances * whole)
    found = _part(workload, provision, share)
    return replace(
        found,
        provision=replace(
            found.provision,
            instance_type=_SMALLEST,
            instances=max(1, math.floor(fleet * ratio)),
            most_instances=fleet,
            target_per_instance_minute=provision.target_per_instance_minute * vcpus(_SMALLEST) / whole,
        ),
    )


def _without_instances(workload: Workload, provision: Provision) -> Cell:
    busy = workload.peak_per_second * workload.model_ms / 1000
    if busy <= _MOST_VCPUS:
        return Cell(share=1.0, workload=workload, provision=provision)
    found = _part(workload, provision, _MOST_VCPUS / busy)
    if not provision.executions:
        return found
    executions = _in_proportion(
        provision.executions,
        sizing_functions.executions(workload, provision.hosting, provision.consumers),
        sizing_functions.executions(found.workload, provision.hosting, found.provision.consumers),
    )
    return replace(found, provision=replace(found.provision, executions=executions))


def _part(workload: Workload, provision: Provision, share: float) -> Cell:
    """All of it but what serves the models."""
    part = replace(
        workload,
        images_per_day=max(1, round(workload.images_per_day * share)),
        simultaneous=max(1, round(workload.together * share)),
    )
    rate = provision.api_rate * share
    return Cell(
        share=share,
        workload=part,
        provision=replace(
            provision,
            api_rate=rate,
            api_burst=_in_proportion(
                provision.api_burst,
                sizing_api.burst(workload, provision.api_rate),
                sizing_api.burst(part, rate),
            ),
            predict_concurrency=_in_proportion(
                provision.predict_concurrency,
                sizing_api.concurrency(workload, provision.predict_memory_mb),
                sizing_api.concurrency(part, provision.predict_memory_mb),
            )
            if provision.predict_concurrency
            else None,
            shards=1,
            consumers_per_shard=max(1, math.floor(provision.consumers * share)),
        ),
    )


def _in_proportion(provisioned: int, whole: Explained, part: Explained) -> int:
    """What a part gets of something that is kept against chance, which does not divide: as large a share of
    its own need as the whole has of the whole's."""
    return max(1, math.floor(provisioned * float(part.value) / float(whole.value)))


# What the simulation may halve, and how it is called; all are on the way of an image.
HALVES: Mapping[str, str] = {
    "api_rate": "API throttle, rate",
    "api_burst": "API throttle, burst",
    "predict_memory_mb": "memory of the adapter",
    "predict_concurrency": "concurrency of the adapter",
    "instances": "instances of the endpoint",
    "executions": "executions of the model",
    "consumers_per_shard": "batches of a shard at once",
    "consume_memory_mb": "memory of the consumer",
}


# Numbers that are kept for another reason than load, up to this: half of them may well carry it.
KEPT_ANYWAY: Mapping[str, int] = {"consumers_per_shard": 2}


def may_be_halved(provision: Provision) -> tuple[str, ...]:
    """Fields whose number is there for the load alone."""
    return tuple(each for each in HALVES if getattr(provision, each) > KEPT_ANYWAY.get(each, 1))


def halved(provision: Provision, field: str) -> Provision:
    """The provision with one number halved, rounded down, to no less than 1. Raises KeyError."""
    if field not in HALVES:
        raise KeyError(field)
    value = getattr(provision, field)
    half = value / 2 if isinstance(value, float) else max(1, value // 2)
    if field == "instances":
        return replace(provision, instances=half, most_instances=max(half, provision.most_instances // 2))
    return replace(provision, **{field: half})
