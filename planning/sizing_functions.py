"""Sizes hosting without instances: how many executions of the model are at work at once."""

from __future__ import annotations

import math

from planning.explained import Explained, Input
from planning.hardware import lambda_vcpus
from planning.hosting import LIMITS, Hosting
from planning.sizing_api import by_chance
from planning.workload import Workload

# A request is more than its inference: HTTP, parsing, and the answer's JSON.
OVERHEAD_SECONDS = 0.005
# Who finds no execution free is asked for once more, after a pause of any length up to this.
SECOND_TRY_SECONDS = 1.0
FEWEST = 2


def request_seconds(model_seconds: float, memory_mb: int) -> float:
    """How long an execution has a request of one image, with what its memory brings of a vCPU."""
    return model_seconds / lambda_vcpus(memory_mb) + OVERHEAD_SECONDS


def executions(workload: Workload, hosting: Hosting, consumers: int) -> Explained:
    """Executions of the model at once; `consumers` of the stream ask beside the API.

    Raises KeyError for a mode with instances.
    """
    seconds = request_seconds(workload.model_ms / 1000, hosting.memory_mb)
    patient = workload.latency_p99_ms >= SECOND_TRY_SECONDS * 1000
    together = workload.together * (seconds / SECOND_TRY_SECONDS if patient else 1)
    busy = workload.sync_peak_per_second * seconds
    by_load = busy + together if patient else busy
    return Explained(
        key=LIMITS[hosting.mode],
        title="executions of the model",
        value=max(FEWEST, math.ceil(busy + together + by_chance(workload, by_load)) + consumers),
        unit="executions at once",
        formula="peak of the synchronous path x time of a request; images sent in the same instant, which "
        "the adapter's second try spreads over a second where the latency's goal allows it; what chance adds "
        "(z x the square root, z by the availability); and one for each consumer of the stream, which a "
        f"backlog keeps busy; at least {FEWEST}",
        inputs=(
            workload.sync_peak_input(),
            Input(
                name="time of a request",
                value=round(seconds, 3),
                unit="s",
                source=f"setting workload.model_ms / {lambda_vcpus(hosting.memory_mb):.2f} vCPU, and HTTP",
            ),
            workload.given("simultaneous", "images"),
            Input(
                name="pause before the second try",
                value=SECOND_TRY_SECONDS,
                unit="s at most",
                source="lambda_src/vision_runtime, as botocore",
            ),
            workload.given("latency_p99_ms", "ms"),
            workload.given("availability_percent", "%"),
            Input(
                name="consumers of the stream",
                value=consumers,
                unit="",
                source="streaming.shards x streaming.parallelization_factor",
            ),
        ),
    )
