"""Scheduled rules and schedules by hand: ``POST /_twin/fire/...`` fires one at once, as its clock would.

    fire/<rule>                       a scheduled rule
    fire/schedule/<group>/<name>      a schedule of EventBridge Scheduler

The query may name the `account` (an alias of twin.toml or 12 digits) and the `region`; without an account,
the name must be found in one only.
"""

import time
import uuid
from typing import Any

from twin import config, endpoints, glue

_events = glue.internal("services.eventbridge")
_scheduler = glue.internal("services.scheduler")
_SCHEDULES = "schedule/"
Found = tuple[glue.Scope, str, dict[str, Any]]


def install() -> None:
    """Serve the path."""
    endpoints.register("POST", "fire/", fire)


def fire(request: endpoints.Request) -> dict[str, Any]:
    """Fire what the path names; raises `BadRequest` when it is not there, off, or on no schedule."""
    name = request.path.partition("/")[2]
    is_schedule = name.startswith(_SCHEDULES)
    store = _scheduler._schedules if is_schedule else _events._rules
    key = name.removeprefix(_SCHEDULES) if is_schedule else f"default|{name}"
    scope, key, found = _one(store, key, request.query)
    if found.get("State") != "ENABLED":
        raise endpoints.BadRequest(f"{name} is disabled: enable it first")
    if not found.get("ScheduleExpression"):
        raise endpoints.BadRequest(f"{name} has no schedule: put an event that it matches")
    with glue.scope(scope.account, scope.region):
        targets = [found["Target"]] if is_schedule else list(_events._targets.get(key) or [])
        event = _event(scope, found, "aws.scheduler" if is_schedule else "aws.events")
        view = _events._pattern_event_view(event)
        for target in targets:
            _events._invoke_target(target, event, found, view)
    return {"fired": name, "account": scope.account, "region": scope.region, "targets": len(targets)}


def _one(store: Any, key: str, query: dict[str, str]) -> Found:
    """Return the only entry of that key in the account and region that the query leaves open."""
    account = query.get("account", "")
    account = config.current().accounts.get(account, account)
    found = [
        (glue.Scope(each_account, region), name, record)
        for (each_account, region, name), record in store.all_items()
        if name == key and account in ("", each_account) and query.get("region", region) == region
    ]
    if not found:
        raise endpoints.BadRequest(
            f"there is no {key.rpartition('|')[2]} to fire in {account or 'any account'}"
        )
    if len(found) > 1:
        places = ", ".join(f"{scope.account} ({scope.region})" for scope, _, _ in found)
        raise endpoints.BadRequest(
            f"{key.rpartition('|')[2]} is in {places}: say which by account and region"
        )
    return found[0]


def _event(scope: glue.Scope, fired: dict[str, Any], source: str) -> dict[str, Any]:
    return {
        "EventId": str(uuid.uuid4()),
        "Source": source,
        "DetailType": "Scheduled Event",
        "Detail": "{}",
        "EventBusName": "default",
        "Time": int(time.time()),
        "Resources": [fired.get("Arn", "")],
        "Account": scope.account,
        "Region": scope.region,
    }
