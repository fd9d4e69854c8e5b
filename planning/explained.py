"""A number of the plan with what it rests on: inputs, formula in words, and where each limit is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

Value = int | float | str


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a figure comes from, and of which day it is."""

    text: str
    on: date
    kind: Literal["measured", "published", "assumed"] = "published"

    def __str__(self) -> str:
        """As it stands behind a figure."""
        return f"{self.text} ({self.on:%Y-%m-%d})"

    @property
    def brief(self) -> str:
        """Where there is no room: what kind of source it is, and of which day."""
        return f"{self.kind} {self.on:%Y-%m-%d}"


@dataclass(frozen=True, kw_only=True)
class Input:
    """One figure that a number was computed from; `source` is a setting's name, or where it was found."""

    name: str
    value: Value
    unit: str
    source: str | Source

    @property
    def brief(self) -> str:
        """The source where there is no room."""
        return self.source if isinstance(self.source, str) else self.source.brief


@dataclass(frozen=True, kw_only=True)
class Explained:
    """One number of the plan.

    `key` is the setting that it stands for (``api.burst``), or a name of the same form where there is no
    such setting. `formula` says in words how `inputs` become `value`; `limits` are what it had to respect.
    """

    key: str
    title: str
    value: Value
    unit: str
    formula: str
    inputs: tuple[Input, ...]
    limits: tuple[Input, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for a number that rests on nothing."""
        if not self.inputs:
            raise ValueError(f"{self.key}: an explained number names what it was computed from")

    def in_words(self) -> str:
        """The formula with its inputs, in one line."""
        found = ", ".join(f"{each.name} {shown(each.value)} {each.unit}".rstrip() for each in self.inputs)
        return f"{self.formula} ({found})"


def shown(value: Value) -> str:
    """A value as people read it: thousands apart, no more digits than say something."""
    if isinstance(value, str):
        return value
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"
