"""Shows a delivery as it moves: a table on a terminal, a line per change elsewhere, and why it failed."""

import re
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from twin.delivery_watch import Approval, Change

_STYLES = {
    "Succeeded": "green",
    "Failed": "red",
    "InProgress": "yellow",
    "Abandoned": "red",
    "Stopped": "red",
    "Skipped": "dim",
}
_SIGNS = {
    "Succeeded": "done", "InProgress": "running", "Failed": "FAILED",
    "Skipped": "skipped", "Retried": "tried again",
}  # fmt: skip
# The end of a failed execution's summary, where its stage is to be rolled back on failure.
_FATE_OF_ROLLBACK = re.compile(r"; (not rolled back: .*|execution [0-9a-f-]{36} rolls it back .*)$")
# The parts of a build may run side by side: what failed is followed by what the others had left to say.
_LAST_LINES = 40
_SUMMARY_WIDTH = 60


class DeliveryView:
    """What is known of the delivery that is watched."""

    def __init__(self, console: Console, structure: Iterable[tuple[str, list[str]]]) -> None:
        """`structure` is the pipeline's stages with their actions."""
        self.console = console
        self._began = time.time()
        self._rows: dict[tuple[str, str], Change | None] = {}
        self.restructure(structure)
        self._execution = ""
        self._live: Live | None = None
        self.failures: list[Change] = []

    def restructure(self, structure: Iterable[tuple[str, list[str]]]) -> None:
        """Show these stages and actions, none of which has begun."""
        self._rows = {(stage, action): None for stage, actions in structure for action in actions}

    @contextmanager
    def shown(self) -> Generator[None]:
        """Keep a table on the terminal while the body runs; elsewhere `take` prints lines."""
        if not self.console.is_terminal:
            yield
            return
        self._live = Live(get_renderable=self._table, console=self.console, refresh_per_second=4)
        try:
            with self._live:
                yield
        finally:
            self._live = None

    @contextmanager
    def paused(self) -> Generator[None]:
        """Leave the terminal to the body, which asks something there; the table comes back after it."""
        if self._live is None:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start(refresh=True)

    def take(self, change: Change) -> None:
        """Take up a change, and print it where there is no table."""
        if change.kind == "execution" and change.status == "InProgress":
            self._execution, self._began = change.execution, change.started or time.time()
            if not change.rollback:  # whose cause is still to be explained at the end
                self.failures.clear()
        elif change.status == "Skipped":
            self._rows.update({place: change for place in self._rows if place[0] == change.stage})
        elif change.kind == "action":
            self._rows[change.stage, change.action] = change
            if change.status in ("Failed", "Abandoned"):
                self.failures.append(change)
        if not self.console.is_terminal:
            self._print_line(change)

    def _print_line(self, change: Change) -> None:
        at = f"{change.started + change.seconds - self._began:7.1f} s"
        what = {
            "execution": f"{'rollback' if change.rollback else 'execution'} {change.execution}",
            "stage": change.stage,
            "action": f"{change.stage} / {change.action}",
        }[change.kind]
        took = f" in {change.seconds:.1f} s" if change.seconds and change.status != "InProgress" else ""
        tells = change.kind == "stage" or change.rollback or change.status == "Succeeded"
        said = f" - {change.summary}" if change.summary and tells else ""
        line = f"{at}  {what}: {_SIGNS.get(change.status, change.status)}{took}{said}"
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, title_justify="left")
        title = f"execution {self._execution}" if self._execution else "waiting for the execution"
        table.title = f"{title}  {time.time() - self._began:.0f} s"
        for name in ("stage", "action", "status", "seconds", ""):
            table.add_column(name, justify="right" if name == "seconds" else "left", no_wrap=True)
        previous = ""
        for (stage, action), change in self._rows.items():
            table.add_row(stage if stage != previous else "", action, *_cells(change))
            previous = stage
        return table

    def explain_failure(self, ended: Change) -> None:
        """Print what failed, why, where its log is, and the last lines of it."""
        out = self.console
        if not self.failures:
            why = f"{ended.status}: {ended.summary or 'no reason given'}"
            out.print(why, style="red", highlight=False, markup=False, soft_wrap=True)
            return
        for failure in self.failures:
            out.print(
                f"{failure.status}: {failure.stage} / {failure.action}", style="bold red", highlight=False
            )
            out.print(
                f"  why: {failure.error or 'no reason given'}", highlight=False, markup=False, soft_wrap=True
            )
            if failure.log:
                out.print(f"  log: {failure.log}", highlight=False, markup=False, soft_wrap=True)
                for line in last_lines(failure.log):
                    out.print(f"    {line}", highlight=False, markup=False, soft_wrap=True)
        if fate := _FATE_OF_ROLLBACK.search(ended.summary):
            out.print(f"rollback: {fate[1]}", highlight=False, markup=False, soft_wrap=True)

    def show_approval(self, approval: Approval, command: str) -> None:
        """Print what an approver is asked, what there is to read, and how to decide."""
        out = self.console
        out.print(
            f"Approval needed: {approval.stage} / {approval.action}", style="bold yellow", highlight=False
        )
        if approval.text:
            out.print(f"  {approval.text}", highlight=False, markup=False, soft_wrap=True)
        if approval.to_read:
            out.print(f"  read: {approval.to_read}", highlight=False, markup=False, soft_wrap=True)
        if approval.expires:
            out.print(f"  until: {at_minute(approval.expires)}, or it fails", highlight=False)
        out.print(f"  decide: {command}", highlight=False, markup=False, soft_wrap=True)


def at_minute(seconds: float) -> str:
    """Return a time (epoch seconds) for people: local time, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def last_lines(log: Path, count: int = _LAST_LINES) -> list[str]:
    """Return the last lines of a build's log, without the agent's own where there are others."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    spoken = [line for line in lines if line.strip() and not line.startswith("[Container] ")]
    return (spoken or lines)[-count:]


def _cells(change: Change | None) -> tuple[Text, str, str]:
    if change is None:
        return Text("-", style="dim"), "", ""
    running = change.status == "InProgress"
    seconds = time.time() - change.started if running else change.seconds
    summary = change.summary.splitlines()[0][:_SUMMARY_WIDTH] if change.summary else ""
    return (
        Text(_SIGNS.get(change.status, change.status), style=_STYLES.get(change.status, "")),
        f"{seconds:.1f}",
        summary,
    )
