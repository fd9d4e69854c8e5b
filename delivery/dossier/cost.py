"""What the environment will cost in a month, and how much more that is than before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delivery.dossier.faults import DossierError
from delivery.dossier.model import Cost, CostItem, Dossier

# As stages.monthly_costs names it: the dossier loads nothing of the stages, and a test holds both together.
COSTS_FILE = "monthly-costs.json"


def read(folder: Path, environment: str, last_success: str | None, before: Dossier | None) -> Cost | None:
    """The estimate that synthesis wrote into the assembly, beside that of the last success's dossier.

    None for an assembly without estimates, as earlier versions of the platform made them. Raises DossierError
    for one that cannot be read.
    """
    path = folder / COSTS_FILE
    if not path.is_file():
        return None
    try:
        told: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")).get(environment, {})
        if "components" not in told:
            return Cost(unknown=str(told.get("unknown", f"{COSTS_FILE} says nothing of {environment}")))
        now = {str(name): float(usd) for name, usd in told["components"].items()}
        images = int(told["images_per_day"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DossierError(
            f"{path} cannot be read ({error}): the build step writes it; run it again"
        ) from None
    last = before.cost if before is not None and before.cost is not None else None
    if before is None or last is None or last.unknown:
        items = tuple(CostItem(component=name, usd=usd) for name, usd in now.items())
        return Cost(images_per_day=images, items=items)
    then = {item.component: item.usd for item in last.items if item.usd}
    items = tuple(
        CostItem(component=name, usd=now.get(name, 0.0), before=then.get(name, 0.0))
        for name in dict.fromkeys([*now, *then])
    )
    return Cost(images_per_day=images, items=items, compared_with=last_success)
