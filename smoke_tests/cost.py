"""What a smoke run costs: what a budget of money buys, and the bill of a run, at the prices it is told."""

from __future__ import annotations

from dataclasses import dataclass

from smoke_tests.faults import CheckFailed

# A workflow that trains takes AWS some minutes to start machines alone.
SHORTEST_SECONDS = 600.0


@dataclass(frozen=True)
class Rates:
    """US dollars an hour of the three kinds of machines that a run uses, and of one request of the API."""

    training: float
    evaluation: float
    hosting: float
    request: float

    @property
    def together(self) -> float:
        """All machines at once, which never quite happens: the most that an hour can cost."""
        return self.training + self.evaluation + self.hosting

    def affordable_seconds(self, dollars: float) -> float:
        """For how long a run may last so that it costs no more; raises CheckFailed if that is too short."""
        seconds = dollars / self.together * 3600
        if seconds < SHORTEST_SECONDS:
            needed = self.together * SHORTEST_SECONDS / 3600
            raise CheckFailed(
                f"{dollars:.2f} USD (SMOKE_MAX_COST_USD) buy {seconds:.0f} s of the machines of a run at "
                f"{self.together:.2f} USD an hour; it needs {SHORTEST_SECONDS:.0f} s: {needed:.2f} USD"
            )
        return seconds


@dataclass(frozen=True)
class Cost:
    """An estimate of what a run cost, item by item in US dollars."""

    training: float
    evaluation: float
    hosting: float
    requests: float

    @property
    def total(self) -> float:
        """All items together."""
        return self.training + self.evaluation + self.hosting + self.requests

    def in_words(self) -> str:
        """For a report."""
        items = f"training {self.training:.4f}, evaluation {self.evaluation:.4f}"
        return f"{self.total:.4f} USD: {items}, endpoint {self.hosting:.4f}, requests {self.requests:.4f}"


def bill(rates: Rates, *, training: float, evaluation: float, hosting: float, requests: int) -> Cost:
    """The cost of so many seconds of each machine and so many requests."""
    return Cost(
        training=rates.training * training / 3600,
        evaluation=rates.evaluation * evaluation / 3600,
        hosting=rates.hosting * hosting / 3600,
        requests=rates.request * requests,
    )
