"""One check of the gate: whether it was passed, and the sentence that says what was compared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    passed: bool
    words: str
