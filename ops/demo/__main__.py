"""`make demo`: a commit travels from a push to production in the local twin, and the model there answers."""

from __future__ import annotations

import argparse
import fcntl
import json
import shlex
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from ops.accounts import OutputMissing
from ops.datasets import DatasetInvalid
from ops.demo import champion, summary
from ops.demo.journey import Journey
from ops.demo.tools import DemoError
from twin.client import DEFAULT_PORT, BusyPort, Twin, TwinError, find_project
from twin.delivery_watch import NoExecution

if TYPE_CHECKING:
    from collections.abc import Generator

    from twin.client import Health
    from twin.delivery_watch import Approval, Change

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
_FAULTS = (DemoError, TwinError, NoExecution, OutputMissing, DatasetInvalid, ClientError, BotoCoreError)


def main() -> int:
    """Runs the demo; answers 0, 1 (the delivery failed), 2 (it could not begin) or 130 (Ctrl-C)."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--approve", action="store_true", help="approve without asking, and stop at the end")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the twin's endpoint")
    chosen = parser.parse_args()
    console = Console(highlight=False)
    if not chosen.approve and not sys.stdin.isatty():
        print("demo: nobody is here to approve; use make demo APPROVE=yes", file=sys.stderr)
        return MISUSED
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    project = find_project()
    build = project / "build" / "demo"
    twin = Twin(project)
    try:
        with _only_one(build):
            return _run(twin, build, console, approve=chosen.approve, port=chosen.port)
    except BusyPort as fault:
        print(f"demo: {str(fault).replace('--port', 'make demo PORT=...')}", file=sys.stderr)
        return MISUSED
    except _FAULTS as fault:
        twin.stop()
        print(f"demo: {fault}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        twin.stop()
        print("\ndemo: stopped, and the twin with it; make demo starts anew", file=sys.stderr)
        return INTERRUPTED


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _only_one(build: Path) -> Generator[None]:
    build.mkdir(parents=True, exist_ok=True)
    with (build / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError("another demo is running in this checkout: let it end, or stop it") from None
        yield


def _run(twin: Twin, build: Path, console: Console, *, approve: bool, port: int) -> int:
    began = time.monotonic()
    for old in ("reports", "dataset", "cdk.out", "logs"):
        shutil.rmtree(build / old, ignore_errors=True)
    (build / "summary.json").unlink(missing_ok=True)
    journey = Journey(twin, console, build, decide=_yes if approve else _ask_at_terminal)
    with journey.step("start", "Starting an empty twin of AWS on this machine"):
        if twin.stop():
            console.print("  one of an earlier demo was up; it has been stopped", style="dim")
        twin.erase()
        running, _ = twin.start(port)
    since = time.time()
    commit = journey.prepare(running)
    ended = journey.follow(commit)
    trained = journey.train_champions(running) if ended.status == "Succeeded" else {}
    told = _summarise(journey, commit, ended, since)
    told["seconds"]["total"] = round(time.monotonic() - began + told["seconds"]["setup"], 1)
    if trained:
        told["champions"] = {
            name: {"endpoint": model["endpoint_name"], "accuracy": model["metrics"]["accuracy"]}
            for name, model in trained.items()
        }
        command = journey.question(running, list(journey.environments)[-1])
        told["answer"] = champion.ask(command)
        told["command"] = shlex.join(command)
    path = build / "summary.json"
    path.write_text(json.dumps(told, indent=2) + "\n")
    _print_summary(console, told, path)
    if ended.status == "Succeeded" and not approve:
        _stay(console, running)
    twin.stop()
    return 0 if ended.status == "Succeeded" else FAILED


def _yes(_: Approval) -> bool:
    return True


def _ask_at_terminal(approval: Approval) -> bool:
    while True:
        answer = input(f"  Deploy {approval.stage}? [yes/no] ").strip().lower()
        if answer in ("y", "yes"):
            return True
        if answer in ("n", "no"):
            return False


def _summarise(journey: Journey, commit: str, ended: Change, since: float) -> dict[str, Any]:
    twin = journey.twin
    decisions = twin.get(f"iam?since={since:.3f}")
    return {
        "pipeline": ended.status,
        "commit": commit,
        "execution": ended.execution,
        "stages": summary.stages(twin, ended.execution),
        "smoke": journey.reports(ended.execution),
        "iam": {"decisions": decisions["decisions"], "denied": decisions["denials"]},
        "seconds": {"setup": _set_up_seconds(twin.project), **journey.seconds},
    }


def _set_up_seconds(project: Path) -> float:
    try:
        return float((project / "build" / "stamps" / "seconds").read_text())
    except (OSError, ValueError):
        return 0.0


def _print_summary(console: Console, told: dict[str, Any], path: Path) -> None:
    console.print(f"\n[bold]{told['pipeline']}[/bold]: commit {told['commit'][:12]}")
    for stage in told["stages"]:
        console.print(f"  {stage['name']:<16} {stage['status']:<11} {stage['seconds']:7.1f} s")
    for name, smoke in told["smoke"].items():
        page = path.parent / "reports" / name / "index.html"
        verdict = "passed" if smoke["passed"] else "FAILED"
        right = f"{smoke['images']['right']} of {smoke['images']['asked']} images right"
        console.print(f"  smoke test of {name}: {verdict}, {right}; report: {page}", soft_wrap=True)
    denied = len(told["iam"]["denied"])
    console.print(f"  IAM: {told['iam']['decisions']} decisions, {denied} denied")
    spent = ", ".join(f"{name} {value:.0f}" for name, value in told["seconds"].items())
    console.print(f"  seconds: {spent}", soft_wrap=True)
    if answer := told.get("answer"):
        console.print(
            f"\nProduction was asked about a sample image and says: {answer['label']}. The command:"
        )
        print(told["command"])
    console.print(f"\nAll of this as JSON: {path}", soft_wrap=True)


def _stay(console: Console, running: Health) -> None:
    console.print(
        f"\nThe twin stays up on http://127.0.0.1:{running.port} until you press Enter; "
        "python -m twin up brings it back later, with everything in it.",
        soft_wrap=True,
    )
    input()


if __name__ == "__main__":
    sys.exit(main())
