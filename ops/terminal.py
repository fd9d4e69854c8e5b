"""What an operator sees and is asked: lines for people, JSON for machines, and confirmations."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType

from ops.faults import Cancelled

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


_machine = False
# Of what is not broken to fit the terminal.
_LONGEST_LINE = 1000


def speak_to(*, machine: bool) -> None:
    """Where the result is for a machine, what is said meanwhile goes to the error channel."""
    global _machine  # noqa: PLW0603  # one terminal per process
    _machine = machine


def say(text: str = "", *, style: str = "") -> None:
    """One line, never broken or read as markup: names may hold brackets, and people copy commands."""
    (err if _machine else out).print(text, style=style or None, markup=False, soft_wrap=True)


def show(renderable: RenderableType, *, broken: bool = True) -> None:
    """A table or a tree; `broken` says whether its lines may be broken to fit, or are for copying from."""
    if broken:
        (err if _machine else out).print(renderable)
    else:
        Console(stderr=_machine, highlight=False, width=_LONGEST_LINE).print(renderable)


@contextmanager
def working() -> Generator[Callable[[str], None]]:
    """Gives a way to say what is going on now, in one line that changes; nothing where nobody looks."""
    console = err if _machine else out
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("...") as status:
        yield lambda words: status.update(words.replace("[", "\\["))


def complain(text: str) -> None:
    """A fault, on the error channel."""
    err.print(f"ops: {text}", markup=False, soft_wrap=True)


def as_json(value: Any) -> None:
    """A result for a machine."""
    print(json.dumps(value, indent=2, default=str))


def confirm(question: str, *, yes: bool = False) -> None:
    """Asks, unless `yes` says so already. Raises Cancelled without a yes, or where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Cancelled(f"{question} Nobody is here to answer: add --yes if you mean it")
    if input(f"{question} [yes/no] ").strip().lower() not in ("y", "yes"):
        raise Cancelled("not confirmed; nothing was changed")


def confirm_name(question: str, name: str, given: str | None, *, option: str = "--yes-destroy") -> None:
    """Has a name typed, for what cannot be taken back. Raises Cancelled when it is not that name."""
    typed = given
    if typed is None:
        if not sys.stdin.isatty():
            raise Cancelled(f"{question} Nobody is here to type its name: add {option} {name} if you mean it")
        typed = input(f"{question} Type its name to go on: ").strip()
    if typed != name:
        raise Cancelled(f"{typed!r} is not {name!r}; nothing was changed")
