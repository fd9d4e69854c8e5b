"""Names the quotas that an environment's workload would exceed, before anything is deployed."""

from __future__ import annotations

from planning.capacity import Capacity, plan, provision
from planning.explained import Value
from planning.hosting import LIMITS
from planning.provision import Provision
from planning.quotas import exceeded, needs
from stages.settings import EnvironmentSettings, SettingsError
from stages.sizing import SIZED, given, hosting


def capacity(environment: EnvironmentSettings) -> Capacity:
    """The plan for the environment's workload, on what its settings fix."""
    groups = {name: getattr(environment, name) for name in SIZED}
    set_by_hand = {key: value for key, value in given(groups).items() if key not in environment.derived}
    return plan(environment.workload.workload(), set_by_hand, hosting(groups))


def applied(environment: EnvironmentSettings) -> dict[str, Value | None]:
    """Every number as it applies, by its key: the settings', and the plan's where there is no setting."""
    planned = capacity(environment)
    values: dict[str, Value | None] = {each.key: each.value for each in planned.explained}
    for name, fields in SIZED.items():
        values |= {f"{name}.{field}": getattr(getattr(environment, name), field) for field in fields}
    # None reserved for the model: it takes what it needs of what the account has.
    limit = LIMITS["lambda"]
    if values[limit] is None and limit in planned:
        values[limit] = planned[limit].value
    return values


def provided(environment: EnvironmentSettings) -> Provision:
    """What is provisioned, as it applies."""
    return provision(applied(environment), hosting({"hosting": environment.hosting}))


def check_capacity(environment: EnvironmentSettings) -> None:
    """Raises SettingsError naming each quota that is needed beyond AWS's default or the account's own."""
    have = environment.workload.quotas
    found = exceeded(needs(environment.workload.workload(), provided(environment)), dict(have))
    if not found:
        return
    here = f"environments.{environment.name}"
    lines = [f"{here}.workload: {each.in_words(have.get(each.quota.key))}" for each in found]
    keys = ", ".join(f'"{each.quota.key}": {each.value:.0f}' for each in found)
    cure = (
        f"{here}.workload.quotas: say here what the account has been given, such as {{{keys}}}, or lower "
        "the workload; `python -m ops capacity` explains every number"
    )
    raise SettingsError("\n".join([*lines, cure]))
