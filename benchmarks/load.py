"""`make bench-load`: the inference half under load, in a twin of its own with one deployed environment.

Phases: one caller (the adapter's overhead beside direct calls of the model server), an open loop at the mean
and at the peak of half a million images a day, callers in a closed loop, and a burst of claim checks. Each
must give back what went in: `lost: N` is what was sent, and neither answered nor refused with a reason.
The machine should do nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import load_burst, load_direct, load_images
from benchmarks.load_components import Usage, watched
from ops.models import outcome, start
from tests.faults import platform as platforms
from tests.faults.world import sample_data
from twin.console import dashboards, page

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "bench-load"
MEAN, PEAK = 5.8, 58.0  # requests per second: 500,000 images a day, and ten times that
CALLERS = 8
GOAL_OVERHEAD_MS, ENOUGH_REQUESTS = 10.0, 200
# The tiny settings of the fault tests, with a model that learns something and no throttling in the way.
SETTINGS: dict[str, dict[str, Any]] = {
    "training": {"hyperparameters": {"epochs": 4, "learning-rate": 0.002, "batch-size": 64, "seed": 17}},
    "hosting": {"strategy": "all_at_once"},
    "quality": {"period_seconds": 60},
    # Two cores carry some fifty a second. What comes beyond is refused, as with a plan: without a limit it
    # would wait in hundreds of environments, whose start takes what is left of the cores.
    "api": {"rate_per_second": 200, "burst": 400, "reserved_concurrency": 20},
}


@dataclass(frozen=True)
class Phase:
    """What one phase sent and what came of it."""

    name: str
    sent: int
    answered: int
    refused: dict[str, int]
    latencies_ms: list[float]
    seconds: float
    usage: Usage

    @property
    def lost(self) -> int:
        """What was neither answered nor refused with a reason."""
        return self.sent - self.answered - sum(self.refused.values())


def quantile(values: list[float], share: float) -> float:
    """The value below which `share` of all lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class Bench:
    """One environment under load."""

    def __init__(self, platform: platforms.Platform, bodies: list[bytes], content_type: str) -> None:
        self._platform, self._bodies, self._type = platform, bodies, content_type
        url = platform.home.output("ApiUrl").rstrip("/")
        self._host, _, stage = url.removeprefix("https://").partition("/")
        self._path = f"/{stage}/v1/predictions"
        wanted = json.loads((ROOT / "model" / "spec.json").read_text())["input"]
        self.input_bytes = wanted["height"] * wanted["width"] * wanted["channels"]

    def sync(self, name: str, **how: Any) -> Phase:
        """Requests of the synchronous API, from a process of their own."""
        order = {
            "address": "127.0.0.1",
            "port": self._platform.twin.port,
            "host": self._host,
            "path": self._path,
            "region": "us-east-1",
            "access_key": platforms.DEV,
            "secret_key": "test",
            "content_type": self._type,
            "bodies": load_images.encoded(self._bodies),
            **how,
        }
        with self.measured() as usage:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.load_client"],
                input=json.dumps(order),
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                cwd=ROOT,
            )
        told = json.loads(done.stdout)
        usage.cpu_seconds["client"] = told["cpu_seconds"]
        statuses = {name: int(count) for name, count in told["statuses"].items()}
        answered = statuses.pop("200", 0)
        # An answer of any status has its reason; a broken connection has none.
        refused = {status: count for status, count in statuses.items() if status.isdigit()}
        return Phase(name, told["sent"], answered, refused, told["latencies_ms"], told["seconds"], usage)

    def burst(self, name: str, count: int) -> tuple[Phase, list[str]]:
        """Claim checks put into the stream at once, until each has its result."""
        with self.measured() as usage:
            told = load_burst.run(self._platform, self._bodies, self._type, count)
        phase = Phase(name, told.sent, told.done, told.rejected, told.latencies_ms, told.seconds, usage)
        return phase, told.notes

    @contextmanager
    def measured(self) -> Generator[Usage]:
        """CPU and memory of the twin's processes while the block runs."""
        prefix = f"{self._platform.home.prefix}-"
        with watched(self._platform.twin.process.pid, prefix) as usage:
            yield usage


def main(arguments: list[str] | None = None) -> int:
    """Runs the phases and prints what came of them.

    Answers 1 when something was lost, or when the adapter, asked often enough to tell, misses its goal.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth of the time, a twentieth of the burst")
    parser.add_argument("--image", choices=("photo", "sample"), default="photo", help="what is asked about")
    parser.add_argument("--only", choices=("sync", "burst"), help="one half")
    chosen = parser.parse_args(arguments)
    scale = 0.1 if chosen.short else 1.0
    console = Console(highlight=False, width=110)
    with tempfile.TemporaryDirectory() as folder, platforms.deployed(Path(folder), **SETTINGS) as platform:
        for name, value in platform.caller().items():
            if name.startswith(("AWS_", "HTTPS_", "NO_PROXY", "REQUESTS_")):
                os.environ[name] = value
        home = platform.home
        samples = sample_data(Path(folder) / "dataset", images=600)
        run = start.with_folder(home, samples, start.Wish())
        told = outcome.watch(home, run)
        if told["status"] != "SUCCEEDED":
            print(f"bench: no champion: {told}", file=sys.stderr)
            return 1
        bodies, content_type = load_images.make(chosen.image, samples)
        bench, began = Bench(platform, bodies, content_type), datetime.now(UTC)
        bench.sync("warm-up", callers=CALLERS, count=80)
        phases, missed = list[Phase](), False
        if chosen.only != "burst":
            phases, missed = _sync(bench, platform, console, scale)
        if chosen.only != "sync":
            phase, notes = bench.burst("burst of claim checks", 1000 if chosen.short else 20_000)
            phases.append(phase)
            for note in notes:
                console.print(note)
        _tell(console, phases)
        _dashboard(platform, console, began)
    return 1 if missed or any(phase.lost for phase in phases) else 0


def _sync(
    bench: Bench, platform: platforms.Platform, console: Console, scale: float
) -> tuple[list[Phase], bool]:
    """The phases of the synchronous API, and whether the adapter adds more than its goal lets it."""
    began = time.time()
    alone = bench.sync("one caller", callers=1, count=max(30, int(300 * scale)))
    overhead = load_direct.compare(platform, bench.input_bytes, began, quantile(alone.latencies_ms, 0.5))
    console.print(overhead.words(GOAL_OVERHEAD_MS))
    missed = overhead.of_the_adapter >= GOAL_OVERHEAD_MS and overhead.requests >= ENOUGH_REQUESTS
    return [
        alone,
        bench.sync(f"open loop, {MEAN:g}/s", rate=MEAN, seconds=300 * scale),
        bench.sync(f"open loop, {PEAK:g}/s", rate=PEAK, seconds=120 * scale),
        bench.sync(f"closed loop, {CALLERS} callers", callers=CALLERS, seconds=30 * scale),
    ], missed


def _tell(console: Console, phases: list[Phase]) -> None:
    table = Table(box=None, title="Load", title_justify="left")
    for name in ("", "sent", "answered", "refused", "lost", "per s", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="right" if name else "left")
    for phase in phases:
        shown = [quantile(phase.latencies_ms, share) for share in (0.5, 0.95, 0.99)]
        table.add_row(
            phase.name,
            *(str(count) for count in (phase.sent, phase.answered, sum(phase.refused.values()), phase.lost)),
            f"{phase.sent / phase.seconds:.1f}",
            *(f"{value:.0f}" for value in shown),
        )
    console.print(table)
    for phase in phases:
        split = {name: 1000 * used / max(1, phase.sent) for name, used in phase.usage.cpu_seconds.items()}
        words = ", ".join(f"{name} {ms:.1f}" for name, ms in sorted(split.items(), key=lambda each: -each[1]))
        console.print(f"CPU per image, {phase.name}: {sum(split.values()):.1f} ms: {words}")
        grown = ", ".join(
            f"{name} {before:.0f} -> {after:.0f}"
            for name, (before, after) in sorted(phase.usage.memory_mib.items())
        )
        console.print(f"memory in MiB, {phase.name}: {grown}")
        if phase.refused:
            console.print(f"refused, {phase.name}: {phase.refused}")
    console.print(f"lost: {sum(phase.lost for phase in phases)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "load.json").write_text(json.dumps([_plain(phase) for phase in phases], indent=1))


def _plain(phase: Phase) -> dict[str, Any]:
    return {
        "name": phase.name,
        "sent": phase.sent,
        "answered": phase.answered,
        "refused": phase.refused,
        "lost": phase.lost,
        "seconds": phase.seconds,
        "latency_ms": {f"p{share}": quantile(phase.latencies_ms, share / 100) for share in (50, 95, 99)},
        "cpu_seconds": dict(phase.usage.cpu_seconds),
        "memory_mib": phase.usage.memory_mib,
    }


def _dashboard(platform: platforms.Platform, console: Console, began: datetime) -> None:
    """The platform's own dashboard with the load on it."""
    time.sleep(2)  # for the last figures
    end = datetime.now(UTC)
    begin = began - timedelta(minutes=1)
    name = platform.home.prefix
    panels = dashboards.read(platform.client("cloudwatch"), name, begin, end, period=60)
    target = RESULTS / "dashboard.html"
    target.write_text(page.render(name, panels, begin, end, place="the local twin under load"))
    console.print(f"dashboard: {target.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
