"""The dossier as data: what dossier.json holds, and what the page and the short text are made from."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA: Literal["vision.dossier/1"] = "vision.dossier/1"


class _Part(BaseModel):
    """A part of the dossier: fixed once made, and without fields that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Commit(_Part):
    """A revision that reached the pipeline; `at` is when its execution began."""

    revision: str
    summary: str
    at: datetime
    execution: str
    url: str = ""


class Commits(_Part):
    """What came since the last deployment to the environment, oldest first.

    `since` is the execution whose deployment succeeded last, None when there was none. `going_back` is set
    when the revision to be deployed is older than the one that is deployed.
    """

    since: str | None
    since_revision: str = ""
    deployed_at: datetime | None = None
    commits: tuple[Commit, ...]
    going_back: bool = False


class Action(StrEnum):
    """What becomes of a resource."""

    ADDED = "added"
    CHANGED = "changed"
    REPLACED = "replaced"
    MAYBE_REPLACED = "may be replaced"
    DELETED = "deleted"


class PropertyChange(_Part):
    """One changed value, shortened for reading; empty where there is none on that side."""

    path: str
    before: str
    after: str


class ResourceChange(_Part):
    """What happens to one resource. `code_only`: nothing but the content of assets differs."""

    logical_id: str
    label: str
    type: str
    action: Action
    properties: tuple[PropertyChange, ...] = ()
    code_only: bool = False
    because: str = ""


class Basis(StrEnum):
    """What a stack's changes were read from."""

    CHANGE_SET = "change set"
    TEMPLATE = "templates and resource schemas"


class StackChange(_Part):
    """What happens to one stack."""

    name: str
    account: str
    region: str
    first: bool
    basis: Basis
    basis_because: str = ""
    resources: tuple[ResourceChange, ...] = ()
    parameters: tuple[PropertyChange, ...] = ()
    outputs: tuple[PropertyChange, ...] = ()
    notes: tuple[str, ...] = ()

    def counted(self, *actions: Action) -> int:
        """How many resources meet one of these fates."""
        return sum(change.action in actions for change in self.resources)


class PermissionChange(_Part):
    """A sentence on what somebody may do now, or no longer; `actions` and the rest are its parts."""

    sentence: str
    holder: str
    actions: tuple[str, ...] = ()
    resource: str = ""
    principal: str = ""
    condition: str = ""
    kind: Literal["allow", "deny", "trust", "boundary"]


class Permissions(_Part):
    """How permissions change. `gained` broadens what somebody may do; `lost` narrows it."""

    gained: tuple[PermissionChange, ...] = ()
    lost: tuple[PermissionChange, ...] = ()
    broadened: bool = False


class StatefulRisk(_Part):
    """A danger to data or to what others hold on to."""

    stack: str
    logical_id: str
    label: str
    type: str
    kind: Literal["replaced", "may be replaced", "deleted", "protection"]
    what: str
    why: str


class Acknowledgement(_Part):
    """A finding of the compliance gate that somebody accepted at a construct, for a reason."""

    at: str
    finding: str
    reason: str


class Acknowledgements(_Part):
    """How the accepted findings change. Without `compared_with` there is nothing to compare them with."""

    compared_with: str | None
    all: tuple[Acknowledgement, ...] = ()
    added: tuple[Acknowledgement, ...] = ()
    removed: tuple[Acknowledgement, ...] = ()
    changed: tuple[Acknowledgement, ...] = ()


class CostItem(_Part):
    """What one component costs in a month, in US dollars; `before` is what it cost in the last dossier."""

    component: str
    usd: float
    before: float | None = None


class Cost(_Part):
    """An estimate of a month in the environment; without `compared_with` nothing is known of before.

    `unknown` says why there is no estimate.
    """

    images_per_day: int = 0
    items: tuple[CostItem, ...] = ()
    compared_with: str | None = None
    unknown: str = ""

    @property
    def usd(self) -> float:
        """The whole month, in US dollars."""
        return round(sum(item.usd for item in self.items), 2)

    @property
    def change(self) -> float | None:
        """How much more that is than before; None where nothing is known of before."""
        if self.compared_with is None or self.unknown:
            return None
        return round(self.usd - sum(item.before or 0.0 for item in self.items), 2)

    @property
    def changed(self) -> tuple[CostItem, ...]:
        """The components that cost more or less than before, the largest differences first."""
        found = [item for item in self.items if self.change is not None and item.usd != (item.before or 0.0)]
        return tuple(sorted(found, key=lambda item: -abs(item.usd - (item.before or 0.0))))


class SmokeResult(_Part):
    """What the smoke tests of the environment before found; `page` is the report's s3:// address."""

    environment: str
    region: str
    passed: bool
    checks: int
    failed: tuple[str, ...] = ()
    accuracy: float | None = None
    images_right: str = ""
    total_seconds: float
    slowest: tuple[tuple[str, float], ...] = ()
    page: str


class Smoke(_Part):
    """The smoke results of this execution in the environment before; empty results: none were found."""

    environment: str
    results: tuple[SmokeResult, ...] = ()


class RollbackNet(_Part):
    """Whether the pipeline can go back by itself when this deployment fails."""

    present: bool
    why: str


class Dossier(_Part):
    """Everything an approver is told before a deployment."""

    schema_name: Literal["vision.dossier/1"] = Field(alias="schema")
    pipeline: str
    execution: str
    environment: str
    account: str
    regions: tuple[str, ...]
    made_at: datetime
    first: bool
    risk: Literal["none", "confirm"]
    risks: tuple[str, ...] = ()
    commits: Commits
    stacks: tuple[StackChange, ...]
    left_behind: tuple[str, ...] = ()
    permissions: Permissions
    stateful: tuple[StatefulRisk, ...] = ()
    acknowledgements: Acknowledgements
    cost: Cost | None = None
    smoke: Smoke | None = None
    rollback: RollbackNet

    def counted(self, *actions: Action) -> int:
        """How many resources of all stacks meet one of these fates."""
        return sum(stack.counted(*actions) for stack in self.stacks)

    @property
    def code_changes(self) -> int:
        """How many resources change in nothing but code."""
        return sum(each.code_only for stack in self.stacks for each in stack.resources)
