"""What a simulation saw: latencies, refusals, the stream's delay, and whether that is what was promised."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from planning.workload import Workload


@dataclass
class Seen:
    """What is noted while a simulation runs; only what arrives from `judged_from` on."""

    judged_from: float
    answers: list[float] = field(default_factory=list[float])
    refused: Counter[str] = field(default_factory=Counter[str])
    results: list[float] = field(default_factory=list[float])
    lost: int = 0
    oldest: float = 0.0
    cold_starts: int = 0
    most_instances: int = 0
    most_executions: int = 0
    most_models: int = 0
    model_starts: int = 0
    redone: int = 0

    def answered(self, arrived: float, now: float) -> None:
        """A caller got an answer."""
        if arrived >= self.judged_from:
            self.answers.append(now - arrived)

    def refuse(self, arrived: float, why: str) -> None:
        """A caller got none."""
        if arrived >= self.judged_from:
            self.refused[why] += 1

    def stored(self, arrived: float, now: float) -> None:
        """An image of the stream has its result."""
        if arrived >= self.judged_from:
            self.results.append(now - arrived)

    def lose(self, now: float) -> None:
        """A record has failed for good; it waits for people."""
        if now >= self.judged_from:
            self.lost += 1

    def aged(self, seconds: float) -> None:
        """The oldest record of a batch waited so long."""
        self.oldest = max(self.oldest, seconds)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One simulation in figures. Times in seconds; `refused_share` is of the synchronous requests."""

    seed: int
    requests: int
    p50: float
    p95: float
    p99: float
    refused_share: float
    refused: dict[str, int]
    records: int
    lost_share: float
    stream_p50: float
    stream_p99: float
    iterator_age: float
    backlog: int
    cold_starts: int
    most_instances: int
    most_executions: int
    # Executions of the model at once, and how many started cold, where it has no instances.
    most_models: int
    model_starts: int
    redone: int

    def broken(self, workload: Workload) -> tuple[str, ...]:
        """What was promised and not kept, each in words; none when all was."""
        found = list[str]()
        allowed = 1 - workload.availability_percent / 100
        if self.p99 * 1000 > workload.latency_p99_ms:
            found.append(f"p99 {self.p99 * 1000:.0f} ms, more than {workload.latency_p99_ms:g} ms")
        if self.refused_share > allowed:
            why = ", ".join(f"{name}: {count}" for name, count in sorted(self.refused.items()))
            found.append(f"{self.refused_share:.2%} not answered, more than {allowed:.2%} ({why})")
        if self.lost_share > allowed:
            found.append(f"{self.lost_share:.2%} of the records failed for good, more than {allowed:.2%}")
        if self.iterator_age > workload.stream_delay_seconds:
            found.append(
                f"records waited {self.iterator_age:.0f} s, longer than {workload.stream_delay_seconds:g} s"
            )
        return tuple(found)


def outcome(seed: int, seen: Seen, *, backlog: int) -> Outcome:
    """The figures of what was seen. `backlog` is what was left in the stream when load ended."""
    answers, results = sorted(seen.answers), sorted(seen.results)
    refused = seen.refused.total()
    requests = len(answers) + refused
    return Outcome(
        seed=seed,
        requests=requests,
        p50=quantile(answers, 0.50),
        p95=quantile(answers, 0.95),
        p99=quantile(answers, 0.99),
        refused_share=refused / requests if requests else 0.0,
        refused=dict(seen.refused),
        records=len(results),
        lost_share=seen.lost / len(results) if results else 0.0,
        stream_p50=quantile(results, 0.50),
        stream_p99=quantile(results, 0.99),
        iterator_age=seen.oldest,
        backlog=backlog,
        cold_starts=seen.cold_starts,
        most_instances=seen.most_instances,
        most_executions=seen.most_executions,
        most_models=seen.most_models,
        model_starts=seen.model_starts,
        redone=seen.redone,
    )


def quantile(ordered: list[float], share: float) -> float:
    """The smallest value that at least this share does not exceed; 0 of nothing."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
