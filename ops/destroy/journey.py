"""The whole way: show what would go, have the name typed, delete everything in order, list what is left.

Every step looks at what is there, so that an interrupted run is simply run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

from ops.access import Access
from ops.deployment import Deployment
from ops.destroy import bootstrap, left, remains, stacks, vaults, workload
from ops.destroy.estate import DELIVERY, Estate, estates
from ops.destroy.left import Left
from ops.faults import OperatorFault
from ops.terminal import confirm_name, say


def run(
    deployment: Deployment,
    access: Access,
    *,
    released: Iterable[str] = (),
    only: str | None = None,
    with_bootstrap: bool = False,
    typed: str | None = None,
) -> list[Left]:
    """Destroys the platform, or the environment `only`; answers what is left.

    `released` names protected environments whose data may go as well. Raises OperatorFault, Cancelled.
    """
    known = {environment.name for environment in deployment.environments}
    for name in (*released, *([only] if only else ())):
        if name not in known:
            raise OperatorFault(f"there is no environment {name}; there are {', '.join(sorted(known))}")
    if only and with_bootstrap:
        raise OperatorFault("--with-bootstrap goes with the whole platform, not with --environment")
    found = list(estates(deployment, access, released=frozenset(released)))
    chosen = [each for each in found if only in (None, each.part)]
    for estate in chosen:
        # Credentials for all accounts, before anything is gone.
        access.session(estate.place)
    _announce(chosen)
    confirm_name(f"This destroys {deployment.name} in {len(chosen)} place(s).", deployment.name, typed)
    for estate in found:
        if estate.part == DELIVERY and estate.place == deployment.tooling:
            workload.stop_pipeline(estate, _teller(estate))
    for _, group in groupby(chosen, key=lambda estate: estate.part):
        _destroy(list(group))
    if with_bootstrap:
        for estate in _one_a_region(chosen):
            bootstrap.delete(estate, _teller(estate))
    return _left(deployment, chosen)


def _announce(chosen: list[Estate]) -> None:
    for estate in chosen:
        names = [stack["StackName"] for stack in stacks.owned(estate)]
        what = f"stacks {', '.join(names)}" if names else "no stack"
        fate = "its data, logs and keys are KEPT" if estate.keeps else "its data goes too"
        say(f"{estate}: {what}; {fate}")


def _destroy(part: list[Estate]) -> None:
    """One part, in all its regions: roles are common to them and go last."""
    for estate in part:
        tell = _teller(estate)
        workload.stop_workflows(estate, tell)
        workload.clear_sagemaker(estate, tell)
        stacks.delete_all(estate, tell)
    for estate in part:
        tell = _teller(estate)
        remains.delete_report_groups(estate, tell)
        remains.delete_buckets(estate, tell)
        if not estate.keeps:
            workload.clear_registry(estate, tell)
            remains.delete_data(estate, tell)
            vaults.delete_vaults(estate, tell)
            remains.delete_keys(estate, tell)
    for estate in part:
        remains.delete_roles(estate, _teller(estate))


def _left(deployment: Deployment, chosen: list[Estate]) -> list[Left]:
    days = {each.name: each.settings["retention"]["log_days"] for each in deployment.environments}
    longest = max(days.values())
    found = [item for each in chosen for item in left.look(each, days.get(each.part, longest))]
    return [*found, *left.bootstrap(chosen)]


def _one_a_region(chosen: list[Estate]) -> list[Estate]:
    return list({(each.place.account, each.place.region): each for each in chosen}.values())


def _teller(estate: Estate) -> Callable[[str], None]:
    return lambda text: say(f"  {estate}: {text}")


def show(found: list[Left]) -> None:
    """What is left, for people: first what should not be."""
    for each in sorted(found, key=lambda item: bool(item.reason)):
        if each.reason:
            say(f"  kept  {each.where}: {each.kind} {each.name}: {each.reason}")
        else:
            say(f"  LEFT  {each.where}: {each.kind} {each.name}", style="bold red")
    unexplained = sum(not each.reason for each in found)
    say(
        "nothing is left that nobody wants to keep"
        if not unexplained
        else f"{unexplained} resource(s) should be gone: run destroy again"
    )
