"""What a check has to say: findings, each with its construct and its cure, and how many were looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SHORTEST_REASON = 40  # characters
FEWEST_WORDS = 6


def convinces(reason: str) -> bool:
    """Whether a reason is long enough to be one: a sentence, and neither a word nor a ticket's number."""
    return len(reason) >= SHORTEST_REASON and len(reason.split()) >= FEWEST_WORDS


class GateError(Exception):
    """The verdict cannot be given: the assembly is missing or broken. One line, naming file and cure."""


@dataclass(frozen=True)
class Finding:
    """One rule broken at one construct. It is open unless `reason` tells why it is accepted."""

    check: str
    rule: str
    construct: str
    says: str
    cure: str
    reason: str = ""

    @property
    def open(self) -> bool:
        """Whether nobody has accepted it."""
        return not self.reason


@dataclass(frozen=True)
class Check:
    """One row of the verdict: how many rules were held against how many subjects, and what was found."""

    name: str
    rules: int | None
    """How many rules were evaluated; None where the check does not tell."""
    subjects: int
    findings: tuple[Finding, ...]
    unit: str = "resources"
    """What the subjects are."""

    @property
    def open(self) -> tuple[Finding, ...]:
        """The findings that nobody has accepted."""
        return tuple(each for each in self.findings if each.open)

    @property
    def acknowledged(self) -> int:
        """How many findings are accepted, each with a reason."""
        return len(self.findings) - len(self.open)

    def as_json(self) -> dict[str, Any]:
        """The row as the report has it."""
        return {
            "name": self.name,
            "rules": self.rules,
            "subjects": self.subjects,
            "unit": self.unit,
            "findings": len(self.findings),
            "acknowledged": self.acknowledged,
            "open": len(self.open),
        }
