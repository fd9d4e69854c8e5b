"""What each environment costs in a month, as a file of the assembly: an approver reads how it changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from planning.monthly_cost import Surroundings, monthly
from planning.prices import UnknownPrice
from stages.capacity_checks import provided
from stages.settings import EnvironmentSettings, PlatformSettings

COSTS_FILE = "monthly-costs.json"


def write_costs(settings: PlatformSettings, folder: Path) -> None:
    """Write the estimates of all environments into the assembly's folder."""
    costs = {each.name: cost(each) for each in settings.environments}
    (folder / COSTS_FILE).write_text(json.dumps(costs, indent=1) + "\n")


def cost(environment: EnvironmentSettings) -> dict[str, Any]:
    """The estimate of one environment in US dollars, by component; or why there is none."""
    around = Surroundings.of(environment.model_dump())
    try:
        bill = monthly(environment.workload.workload(), provided(environment), around)
    except UnknownPrice as gap:
        return {"unknown": str(gap)}
    return {
        "images_per_day": bill.workload.images_per_day,
        "components": {item.component: round(item.usd, 2) for item in bill.items},
    }
