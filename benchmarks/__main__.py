"""`make bench`: a first and a further delivery in the twin, action by action, beside the prototype's time.

The prototype (a spike: one stack, two environments, no training) took 35 to 51 s for a whole run, warm.
What compares with it here is a delivery without its smoke tests: build, self-mutation, assets, deployments.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ops.demo.journey import Journey
from ops.demo.summary import actions
from ops.demo.tools import DemoError
from twin.client import Twin, TwinError, find_project
from twin.delivery_watch import NoExecution

PROTOTYPE_SECONDS = (35, 51)
PORT = 4576
THRESHOLD_MS = 2750  # not what the settings have


def main() -> int:
    """Runs both deliveries and prints the tables; answers 0, or 1 when one of them failed."""
    console = Console(highlight=False)
    project = find_project()
    home = project / "build" / "bench"
    twin = Twin(project, home / "twin")
    try:
        twin.stop()
        twin.erase()
        running, _ = twin.start(PORT)
        journey = Journey(twin, console, home, decide=lambda _: True)
        first = _deliver(journey, journey.prepare(running))
        with tempfile.TemporaryDirectory() as folder:
            further = _deliver(journey, _next_commit(twin, Path(folder)))
    except (DemoError, TwinError, NoExecution) as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 1
    finally:
        twin.stop()
    _print(console, first, further, journey.seconds)
    return 0


def _deliver(journey: Journey, commit: str) -> list[dict[str, Any]]:
    ended = journey.follow(commit)
    if ended.status != "Succeeded":
        raise DemoError(f"the delivery of {commit[:12]} ended as {ended.status}")
    return actions(journey.twin, ended.execution)


def _next_commit(twin: Twin, folder: Path) -> str:
    """Pushes a commit that changes one alarm's threshold: what a further push costs at least."""
    clone = folder / "clone"
    who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run(["git", "clone", "--quiet", str(twin.project), str(clone)], check=True)
    path = clone / "cdk.json"
    app = json.loads(path.read_text())
    app["context"]["platform"].setdefault("monitoring", {})["api_p99_latency_ms"] = THRESHOLD_MS
    path.write_text(json.dumps(app, indent=2) + "\n")
    commit = ["commit", "--quiet", "--all", "-m", "A further push"]
    subprocess.run(["git", "-C", str(clone), *who, *commit], check=True)
    return twin.push(source=clone)


def _print(
    console: Console, first: list[dict[str, Any]], further: list[dict[str, Any]], steps: dict[str, float]
) -> None:
    table = Table(box=None, title="Seconds by kind of action", title_justify="left")
    for name, justify in (("", "left"), ("first push", "right"), ("further push", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    parts = [_by_kind(run) for run in (first, further)]
    for kind in parts[0]:
        table.add_row(kind, *(f"{part.get(kind, 0.0):.1f}" for part in parts))
    walls = [_wall(run) for run in (first, further)]
    table.add_row("wall clock", *(f"{wall:.1f}" for wall in walls))
    tests = [part.get("smoke tests (training, API, clean-up)", 0.0) for part in parts]
    rest = [wall - test for wall, test in zip(walls, tests, strict=True)]
    table.add_row("without smoke tests", *(f"{seconds:.1f}" for seconds in rest))
    low, high = PROTOTYPE_SECONDS
    table.add_row(f"... against the prototype's {low}-{high} s", *(f"x {s / high:.1f}" for s in rest))
    console.print(table)
    console.print("before the first push: " + ", ".join(f"{k} {v:.0f} s" for k, v in steps.items()))


def _by_kind(run: list[dict[str, Any]]) -> dict[str, float]:
    spent: dict[str, float] = {}
    for action in run:
        kind = _kind(action["stageName"], action["actionName"])
        spent[kind] = spent.get(kind, 0.0) + _seconds(action["startTime"], action["lastUpdateTime"])
    return spent


def _kind(stage: str, action: str) -> str:
    if action == "Smoke":
        return "smoke tests (training, API, clean-up)"
    if action.endswith((".Deploy", ".Prepare")):
        return "stack deployments"
    return {
        "Build": "build (lint, types, tests, synthesis)",
        "UpdatePipeline": "self-mutation",
        "Assets": "assets (two projects side by side)",
    }.get(stage, "source and approval")


def _wall(run: list[dict[str, Any]]) -> float:
    return _seconds(min(a["startTime"] for a in run), max(a["lastUpdateTime"] for a in run))


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()


if __name__ == "__main__":
    sys.exit(main())
