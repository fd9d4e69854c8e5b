"""Promoting a package by hand: the newest, a named one, the previous one; also of another environment."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from ops.faults import OperatorFault
from ops.models import registry
from ops.models.execution import Execution
from ops.models.home import CHAMPION, Home
from ops.models.records import Records
from ops.models.start import not_deployed
from ops.models.watch import follow
from ops.terminal import confirm, say

Record = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What would serve instead of what, and why it was chosen."""

    package: str
    serving: str
    says: str


def new_id(kind: str) -> str:
    """An id for a deployment that a person starts: a new one each time, or it would be taken for a repeat."""
    return f"{kind}-{datetime.now(UTC):%y%m%d%H%M%S}-{secrets.token_hex(2)}"


def serving(home: Home) -> str:
    """The package that the champion's endpoint serves; empty while there is none."""
    champion = Records(home).champion()
    return str(champion["model_package_arn"]) if champion else ""


def plan(home: Home, package: str | None) -> Plan:
    """What a promotion to the environment would do.

    Without `package` it is the newest approved one: of the environment that `models_from` names, else of the
    environment itself. Raises OperatorFault when there is none, or it serves already.
    """
    now = serving(home)
    if package is not None:
        return Plan(_acceptable(home, package), now, "the package that you have named")
    place = registry.source(home) or home
    group = place.endpoint(CHAMPION)
    newest = next(registry.approved(place), None)
    if newest is None:
        raise OperatorFault(f"{place} has no approved package in {group}: train a model there first")
    arn = str(newest["ModelPackageArn"])
    if arn == now:
        raise OperatorFault(f"{home} serves the newest approved package of {group} already: {arn}")
    return Plan(arn, now, f"the newest approved package of {group}")


def plan_back(home: Home) -> Plan:
    """What a rollback of the model would do: to the package that served before, or an earlier approved one.

    Raises OperatorFault when there is none.
    """
    champion = Records(home).champion()
    if champion is None:
        raise OperatorFault(f"{home} has promoted no model yet: there is nothing to take back")
    now, before = str(champion["model_package_arn"]), str(champion.get("previous_model_package_arn") or "")
    # Going back must not need another account's credentials: where they lack, the workflow asks for itself.
    if before and registry.status(home, before) in ("Approved", None):
        return Plan(before, now, "the package that served before")
    place = registry.owner(home, now) or home
    approved = [str(each["ModelPackageArn"]) for each in registry.approved(place)]
    older = approved[approved.index(now) + 1 :] if now in approved else approved
    if not older:
        raise OperatorFault(f"{place.endpoint()} has no approved package before {now}")
    return Plan(older[0], now, "the newest approved package before the one that serves")


def run(home: Home, intended: Plan, *, reason: str, yes: bool) -> Record:
    """Shows what it would do, asks, does it, and follows it to its end. Raises OperatorFault, Cancelled."""
    say(f"{home.endpoint()} in {home} would go", style="bold")
    say(f"  from {intended.serving or 'no model'}")
    say(f"  to   {intended.package}")
    say(f"       ({intended.says})")
    confirm(f"Promote it in {home.name}?", yes=yes)
    execution = start(home, intended.package, reason=reason, deployment=new_id(reason[0]))
    return finish(home, execution)


def finish(home: Home, execution: Execution) -> Record:
    """Follows a promotion to its end; answers how it ended."""
    follow(home, execution, again=f"python -m ops watch {execution.arn} {home.option}")
    return result(home, execution)


def start(home: Home, package: str, *, reason: str, deployment: str) -> Execution:
    """Starts the promotion workflow."""
    api = home.client("stepfunctions")
    given = {
        "line": CHAMPION,
        "deployment_id": deployment,
        "model_package_arn": package,
        "reason": reason,
    }
    try:
        told = api.start_execution(
            stateMachineArn=home.machine("promotion"), name=deployment, input=json.dumps(given)
        )
    except ClientError as fault:
        raise not_deployed(home, "promotion", fault) from None
    return Execution(api, told["executionArn"])


def result(home: Home, execution: Execution) -> Record:
    """How a promotion ended, as a machine reads it."""
    error, cause = execution.failure
    good = execution.status == "SUCCEEDED"
    return {
        **execution.output,
        "environment": home.name,
        "status": execution.status,
        "execution_arn": execution.arn,
        "deployment_id": execution.input.get("deployment_id"),
        "model_package_arn": execution.input.get("model_package_arn"),
        **({} if good else {"error": error, "cause": cause}),
        "serving_model_package_arn": serving(home),
    }


def show(home: Home, told: Record) -> None:
    """How a promotion ended, for people."""
    if told["status"] == "SUCCEEDED":
        say(f"{home.endpoint()} serves {told['model_package_arn']}", style="bold green")
        say(f"  back to the model before: python -m ops rollback --model {home.option}")
        return
    say(f"not promoted: {told['error']}", style="bold red")
    if told["cause"]:
        say(f"  why: {told['cause']}")
    say(f"  {home.endpoint()} serves {told['serving_model_package_arn'] or 'no model'}")


def _acceptable(home: Home, package: str) -> str:
    """The package's ARN. Raises OperatorFault where it is none that may serve here, or is not approved."""
    if ":model-package/" not in package:
        raise OperatorFault(f"--package {package}: give a model package's ARN, as ops lineage show tells it")
    place = registry.owner(home, package)
    if place is None:
        raise OperatorFault(
            f"--package {package}: {home.name} promotes {registry.accepted(home)}; "
            f"environments.{home.name}.models_from of the settings names whose models it takes beside its own"
        )
    status = registry.status(home, package)
    # Where we may not ask, the workflow does, as itself.
    if status not in ("Approved", None):
        raise OperatorFault(
            f"--package {package}: it is {status or 'not there'}, and must be Approved"
            + (f": approve it in the model registry of {place}" if status else "")
        )
    return package
