"""Changes of the templates' policies, and what the dossier says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from delivery.dossier.model import Permissions
from delivery.dossier.permissions import compare
from delivery.dossier.sides import Side, Stack, renamed
from tests.delivery.dossier.world import ACCOUNT, REGION, Templates, templates

INFERENCE, DATA = "vision-prod-inference", "vision-prod-data"
ROLE = "Role Predict/Role (vision-prod-inference)"
Change = Callable[[Templates], Any]


def side(planned: Templates, same: dict[str, str] | None = None) -> Side:
    path = {name: f"Delivery/Prod/{name.rsplit('-', 1)[-1].capitalize()}" for name in planned}
    return Side([Stack(name, ACCOUNT, REGION, each, {}, path[name]) for name, each in planned.items()], same)


def changed(change: Change, earlier: Change = lambda _: None) -> Permissions:
    """How permissions change when `change` comes to templates that `earlier` had altered."""
    before, after = templates(), templates()
    earlier(before)
    earlier(after)
    change(after)
    old, new = side(before), side(after)
    return compare(old, side(after, renamed(old, new)), ACCOUNT)


def gained(change: Change, earlier: Change = lambda _: None) -> list[str]:
    return [each.sentence for each in changed(change, earlier).gained]


def statements(planned: Templates) -> list[dict[str, Any]]:
    return planned[INFERENCE]["Resources"]["RolePolicy"]["Properties"]["PolicyDocument"]["Statement"]


def add(*more: dict[str, Any]) -> Change:
    return lambda planned: statements(planned).extend(more)


def instead(*others: dict[str, Any]) -> Change:
    def change(planned: Templates) -> None:
        statements(planned)[:] = others

    return change


def role(planned: Templates) -> dict[str, Any]:
    return planned[INFERENCE]["Resources"]["Role"]["Properties"]


def trusted(*others: dict[str, Any]) -> Change:
    def change(planned: Templates) -> None:
        role(planned)["AssumeRolePolicyDocument"]["Statement"] = list(others)

    return change
