"""`python -m benchmarks.synth`: how long a synthesis of the whole assembly takes with its gate, and why.

Every run is a `cdk synth` by the CLI. Packages that have been built are kept between the runs, as on a laptop
and in the build's cache. What the gate costs is the difference to runs without it. The machine should do
nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
GOAL_MS_PER_RESOURCE = 8.0


@dataclass(frozen=True)
class Run:
    """One synthesis: seconds of the whole command, and seconds and calls of each phase of the app."""

    wall: float
    phases: dict[str, dict[str, float]]
    app_runs: int

    @property
    def in_app(self) -> float:
        """Seconds that the app itself took."""
        return sum(phase["seconds"] for phase in self.phases.values())


class SynthFailed(Exception):
    """A synthesis failed; the message is what the command printed."""


def synthesize(out: Path, **environment: str) -> Run:
    """Run `cdk synth` once into `out`. Raises SynthFailed."""
    report = out.parent / "report.jsonl"
    report.unlink(missing_ok=True)
    cdk = ROOT / "node_modules" / ".bin" / "cdk"
    app = f"{sys.executable} -m benchmarks.synth_probe"
    began = time.perf_counter()
    done = subprocess.run(
        [str(cdk), "synth", "--quiet", "--app", app, "--output", str(out)],
        cwd=ROOT,
        env={**os.environ, **environment, "BENCH_REPORT": str(report)},
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - began
    if done.returncode:
        raise SynthFailed(done.stdout + done.stderr)
    reports = [json.loads(line) for line in report.read_text().splitlines()]
    return Run(wall, reports[-1], len(reports))


def resources(out: Path) -> int:
    """How many resources the templates of an assembly declare."""
    return sum(
        len(json.loads(path.read_text()).get("Resources", {})) for path in out.rglob("*.template.json")
    )


def best(out: Path, repeats: int, **environment: str) -> Run:
    """The fastest of some runs: what others do on the machine only adds."""
    return min((synthesize(out, **environment) for _ in range(repeats)), key=lambda run: run.wall)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; answers 0, or 1 when a synthesis failed or the CLI ran the app more than once."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synth", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind; the fastest counts")
    repeats = parser.parse_args(arguments).repeats
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "cdk.out"
        try:
            first = synthesize(out)
            whole = best(out, repeats)
            unvalidated = best(out, repeats, CDK_VALIDATION="false")
            bare = best(out, repeats, CDK_VALIDATION="false", BENCH_PACKS="no")
        except SynthFailed as fault:
            print(f"bench: {fault}", file=sys.stderr)
            return 1
        count = resources(out)
    console.print(_table(first, whole, unvalidated, bare, count))
    calls = sum(int(phase["calls"]) for phase in whole.phases.values())
    console.print(
        f"{count} resources, {1000 * whole.wall / count:.1f} ms each (goal: {GOAL_MS_PER_RESOURCE:g}); "
        f"{calls} calls into the CDK, {calls / count:.1f} for each resource; "
        f"the CLI ran the app {whole.app_runs} time(s)"
    )
    return 0 if whole.app_runs == 1 else 1


def _table(first: Run, whole: Run, unvalidated: Run, bare: Run, count: int) -> Table:
    validation = whole.phases["synthesis"]["seconds"] - unvalidated.phases["synthesis"]["seconds"]
    packs = unvalidated.phases["synthesis"]["seconds"] - bare.phases["synthesis"]["seconds"]
    rows = [(name, phase["seconds"]) for name, phase in whole.phases.items() if name != "synthesis"]
    rows += [
        ("templates", bare.phases["synthesis"]["seconds"]),
        ("cdk-nag, all packs", packs),
        ("CloudFormation validation", validation),
        ("CLI, start of Python, end of the processes", whole.wall - whole.in_app),
        ("whole command", whole.wall),
        ("... at first, with packaging", first.wall),
    ]
    table = Table(box=None, title="Synthesis", title_justify="left")
    for name, justify in (("", "left"), ("seconds", "right"), ("ms per resource", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    for name, seconds in rows:
        table.add_row(name, f"{seconds:.2f}", f"{1000 * seconds / count:.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
