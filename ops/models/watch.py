"""Follows an execution to its end: a line for each state that is done, and how far the present one is."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import typer

from ops.models.execution import RUNNING, Execution, Step
from ops.models.home import CHAMPION, Home
from ops.models.progress import Progress, rollout
from ops.options import INTERRUPTED
from ops.terminal import complain, say, working

# States that only decide or reshape what the workflow knows.
_SILENT = ("Pass", "Choice", "Succeed", "Fail")
_BOOKKEEPING = ("dynamodb:", "events:", "aws-sdk:dynamodb:")
_SHORTEST_POLL, _LONGEST_POLL = 0.5, 5.0
_WIDTH, _CAUSE = 26, 200


def follow(home: Home, execution: Execution, *, again: str, each: Callable[[], None] | None = None) -> None:
    """Shows an execution until it ends; `each` is called with every look.

    Ctrl-C leaves the execution as it is, says that `again` is the command to watch it, and exits with 130.
    """
    view = View(home, execution)
    try:
        with working() as now:
            while True:
                execution.look()
                now(view.take())
                if each:
                    each()
                if execution.status != RUNNING:
                    return
                age = (datetime.now(UTC) - execution.started).total_seconds()
                time.sleep(min(_LONGEST_POLL, max(_SHORTEST_POLL, age / 60)))
    except KeyboardInterrupt:
        complain(f"stopped looking; the run goes on. Watch it again: {again}")
        raise typer.Exit(INTERRUPTED) from None


class View:
    """What of an execution has been shown."""

    def __init__(self, home: Home, execution: Execution, depth: int = 0) -> None:
        """`depth` is how many executions it is nested in."""
        self._home, self._execution, self._depth = home, execution, depth
        self._progress = Progress(home, execution.arn)
        self._done = 0
        self._named: set[str] = set()
        self._nested: dict[int, View] = {}
        self._rollout = ""

    def look(self) -> str:
        """Reads and shows what is new; answers what goes on now."""
        self._execution.look()
        return self.take()

    def take(self) -> str:
        """Shows what has been read and not shown yet; answers what goes on now."""
        steps = self._execution.steps
        now = ""
        for number in range(self._done, len(steps)):
            step = steps[number]
            now = self._take_step(number, step)
            if step.exited is None and self._execution.status == RUNNING:
                break
            self._end(step, number)
            self._done = number + 1
        return now

    def _take_step(self, number: int, step: Step) -> str:
        if step.kind in _SILENT:
            return ""
        words, lines = self._progress.of(step)
        for line in lines:
            self._line(f"  {line}", style="cyan")
        nested = self._follow_nested(number, step)
        if step.exited is not None:
            return ""
        tries = f"(failed {len(step.faults)} times: {_short(step.faults[-1])})" if step.faults else ""
        return " ".join(each for each in (step.state, tries, nested or words or self._rollout_now()) if each)

    def _follow_nested(self, number: int, step: Step) -> str:
        arn = step.submitted.get("ExecutionArn")
        if not arn or number < self._done:
            return ""
        if number not in self._nested:
            child = Execution(self._home.client("stepfunctions"), arn)
            self._nested[number] = View(self._home, child, self._depth + 1)
        return self._nested[number].look()

    def _rollout_now(self) -> str:
        """How the endpoint changes, in a promotion: a line for each change."""
        if not self._execution.is_of("promotion"):
            return ""
        words = rollout(self._home, str(self._execution.input.get("line") or CHAMPION))
        if words and words != self._rollout:
            self._line(f"  {words}", style="cyan")
        self._rollout = words
        return words

    def _end(self, step: Step, number: int) -> None:
        self._nested.pop(number, None)
        # A state of a loop is told once.
        if step.kind in _SILENT or step.state in self._named:
            return
        self._named.add(step.state)
        since = ((step.exited or step.entered) - self._execution.started).total_seconds()
        words, style = _outcome(step)
        self._line(f"{since:7.1f} s  {step.state:<{_WIDTH}} {words}", style)

    def _line(self, text: str, style: str = "") -> None:
        say(f"{'          ' * self._depth}{text}", style=style)


def _outcome(step: Step) -> tuple[str, str]:
    """How a state ended, and the style to say it in. A caught error is one way: it leads elsewhere."""
    fault = _short(step.faults[-1]) if step.faults else ""
    if step.exited is None:
        return fault or "did not end", "red"
    if not step.succeeded:
        return fault, "yellow"
    took = f"done in {step.seconds:.1f} s"
    if fault:
        return f"{took}, after {len(step.faults)} failed tries: {fault}", "yellow"
    return took, "dim" if step.resource.startswith(_BOOKKEEPING) else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CAUSE else f"{line[:_CAUSE]} ..."
