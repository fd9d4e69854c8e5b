"""`ops capacity`: the plan and why, where settings differ, quotas, the ladder and the simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ops.deployment import Environment
from ops.faults import OperatorFault
from ops.terminal import say, show
from planning.capacity import Capacity, plan, provision
from planning.explained import Explained, Value, shown
from planning.hardware import UnknownHardware
from planning.hosting import LIMITS, Hosting
from planning.ladder import SEEDS, Rung, breaking, rungs, step
from planning.provision import Provision
from planning.quotas import Need, exceeded, needs
from planning.simulation.outcome import Outcome
from planning.workload import Workload, WorkloadError, images, short

# An asynchronous endpoint is not for callers who wait: what it takes to wake is minutes.
NOT_SIMULATED = "asynchronous"
# The page has the whole table; a terminal of 100 columns has not.
_PAGE = "docs/capacity.md"


@dataclass(frozen=True)
class Applied:
    """A plan, and what applies instead where somebody has set it."""

    environment: str
    capacity: Capacity
    # By key, of the numbers that are settings: what applies.
    settings: Mapping[str, Value | None]
    # Of them, those that somebody has set.
    given: frozenset[str]
    quotas: Mapping[str, float]
    hosting: Hosting

    @property
    def workload(self) -> Workload:
        """What is asked for."""
        return self.capacity.workload

    @property
    def provision(self) -> Provision:
        """What applies."""
        values: dict[str, Value | None] = {each.key: each.value for each in self.capacity.explained}
        return provision({**values, **self.settings}, self.hosting)

    @property
    def needs(self) -> tuple[Need, ...]:
        """What is needed of each quota."""
        return needs(self.workload, self.provision)

    @property
    def exceeded(self) -> tuple[Need, ...]:
        """The quotas that are not enough."""
        return exceeded(self.needs, dict(self.quotas))

    def differs(self, number: Explained) -> bool:
        """Whether something else applies than the plan says."""
        return number.key in self.given and self.settings[number.key] != number.value


def applied(environment: Environment, workload: str | None = None) -> Applied:
    """The environment's plan; or, for other work, the plan for that alone. Raises OperatorFault."""
    settings = environment.settings
    asked: dict[str, Any] = dict(settings["workload"])
    quotas: dict[str, float] = asked.pop("quotas")
    try:
        wanted = Workload(**asked)
        if workload is not None:
            wanted = replace(wanted, images_per_day=images(workload), simultaneous=None)
            hosting = Hosting.of(settings["hosting"])
            return Applied(environment.name, plan(wanted, hosting=hosting), {}, frozenset(), quotas, hosting)
        return _as_set(environment, wanted, quotas)
    except (WorkloadError, UnknownHardware) as fault:
        raise OperatorFault(str(fault)) from None


def _as_set(environment: Environment, wanted: Workload, quotas: Mapping[str, float]) -> Applied:
    settings = environment.settings
    hosting = Hosting.of(settings["hosting"])
    found: dict[str, Value | None] = {}
    for number in plan(wanted, hosting=hosting).explained:
        group, _, name = number.key.partition(".")
        if name in settings.get(group, {}):
            found[number.key] = settings[group][name]
    # None reserved for the model: it takes what it needs of what the account has.
    if found.get(LIMITS["lambda"], 0) is None:
        del found[LIMITS["lambda"]]
    given = frozenset(found) - set(settings["derived"])
    capacity = plan(wanted, {key: found[key] for key in given}, hosting)
    return Applied(environment.name, capacity, found, given, quotas, hosting)


def simulated(asked: Applied) -> tuple[Outcome, ...]:
    """A peak that comes suddenly, with three seeds. Raises OperatorFault for what it cannot simulate."""
    if asked.hosting.mode == NOT_SIMULATED:
        raise OperatorFault(
            "--simulate: the simulation knows models that answer at once, and "
            f"{asked.environment} has hosting.mode '{asked.hosting.mode}': leave --simulate out"
        )
    return tuple(step(asked.workload, asked.provision, seed) for seed in SEEDS)


# ---- for people


def show_plan(asked: Applied) -> None:
    """Every number with its reason; then the quotas."""
    workload = asked.workload
    say(
        f"{asked.environment}: {workload.images_per_day:,} images a day, "
        f"{workload.mean_per_second:,.1f}/s mean, {workload.peak_per_second:,.1f}/s at the peak, "
        f"{workload.burst_share:.0%} of them through the stream"
    )
    say(f"models are hosted in mode {asked.hosting.mode}")
    table = Table(box=None, pad_edge=False)
    for name in ("number", "plan", "setting"):
        table.add_column(name, overflow="fold")
    for number in asked.capacity.explained:
        key = f"[dim]{number.key}[/dim]"
        if asked.differs(number):
            now = asked.settings[number.key]
            key += f" [yellow]is set: {'none' if now is None else shown(now)}[/yellow]"
        table.add_row(number.title, f"{shown(number.value)} {number.unit}".strip(), key)
    show(table)
    say()
    for number in asked.capacity.explained:
        _explain(number)
    show_quotas(asked)


def _explain(number: Explained) -> None:
    """One number's formula and what went into it, each with its source."""
    say(f"{number.title}: {shown(number.value)} {number.unit}".rstrip(), style="bold")
    show(Padding(Text(number.formula), (0, 0, 0, 2)))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for each in (*number.inputs, *number.limits):
        table.add_row(f"  {each.name}", f"{shown(each.value)} {each.unit}", f"[dim]{each.brief}[/dim]")
    show(table)
    say()


def show_quotas(asked: Applied) -> None:
    """The quotas that are exceeded, each with the way to more; or that none is."""
    if not asked.exceeded:
        say("Quotas: AWS's defaults are enough, as far as accounts have the same; `ops doctor` asks yours.")
        return
    say("Quotas that this exceeds, the worst first:", style="bold")
    for need in asked.exceeded:
        say(f"- {need.quota.key}: {need.in_words(asked.quotas.get(need.quota.key))}")
        say(f"  source: {need.quota.source}", style="dim")


def show_simulation(asked: Applied, seen: tuple[Outcome, ...]) -> bool:
    """What the simulation saw; answers whether every goal was kept."""
    how = "at once" if asked.hosting.has_instances else "within a minute"
    table = Table(title=f"Simulation: the peak comes {how}", title_justify="left", box=None, pad_edge=False)
    for name in ("seed", "requests", "p50", "p95", "p99", "not answered", "records", "oldest", "cold starts"):
        table.add_column(name, justify="right")
    for each in seen:
        table.add_row(
            str(each.seed),
            f"{each.requests:,}",
            *(f"{value * 1000:.0f} ms" for value in (each.p50, each.p95, each.p99)),
            f"{each.refused_share:.3%}",
            f"{each.records:,}",
            f"{each.iterator_age:.0f} s",
            str(each.cold_starts + each.model_starts),
        )
    show(table)
    broken = [f"seed {each.seed}: {fault}" for each in seen for fault in each.broken(asked.workload)]
    for fault in broken:
        say(f"not held: {fault}", style="red")
    if not broken:
        workload = asked.workload
        say(
            f"held: p99 within {workload.latency_p99_ms:g} ms, {workload.availability_percent:g} % answered, "
            f"no record older than {workload.stream_delay_seconds:g} s",
            style="green",
        )
    return not broken


def show_ladder() -> None:
    """From half a million to a billion images a day, on instances that answer at once."""
    table = Table(box=None, pad_edge=False)
    for name in ("images/day", "peak/s", "API rate", "adapter", "endpoint", "shards", "$/month", "$/million"):
        table.add_column(name, justify="left" if name == "endpoint" else "right")
    for rung in rungs():
        table.add_row(*_row(rung))
    show(table)
    say()
    say("Where growth exceeds AWS's defaults, and what changes then:", style="bold")
    limits = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("images/day", "quota", "default", "then"):
        limits.add_column(name, justify="right" if name in ("images/day", "default") else "left")
    for each in breaking():
        quota = each.quota
        then = ("raise it; " if quota.adjustable else "") + quota.beyond
        limits.add_row(short(each.images_per_day), quota.title, f"{quota.default or 0:,.0f}", then)
    show(limits)
    say(f"p99 of each rung, and what every number rests on: {_PAGE}", style="dim")


def _row(rung: Rung) -> list[str]:
    plan_ = rung.provision
    fleet = f"{plan_.instances}-{plan_.most_instances}" if plan_.scales else str(plan_.instances)
    return [
        short(rung.workload.images_per_day),
        f"{rung.workload.peak_per_second:,.0f}",
        f"{plan_.api_rate:,.0f}",
        f"{plan_.predict_concurrency or 0:,}",
        f"{fleet} {plan_.instance_type}",
        f"{'on demand' if plan_.on_demand else plan_.shards} x {plan_.consumers_per_shard}",
        f"{rung.bill.total:,.0f}",
        f"{rung.bill.per_million:,.2f}",
    ]
