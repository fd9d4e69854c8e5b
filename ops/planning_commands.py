"""The commands about capacity and cost, which ask nothing of AWS: settings and arithmetic only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from ops import capacity as plans
from ops import cost as costs
from ops import options
from ops.deployment import Deployment, Environment, read_deployment
from ops.faults import OperatorFault
from ops.options import Json, faults_in_words
from ops.terminal import as_json
from planning.explained import Explained
from planning.ladder import breaking, rungs

Work = Annotated[
    str | None,
    typer.Option(
        "--workload", metavar="IMAGES", help="Images a day instead of the settings': 500k, 50M, 1B."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the operator's command line."""
    app.command()(capacity)
    app.command()(cost)


@faults_in_words
def capacity(
    environment: Annotated[
        str | None, typer.Option(help="Which environment (default: the last, prod).")
    ] = None,
    workload: Work = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Try it at the peak; exit 1 when a goal is not held.")
    ] = False,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="From half a million to a billion images a day.")
    ] = False,
    json: Json = False,
) -> None:
    """Explain every number that is provisioned for the workload, and name the quotas that it exceeds."""
    if ladder:
        if json:
            as_json(_ladder())
        else:
            plans.show_ladder()
        return
    asked = plans.applied(chosen(read_deployment(), environment), workload)
    seen = plans.simulated(asked) if simulate else ()
    if json:
        as_json(_document(asked) | {"simulated": [asdict(each) for each in seen]})
        held = not any(each.broken(asked.workload) for each in seen)
    else:
        plans.show_plan(asked)
        held = plans.show_simulation(asked, seen) if seen else True
    raise typer.Exit(0 if held else options.FAILED)


@faults_in_words
def cost(
    environment: Annotated[str | None, typer.Option(help="Only this environment.")] = None,
    workload: Work = None,
    json: Json = False,
) -> None:
    """Estimate what a month costs, by environment and component, and a million images."""
    deployment = read_deployment()
    asked = deployment.environments if environment is None else (chosen(deployment, environment),)
    bills = {each.name: costs.bill(each, workload) for each in asked}
    if json:
        as_json(costs.as_document(bills))
    else:
        costs.show_bills(bills)


def chosen(deployment: Deployment, name: str | None) -> Environment:
    """The environment of that name; the last without one. Raises OperatorFault."""
    if name is None:
        return deployment.environments[-1]
    for each in deployment.environments:
        if each.name == name:
            return each
    known = ", ".join(each.name for each in deployment.environments)
    raise OperatorFault(f"--environment {name}: there is none of that name (there are: {known})")


def _document(asked: plans.Applied) -> dict[str, Any]:
    return {
        "environment": asked.environment,
        "workload": asdict(asked.workload),
        "numbers": [_number(asked, each) for each in asked.capacity.explained],
        "provision": asdict(asked.provision),
        "quotas_exceeded": [
            {
                "key": each.quota.key,
                "need": each.value,
                "default": each.quota.default,
                "says": each.in_words(asked.quotas.get(each.quota.key)),
            }
            for each in asked.exceeded
        ],
    }


def _number(asked: plans.Applied, number: Explained) -> dict[str, Any]:
    return {
        **asdict(number),
        "applies": asked.settings.get(number.key, number.value),
        "set_by_hand": number.key in asked.given,
    }


def _ladder() -> dict[str, Any]:
    return {
        "rungs": [
            {
                "images_per_day": each.workload.images_per_day,
                "provision": asdict(each.provision),
                "usd_a_month": round(each.bill.total, 2),
                "usd_per_million_images": round(each.bill.per_million, 2),
                "quotas_exceeded": {need.quota.key: need.value for need in each.exceeded},
            }
            for each in rungs()
        ],
        "breaks_at": {each.quota.key: each.images_per_day for each in breaking()},
    }
