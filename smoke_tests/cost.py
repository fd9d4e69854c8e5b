"""What a smoke run costs: a small table of prices, what a budget of money buys, and the bill of a run."""

from __future__ import annotations

from dataclasses import dataclass

from smoke_tests.faults import CheckFailed

PRICES_OF = "on-demand prices of us-east-1 as of November 2026, rounded up: EC2's plus SageMaker's fifth"
# US dollars an hour; of an instance that is not listed nobody can say what a run would cost.
HOURLY_USD = {
    "ml.t3.medium": 0.05,
    "ml.m5.large": 0.12,
    "ml.m5.xlarge": 0.24,
    "ml.m5.2xlarge": 0.47,
    "ml.m7i.large": 0.13,
    "ml.m7i.xlarge": 0.25,
    "ml.c5.large": 0.11,
    "ml.c5.xlarge": 0.21,
    "ml.c5.2xlarge": 0.41,
    "ml.c6i.large": 0.11,
    "ml.c6i.xlarge": 0.21,
    "ml.c7i.large": 0.11,
    "ml.c7i.xlarge": 0.22,
    "ml.c7i.2xlarge": 0.43,
    "ml.c7i.4xlarge": 0.86,
    "ml.g4dn.xlarge": 0.74,
    "ml.g5.xlarge": 1.41,
    "ml.g6.xlarge": 1.13,
}
# API Gateway for a request, and Lambda for its request and 300 ms of 1 GB.
REQUEST_USD = 3.5e-6 + 0.2e-6 + 0.3 * 1.34e-5
# A workflow that trains takes AWS some minutes to start machines alone.
SHORTEST_SECONDS = 600.0


@dataclass(frozen=True)
class Rates:
    """US dollars an hour of the three kinds of machines that a run uses."""

    training: float
    evaluation: float
    hosting: float

    @classmethod
    def of(cls, *, training: str, evaluation: str, hosting: str) -> Rates:
        """The rates of these instance types; raises CheckFailed naming one that the table lacks."""
        asked = {"training": training, "evaluation": evaluation, "hosting": hosting}
        for use, kind in asked.items():
            if kind not in HOURLY_USD:
                raise CheckFailed(
                    f"what {kind or 'an unnamed instance'} ({use}) costs is not known: name it in "
                    f"{use.upper()}_INSTANCE_TYPE, and add its price to smoke_tests/cost.py"
                )
        return cls(**{use: HOURLY_USD[kind] for use, kind in asked.items()})

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
        requests=REQUEST_USD * requests,
    )
