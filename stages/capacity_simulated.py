"""The page about capacity: what the simulation says of the plan, and of less than the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from planning.explained import shown
from planning.ladder import (
    ON_EXECUTIONS,
    WITH_BACKLOG,
    Rung,
    climb,
    fingerprint,
    halves,
    rung,
    rungs,
    step,
)
from planning.simulation.scenario import cell, halved
from planning.workload import Workload, short

# The simulation's figures stand between these; the mark tells a test whether they are still the code's.
SIMULATED = ("<!-- simulated: {mark} -->", "<!-- end of simulated -->")
_SEED = 1


def simulation() -> str:
    """The figures of the simulation, which take a minute, with the mark of what they depend on."""
    ladder = rungs()
    lines = [
        SIMULATED[0].format(mark=fingerprint()),
        "",
        f"Load rises over {Workload().rise_minutes:g} minutes and stays at its peak for "
        f"{Workload().peak_minutes:g} (seed {_SEED}). Goals: p99 within {Workload().latency_p99_ms:g} ms, "
        f"{Workload().availability_percent:g} % answered, records within "
        f"{Workload().stream_delay_seconds:g} s.",
        "",
        *table(
            ["images a day", "simulated part", "p50", "p95", "p99", "not answered", "oldest record", "goals"],
            [_climbed(each) for each in ladder],
        ),
        "",
        f"500k with each provisioned number halved, at a peak that comes at once (seed {_SEED}); the first "
        "row is the plan itself. What a stream on demand has at least is more than 500k need; at 5M half of "
        "its consumers fall behind (`tests/planning/test_simulation.py`).",
        "",
        *table(["halved", "to", "p99", "not answered", "oldest record", "goals"], list(_halved(ladder[0]))),
        "",
        "### Without instances",
        "",
        "500k in the modes without instances, with the memory that is their default: a peak that comes "
        f"within a minute, with {WITH_BACKLOG.backlog:,} records in the stream (seed {_SEED}); the plan, and "
        "half of its executions. A cold start is what AWS adds, ONNX Runtime's import, and the model's way "
        "from S3 into memory. Environments that are kept warm (`serverless_provisioned_concurrency`) are not "
        "in it: where load comes at once, they keep requests from waiting for those that start.",
        "",
        *table(
            ["mode", "executions", "p50", "p95", "p99", "cold starts", "not answered", "a month", "goals"],
            list(_on_executions()),
        ),
        "",
        SIMULATED[1],
        "",
    ]
    return "\n".join(lines)


def _climbed(found: Rung) -> list[str]:
    seen = climb(found, _SEED)
    part = cell(found.workload, found.provision)
    return [
        short(found.workload.images_per_day),
        "all" if part.share == 1 else f"1 / {1 / part.share:,.0f}",
        *(f"{each * 1000:.0f} ms" for each in (seen.p50, seen.p95, seen.p99)),
        f"{seen.refused_share:.3%}",
        f"{seen.iterator_age:.0f} s",
        "; ".join(seen.broken(part.workload)) or "held",
    ]


def _halved(usual: Rung) -> Iterator[list[str]]:
    whole = step(usual.workload, usual.provision, _SEED)
    for title, half, seen in (("nothing", None, whole), *halves(usual, _SEED)):
        yield [
            title,
            "" if half is None else shown(half),
            f"{seen.p99 * 1000:.0f} ms",
            f"{seen.refused_share:.3%}",
            f"{seen.iterator_age:.0f} s",
            "; ".join(seen.broken(usual.workload)) or "held",
        ]


def _on_executions() -> Iterator[list[str]]:
    for hosting in ON_EXECUTIONS:
        found = rung(Workload(), hosting)
        for provision in (found.provision, halved(found.provision, "executions")):
            seen = step(found.workload, provision, _SEED, WITH_BACKLOG)
            yield [
                f"{hosting.mode}, {hosting.memory_mb} MB",
                str(provision.executions),
                *(f"{each * 1000:.0f} ms" for each in (seen.p50, seen.p95, seen.p99)),
                str(seen.model_starts),
                f"{seen.refused_share:.3%}",
                f"${found.bill.total:,.0f}",
                "; ".join(seen.broken(found.workload)) or "held",
            ]


def kept(text: str) -> str:
    """The part of a page that the simulation wrote."""
    start = text.index(SIMULATED[0].partition("{")[0])
    return text[start : text.index(SIMULATED[1]) + len(SIMULATED[1])] + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown, line by line."""
    for row in (head, ["---"] * len(head), *rows):
        yield "| " + " | ".join(each.replace("|", "/") for each in row) + " |"
