"""Turning points of the twin's life: its state is there again, and its end has begun."""

import threading
from collections.abc import Callable

# Set as soon as the twin is told to stop: what fails from then on fails because of that.
stopping = threading.Event()
_to_start: list[Callable[[], None]] = []


def when_restored(start: Callable[[], None]) -> None:
    """Call `start` once, when the state of the last run is there; to be said before the twin serves."""
    _to_start.append(start)


def restored() -> None:
    """Start all that has waited for the state."""
    while _to_start:
        _to_start.pop(0)()
