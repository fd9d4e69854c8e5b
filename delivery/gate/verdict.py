"""The verdict: every check over one assembly, and the report that people and machines read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from delivery.gate.acknowledgements import audit
from delivery.gate.assembly import Assembly
from delivery.gate.findings import Check, Finding
from delivery.gate.iam import iam_check
from delivery.gate.lint import lint_check
from delivery.gate.nag import nag_checks

SCHEMA = "vision.compliance/1"


@dataclass(frozen=True)
class Verdict:
    """What all checks found on one day in one assembly."""

    day: date
    stacks: int
    resources: int
    acknowledgements: int
    """The same rule of several packs at one construct is one."""
    acknowledged_ids: int
    """The same, counted by each pack's own id."""
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no finding is open."""
        return not any(check.open for check in self.checks)

    @property
    def open(self) -> Iterator[Finding]:
        """The findings that fail the build."""
        return (each for check in self.checks for each in check.open)

    def as_json(self) -> dict[str, Any]:
        """The report: the rows, the open findings with their cures, and what was accepted and why."""
        accepted = [asdict(each) for check in self.checks for each in check.findings if not each.open]
        return {
            "schema": SCHEMA,
            "day": self.day.isoformat(),
            "passed": self.passed,
            "stacks": self.stacks,
            "resources": self.resources,
            "acknowledgements": self.acknowledgements,
            "acknowledged_ids": self.acknowledged_ids,
            "checks": [check.as_json() for check in self.checks],
            "open": [asdict(each) for each in self.open],
            "acknowledged": accepted,
        }


def judge(assembly: Assembly, *, today: date, lint_config: Path, lint_cache: Path) -> Verdict:
    """Hold every check against the assembly. Raises GateError when it cannot be read."""
    packs, policies, acknowledged = nag_checks(assembly), iam_check(assembly), audit(assembly, today=today)
    # What takes seconds comes when everything could be read.
    lint = lint_check(assembly, config=lint_config, cache=lint_cache)
    checks = (*packs, lint, policies, acknowledged)
    return Verdict(
        day=today,
        stacks=len(assembly.stacks),
        resources=len(assembly.resources),
        acknowledgements=len({each.judgement for each in assembly.acknowledgements}),
        acknowledged_ids=len(assembly.acknowledgements),
        checks=checks,
    )


def write(verdict: Verdict, place: Path) -> None:
    """Keep the report as JSON."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(verdict.as_json(), indent=1) + "\n")
