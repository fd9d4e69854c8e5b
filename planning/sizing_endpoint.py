"""Sizes the endpoint: instance type and count, the most that it scales to, and when it scales."""

from __future__ import annotations

import math

from planning import measured
from planning.explained import Explained, Input
from planning.hardware import FAMILY, LADDER, MANY_INSTANCES, vcpus
from planning.workload import Workload

# Requests that meet by chance wait for each other; beyond this share of its time a queue grows quickly.
UTILISATION = 0.7
# Canary and linear deployments need two, in two zones.
FEWEST = 2
# Rounded down to these steps: a fleet that grows early costs a little, one that grows late costs answers.
_TARGET_STEPS = (50, 10, 1)


def instance_type(workload: Workload) -> Explained:
    """The smallest size with which the fleet of the peak is not too many machines to replace."""
    chosen = next(
        (
            kind
            for kind in (f"{FAMILY}.{size}" for size in LADDER)
            if _count(workload, workload.peak_per_second, kind) <= MANY_INSTANCES
        ),
        f"{FAMILY}.{LADDER[-1]}",
    )
    return Explained(
        key="hosting.instance_type",
        title="instance type of the endpoint",
        value=chosen,
        unit="",
        formula=f"the smallest {FAMILY} with which the peak takes at most {MANY_INSTANCES}: sizes cost the "
        "same for a vCPU, small ones follow the load more closely, and every deployment brings up a second "
        "fleet",
        inputs=(workload.peak_input(), workload.given("model_ms", "ms of one vCPU"), _utilisation()),
    )


def instances(workload: Workload, kind: str) -> Explained:
    """Instances that always run."""
    return Explained(
        key="hosting.instance_count",
        title="instances of the endpoint, at least",
        value=max(FEWEST, _count(workload, _reached_while_reacting(workload), kind)),
        unit=f"x {kind}",
        formula="(mean + what load grows by until new instances answer) x model's work / (vCPUs x "
        f"utilisation), at least {FEWEST} for canaries and two zones",
        inputs=(
            _mean(workload),
            *_growth(workload),
            workload.given("model_ms", "ms of one vCPU"),
            _vcpus(kind),
            _utilisation(),
        ),
    )


def most_instances(workload: Workload, kind: str, fewest: int) -> Explained:
    """Instances that the peak needs."""
    return Explained(
        key="hosting.max_instance_count",
        title="instances of the endpoint, at most",
        value=max(fewest, _count(workload, workload.peak_per_second, kind)),
        unit=f"x {kind}",
        formula="peak x model's work / (vCPUs x utilisation); the same number as the least: no scaling",
        inputs=(
            workload.peak_input(),
            workload.given("model_ms", "ms of one vCPU"),
            _vcpus(kind),
            _utilisation(),
        ),
    )


def target(workload: Workload, kind: str) -> Explained:
    """Invocations of an instance and minute at which the fleet grows."""
    mean, reached = workload.mean_per_second, _reached_while_reacting(workload)
    value = full_per_second(workload, kind) * UTILISATION * 60 * mean / reached
    return Explained(
        key="hosting.target_invocations_per_instance",
        title="scaling target of the endpoint",
        value=max(
            1, next(found for step in _TARGET_STEPS if (found := int(value // step) * step) or step == 1)
        ),
        unit="invocations/instance/minute",
        formula="vCPUs / model's work x utilisation x 60, times mean / (mean + growth until new instances "
        "answer): what comes meanwhile must still fit; rounded down",
        inputs=(
            _vcpus(kind),
            workload.given("model_ms", "ms of one vCPU"),
            _utilisation(),
            _mean(workload),
            *_growth(workload),
        ),
    )


def full_per_second(workload: Workload, kind: str) -> float:
    """Images a second of an instance that never rests."""
    return vcpus(kind) * 1000 / workload.model_ms


def reaction_seconds() -> float:
    """From the load's growth to an instance that helps to carry it."""
    return measured.ALARM_SECONDS.value + measured.START_SECONDS.value


def _count(workload: Workload, per_second: float, kind: str) -> int:
    return math.ceil(round(per_second / (full_per_second(workload, kind) * UTILISATION), 9))


def _reached_while_reacting(workload: Workload) -> float:
    growth = workload.growth_per_second_each_second * reaction_seconds()
    return min(workload.peak_per_second, workload.mean_per_second + growth)


def _mean(workload: Workload) -> Input:
    return Input(
        name="mean",
        value=round(workload.mean_per_second, 2),
        unit="images/s",
        source="setting workload.images_per_day",
    )


def _growth(workload: Workload) -> tuple[Input, ...]:
    grown = _reached_while_reacting(workload) - workload.mean_per_second
    return (
        Input(
            name="growth until new instances answer",
            value=round(grown, 2),
            unit="images/s",
            source="settings workload.peak_factor and workload.rise_minutes",
        ),
        measured.ALARM_SECONDS.as_input(),
        measured.START_SECONDS.as_input(),
    )


def _utilisation() -> Input:
    return Input(name="utilisation", value=UTILISATION, unit="", source="planning/sizing_endpoint.py")


def _vcpus(kind: str) -> Input:
    return Input(name="vCPUs of an instance", value=vcpus(kind), unit="", source=f"{kind}, by its size")
