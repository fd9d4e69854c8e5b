"""The whole examination: every check, for every place, and the findings in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from botocore.exceptions import BotoCoreError

from ops.access import Access, NoAccess
from ops.deployment import Deployment, Place, SettingsFault, read_deployment
from ops.doctor import bootstrap, leftovers, quotas, regions, source, versions
from ops.doctor.findings import Finding, Verdict, fault, not_checked, well
from ops.faults import in_words

_AT_ONCE = 6
Check = Callable[[], Iterable[Finding]]


def examine(root: Path, open_access: Callable[[Deployment], Access]) -> list[Finding]:
    """All findings: of this machine, of the settings, and of every account and region they name.

    Raises NoAccess when `open_access` does, for options that do not fit the settings.
    """
    found = list(versions.check(root))
    try:
        deployment = read_deployment(root)
    except SettingsFault as wrong:
        found += [
            fault("settings-invalid", "cdk.json", line, "correct it in cdk.json, context.platform")
            for line in str(wrong).splitlines()
        ]
        return [*found, not_checked("accounts", "cdk.json", "the settings do not say which")]
    found.append(well("settings", "cdk.json", f"{len(deployment.environments)} environment(s)"))
    access = open_access(deployment)
    found += _credentials(deployment, access)
    unreachable = {
        each.where for each in found if each.name == "credentials" and each.verdict is Verdict.FAULT
    }
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        checks = [
            (place, check)
            for place in deployment.places()
            if str(place) not in unreachable
            for check in _checks(deployment, place, access)
        ]
        for findings in pool.map(lambda each: _answers(*each), checks):
            found += findings
    return found


def _checks(deployment: Deployment, place: Place, access: Access) -> Iterator[Check]:
    yield lambda: regions.check(deployment, place, access)
    yield lambda: bootstrap.check(place, deployment.tooling, access)
    yield lambda: quotas.check(deployment, place, access)
    yield lambda: leftovers.check_stacks(deployment, place, access)
    if place == deployment.tooling:
        yield lambda: source.check(deployment, access)
        yield lambda: leftovers.check_transitions(deployment, access)


def _answers(place: Place, check: Check) -> list[Finding]:
    try:
        return list(check())
    except NoAccess as missing:
        return [fault("credentials", place, str(missing), "sign in to that account")]
    except BotoCoreError as broken:
        return [fault("unanswered", place, in_words(broken), "run the same command again")]


def _credentials(deployment: Deployment, access: Access) -> Iterator[Finding]:
    for place in deployment.places():
        try:
            access.session(place)
        except NoAccess as missing:
            cure = f"--profile {place.name}=NAME, with a profile of account {place.account}"
            yield fault("credentials", place, str(missing).removeprefix(f"{place}: "), cure)
        else:
            yield well("credentials", place, f"credentials of account {place.account}")
