"""Sizes the synchronous path: the API's throttles, and the adapter's memory and concurrency."""

from __future__ import annotations

import math
from statistics import NormalDist

from planning import largest_image, measured
from planning.explained import Explained, Input
from planning.hardware import lambda_vcpus
from planning.workload import Workload

# Above the busiest minute: what callers try again, and that a minute is not even in itself.
HEADROOM = 1.25
COUNT_STEP = 10
_RATE_STEP, MEMORY_STEP = 5, 64
# The smallest memory of a Lambda function that is of use here, in MB.
LEAST_MEMORY = 256


def rate(workload: Workload) -> Explained:
    """Requests a second that the API lets in for each method."""
    return Explained(
        key="api.rate_per_second",
        title="API throttle, rate",
        value=up(workload.peak_per_second * HEADROOM, _RATE_STEP),
        unit="requests/s for each method",
        formula="the peak of all paths, which callers may choose between, times the headroom, "
        f"in steps of {_RATE_STEP}",
        inputs=(workload.peak_input(), _headroom()),
    )


def burst(workload: Workload, rate_per_second: float) -> Explained:
    """Requests that the API lets in at once, after a quiet moment."""
    return Explained(
        key="api.burst",
        title="API throttle, burst",
        value=up(workload.together + _fluctuation(workload, rate_per_second), COUNT_STEP),
        unit="requests at once",
        formula="images sent in the same instant, and as many tokens as chance takes from the bucket with a "
        "probability of 1 - availability: ln(1 / (1 - availability)) / (2 (1 - load) / load), "
        f"load = peak / rate, counted as no less than 1 / headroom; in steps of {COUNT_STEP}",
        inputs=(
            workload.given("simultaneous", "images"),
            workload.given("availability_percent", "%"),
            workload.peak_input(),
            Input(name="rate", value=rate_per_second, unit="requests/s", source="api.rate_per_second"),
            _headroom(),
        ),
    )


def memory(workload: Workload) -> Explained:
    """Memory of the adapter."""
    wanted = largest_image.memory_mb(workload, measured.SLOWEST_CPU_MS)
    return Explained(
        key="api.memory_mb",
        title="memory of the adapter",
        value=up(max(wanted, LEAST_MEMORY), MEMORY_STEP),
        unit="MB",
        formula="the share of a vCPU that prepares the largest image in half its time limit, or the memory "
        f"that it takes and 25% more, if that is more; at least {LEAST_MEMORY}, in steps of {MEMORY_STEP}",
        inputs=largest_image.inputs(workload, measured.SLOWEST_CPU_MS),
    )


def answer_seconds(workload: Workload, memory_mb: int) -> float:
    """How long the adapter works on an image when nothing waits."""
    cpu = (measured.IMAGE_CPU_MS.value + measured.ADAPTER_CPU_MS.value) / lambda_vcpus(memory_mb)
    return (cpu + measured.INVOKE_MS.value + workload.model_ms + measured.WRITE_MS.value) / 1000


def concurrency(workload: Workload, memory_mb: int) -> Explained:
    """Executions of the adapter at once."""
    busy = workload.sync_peak_per_second * answer_seconds(workload, memory_mb)
    return Explained(
        key="api.reserved_concurrency",
        title="concurrency of the adapter",
        value=int(up(workload.together + busy + by_chance(workload, busy), COUNT_STEP)),
        unit="executions at once",
        formula="images sent in the same instant, and peak of the synchronous path x time of an answer, with "
        f"what chance adds (z x its square root, z by the availability); in steps of {COUNT_STEP}",
        inputs=(
            workload.given("simultaneous", "images"),
            workload.sync_peak_input(),
            Input(
                name="time of an answer",
                value=round(answer_seconds(workload, memory_mb), 3),
                unit="s",
                source=f"(preparing + adapter) / {lambda_vcpus(memory_mb):.2f} vCPU + InvokeEndpoint + model "
                "+ write; planning/measured.py",
            ),
            workload.given("availability_percent", "%"),
        ),
    )


def _fluctuation(workload: Workload, rate_per_second: float) -> float:
    """Tokens that random arrivals take from a bucket beyond their mean, but for rare moments.

    The bucket's shortage is the queue of a server that random arrivals keep busy to `load`; its tail falls
    exponentially with 2 (1 - load) / load (Kingman's approximation in heavy traffic).
    """
    # What rounding adds to the rate is no reason for a smaller burst: more work would get less of it.
    load = min(max(workload.peak_per_second / rate_per_second, 1 / HEADROOM), 0.99)
    return math.log(1 / (1 - workload.availability_percent / 100)) / (2 * (1 - load) / load)


def by_chance(workload: Workload, busy: float) -> float:
    """What is at work at once beyond the mean `busy`, but for as rare moments as the availability allows."""
    # The normal approximation of Poisson's distribution is too low where little happens: half a step more.
    return NormalDist().inv_cdf(workload.availability_percent / 100) * math.sqrt(busy) + 0.5


def _headroom() -> Input:
    return Input(name="headroom", value=HEADROOM, unit="", source="planning/sizing_api.py")


def up(value: float, step: int) -> int:
    """The next multiple of `step`."""
    # Rounding errors must not cost a step.
    return math.ceil(round(value / step, 6)) * step
