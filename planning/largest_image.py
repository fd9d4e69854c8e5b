"""What the largest image takes that must be answered: by its megapixels, and no more than rules let in."""

from __future__ import annotations

from planning import measured
from planning.explained import Input
from planning.workload import Workload

# For the image, and 25% more: what Lambda's runtime and a request's own text take beside what was measured.
_MEMORY_HEADROOM = 1.25


def megabytes(workload: Workload) -> float:
    """Memory of a function that prepares it, in MB."""
    image = min(measured.MB_PER_MEGAPIXEL.value * workload.largest_megapixels, measured.LARGEST_MB.value)
    return (measured.BASE_MB.value + image) * _MEMORY_HEADROOM


def cpu_ms(workload: Workload, slowest: measured.Figure) -> float:
    """Work of preparing it, in ms of one vCPU; `slowest` is what the rules let in where it comes from."""
    return min(measured.CPU_MS_PER_MEGAPIXEL.value * workload.largest_megapixels, slowest.value)


def memory_mb(workload: Workload, slowest: measured.Figure, *, share: float = 1.0) -> float:
    """Memory in MB with which a function has room for it in `share` of all, and is done in half its time."""
    vcpus = cpu_ms(workload, slowest) / (measured.DECODE_SECONDS.value * 1000 / 2)
    return max(megabytes(workload) / share, min(vcpus, 1.0) * measured.VCPU_MB.value)


def inputs(workload: Workload, slowest: measured.Figure) -> tuple[Input, ...]:
    """What these numbers follow from."""
    figures = (
        measured.BASE_MB,
        measured.MB_PER_MEGAPIXEL,
        measured.LARGEST_MB,
        measured.CPU_MS_PER_MEGAPIXEL,
        slowest,
        measured.DECODE_SECONDS,
        measured.VCPU_MB,
    )
    return (workload.given("largest_megapixels", "MP"), *(each.as_input() for each in figures))
