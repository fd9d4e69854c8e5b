"""Sizes hosting without instances: how many executions of the model are at work at once."""

from __future__ import annotations

from planning.explained import Explained, Input
from planning.hardware import lambda_vcpus
from planning.hosting import LIMITS, Hosting
from planning.sizing_api import COUNT_STEP, by_chance, up
from planning.workload import Workload

# A request is more than its inference: HTTP, parsing, and the answer's JSON.
OVERHEAD_SECONDS = 0.005


def request_seconds(model_seconds: float, memory_mb: int) -> float:
    """How long an execution has a request of one image, with what its memory brings of a vCPU."""
    return model_seconds / lambda_vcpus(memory_mb) + OVERHEAD_SECONDS


def executions(workload: Workload, hosting: Hosting, consumers: int) -> Explained:
    """Executions of the model at once; `consumers` of the stream ask beside the API.

    Raises KeyError for a mode with instances.
    """
    seconds = request_seconds(workload.model_ms / 1000, hosting.memory_mb)
    busy = workload.sync_peak_per_second * seconds
    return Explained(
        key=LIMITS[hosting.mode],
        title="executions of the model",
        value=up(workload.together + busy + by_chance(workload, busy) + consumers, COUNT_STEP),
        unit="executions at once",
        formula="images sent in the same instant, peak of the synchronous path x time of a request with what "
        "chance adds (z x its square root, z by the availability), and one for each consumer of the stream; "
        f"in steps of {COUNT_STEP}",
        inputs=(
            workload.given("simultaneous", "images"),
            workload.sync_peak_input(),
            Input(
                name="time of a request",
                value=round(seconds, 3),
                unit="s",
                source=f"setting workload.model_ms / {lambda_vcpus(hosting.memory_mb):.2f} vCPU, and HTTP",
            ),
            Input(
                name="consumers of the stream",
                value=consumers,
                unit="",
                source="streaming.shards x streaming.parallelization_factor",
            ),
            workload.given("availability_percent", "%"),
        ),
    )
