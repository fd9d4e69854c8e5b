"""What a finished smoke run hands to its reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from smoke_tests.evidence import Evidence
from smoke_tests.journal import Check, Status
from smoke_tests.settings import Settings


@dataclass(frozen=True)
class Result:
    """Verdicts and evidence of one run; `seconds` is its whole duration."""

    settings: Settings
    run_id: str
    started_at: datetime
    seconds: float
    checks: Sequence[Check]
    evidence: Evidence

    @property
    def passed(self) -> bool:
        """Whether every check passed; one that never ran proves nothing."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> list[Check]:
        """The checks that did not hold or could not be made, in the order in which they began."""
        broken = [check for check in self.checks if check.status in {Status.FAILED, Status.ERROR}]
        return sorted(broken, key=lambda check: check.started)

    @property
    def skipped(self) -> list[Check]:
        """The checks that were not tried."""
        return [check for check in self.checks if check.status is Status.SKIPPED]

    def verdict(self) -> str:
        """One line with the reason: the last one in a build's log, which the pipeline shows first."""
        environment = self.settings.environment
        if self.passed:
            return f"PASSED: all {len(self.checks)} checks of {environment} in {self.seconds:.0f} s"
        broken = ", ".join(check.name for check in self.failed) or "the run ended early"
        skipped = f"; {len(self.skipped)} not tried" if self.skipped else ""
        # Later checks often fail because the first one did.
        why = f". {self.failed[0].name}: {self.failed[0].detail}" if self.failed else ""
        return f"FAILED: {environment} after {self.seconds:.0f} s: {broken}{skipped}{why}"
