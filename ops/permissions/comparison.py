"""Compares what roles are granted with what IAM says that they have used, action by action."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.table import Table

from ops.faults import OperatorFault
from ops.models.home import Home
from ops.permissions.reasons import reason_for

# Hashes of logical ids, and random ends of names.
_ADDED = re.compile(r"[0-9A-F]{8,}[0-9A-Z-]*$")
_AT_ONCE = 4
_REPORT_SECONDS, _POLL_SECONDS = 60, 0.5
# Roles that act by hand or in tests, and not in a run.
_NOT_OF_RUNS = ("-smoke",)

Record = dict[str, Any]


@dataclass(frozen=True)
class Grant:
    """One action of one role. `used` is when it was last used; `known` whether IAM follows such actions."""

    role: str
    action: str
    used: datetime | None
    known: bool
    reason: str

    @property
    def is_open(self) -> bool:
        """Whether it is unused without a reason."""
        return self.used is None and self.known and not self.reason


def compare(home: Home) -> list[Grant]:
    """Every action of the environment's roles for runs, by role and action. Raises OperatorFault."""
    api = home.client("iam")
    roles = [
        role
        for page in api.get_paginator("list_roles").paginate()
        for role in page["Roles"]
        if role["RoleName"].startswith(f"{home.prefix}-") and not role["RoleName"].endswith(_NOT_OF_RUNS)
    ]
    if not roles:
        raise OperatorFault(f"{home} has no roles called {home.prefix}-...: deliver the platform to it first")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda role: list(_of_role(api, role)), roles)
    return [grant for grants in found for grant in grants]


def _of_role(api: Any, role: Record) -> Iterator[Grant]:
    name = _short(role["RoleName"])
    used, services = _used(api, role["Arn"])
    for action in sorted(_granted(api, role["RoleName"])):
        service = action.partition(":")[0]
        yield Grant(
            name,
            action,
            used.get(action.lower()),
            # Where a service was used and its actions are not followed, nobody knows which ones were.
            known=services.get(service, True),
            reason=reason_for(name, action),
        )


def _granted(api: Any, role: str) -> set[str]:
    """The actions that the role's policies allow."""
    documents = [
        api.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for page in api.get_paginator("list_role_policies").paginate(RoleName=role)
        for name in page["PolicyNames"]
    ]
    for page in api.get_paginator("list_attached_role_policies").paginate(RoleName=role):
        for each in page["AttachedPolicies"]:
            policy = api.get_policy(PolicyArn=each["PolicyArn"])["Policy"]
            version = api.get_policy_version(
                PolicyArn=each["PolicyArn"], VersionId=policy["DefaultVersionId"]
            )
            documents.append(version["PolicyVersion"]["Document"])
    return {
        action
        for document in documents
        for statement in _listed(document["Statement"])
        if statement["Effect"] == "Allow"
        for action in _listed(statement.get("Action", []))
    }


def _used(api: Any, arn: str) -> tuple[dict[str, datetime], dict[str, bool]]:
    """When each action was last used, and of each used service whether its actions are followed."""
    job = api.generate_service_last_accessed_details(Arn=arn, Granularity="ACTION_LEVEL")["JobId"]
    until, more = time.monotonic() + _REPORT_SECONDS, dict[str, str]()
    used: dict[str, datetime] = {}
    services: dict[str, bool] = {}
    while True:
        told = api.get_service_last_accessed_details(JobId=job, **more)
        if told["JobStatus"] == "IN_PROGRESS" and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            continue
        if told["JobStatus"] != "COMPLETED":
            raise OperatorFault(f"IAM's report on {arn} is {told['JobStatus']}: run the same command again")
        for service in told["ServicesLastAccessed"]:
            name = service["ServiceNamespace"]
            tracked = service.get("TrackedActionsLastAccessed", [])
            services[name] = bool(tracked) or "LastAuthenticated" not in service
            used |= {
                f"{name}:{each['ActionName']}".lower(): each["LastAccessedTime"]
                for each in tracked
                if "LastAccessedTime" in each
            }
        if not told.get("IsTruncated"):
            return used, services
        more = {"Marker": told["Marker"]}


def table(home: Home, grants: list[Grant], *, everything: bool) -> Table:
    """The comparison, for people: what is not used, or everything."""
    drawn = Table(title=f"Permissions of {home}", title_justify="left", box=None, pad_edge=False)
    for name in ("role", "action", "used", "reason"):
        drawn.add_column(name, no_wrap=name != "reason")
    for each in grants:
        if everything or each.used is None:
            drawn.add_row(each.role, each.action, *_words(each), style="bold red" if each.is_open else "")
    return drawn


def page(home: Home, grants: list[Grant]) -> str:
    """The comparison as Markdown: a line for each role, then what is not used and why."""
    lines = [
        f"# Permissions of the roles in {home.name}: granted and used",
        "",
        "Written by `python -m ops permissions --write FILE` after full runs: what a role's policies allow,",
        "against what IAM says that it has used. What is not used has a reason, or is to be taken out.",
        "",
        "| role | granted | used | unused with a reason | unused without |",
        "|---|---|---|---|---|",
    ]
    for role in dict.fromkeys(each.role for each in grants):
        own = [each for each in grants if each.role == role]
        unused = [each for each in own if each.used is None]
        opened = [each for each in unused if each.is_open]
        counts = (len(own), len(own) - len(unused), len(unused) - len(opened), len(opened))
        lines.append(f"| {role} | {' | '.join(map(str, counts))} |")
    lines += ["", "## Not used", "", "| role | action | reason |", "|---|---|---|"]
    lines += [
        f"| {each.role} | `{each.action}` | {_words(each)[1]} |" for each in grants if each.used is None
    ]
    return "\n".join(lines) + "\n"


def as_records(grants: list[Grant]) -> list[Record]:
    """For machines."""
    return [
        {
            "role": each.role,
            "action": each.action,
            "used": each.used.isoformat() if each.used else None,
            "known": each.known,
            "reason": each.reason,
            "open": each.is_open,
        }
        for each in grants
    ]


def _words(grant: Grant) -> tuple[str, str]:
    if grant.used:
        return f"{grant.used:%Y-%m-%d %H:%M}", ""
    if not grant.known:
        return "unknown", grant.reason or "IAM does not follow the actions of this service"
    return "no", grant.reason or "none: take it out of the policy, or say why in ops/permissions/reasons.py"


def _short(role: str) -> str:
    """A role's name without what CloudFormation has added, which means nothing to a reader."""
    return _ADDED.sub("", role).rstrip("-")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
