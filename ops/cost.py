"""`ops cost`: what a month costs by environment and component, from the settings and the table of prices."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from ops.capacity import Applied, applied
from ops.deployment import Environment
from ops.faults import OperatorFault
from ops.terminal import say, show
from planning.monthly_cost import Bill, Surroundings, monthly
from planning.prices import REGION, UnknownPrice, all_prices


def bill(environment: Environment, workload: str | None = None) -> Bill:
    """A month of the environment, in all its regions. Raises OperatorFault."""
    asked = applied(environment, workload)
    return _bill(asked, environment.settings)


def _bill(asked: Applied, settings: dict[str, Any]) -> Bill:
    try:
        return monthly(asked.workload, asked.provision, Surroundings.of(settings))
    except UnknownPrice as gap:
        raise OperatorFault(str(gap)) from None


def as_document(bills: dict[str, Bill]) -> dict[str, Any]:
    """The bills for machines, in US dollars."""
    return {
        name: {
            "images_per_day": each.workload.images_per_day,
            "usd_a_month": round(each.total, 2),
            "usd_per_million_images": round(each.per_million, 2),
            "components": {item.component: round(item.usd, 2) for item in each.items},
        }
        for name, each in bills.items()
    }


def show_bills(bills: dict[str, Bill]) -> None:
    """One column for each environment, one row for each component; what the last is made of."""
    table = Table(box=None, pad_edge=False)
    table.add_column("US dollars a month")
    for name in bills:
        table.add_column(name, justify="right")
    table.add_column("counted", style="dim")
    last = list(bills.values())[-1]
    components = list(dict.fromkeys(item.component for each in bills.values() for item in each.items))
    for component in components:
        found = [
            next((item for item in each.items if item.component == component), None)
            for each in bills.values()
        ]
        counted = next((item.counted for item in reversed(found) if item is not None), "")
        table.add_row(component, *(f"{item.usd:,.2f}" if item else "" for item in found), counted)
    totals = [f"{each.total:,.2f}" for each in bills.values()]
    table.add_row("total", *totals, f"{last.workload.images_per_day:,} images a day", style="bold")
    table.add_row("per million images", *(f"{each.per_million:,.2f}" for each in bills.values()), "")
    show(table)
    if len(bills) > 1:
        say(f"all environments: {sum(each.total for each in bills.values()):,.2f}", style="bold")
    newest = max(each.source.on for each in all_prices().values())
    say(
        f"Prices of {REGION}, {newest:%Y-%m-%d} (planning/prices.py), without free tiers, discounts, "
        "training and data transfer out. An environment that gets less work says so in its own `workload`.",
        style="dim",
    )
