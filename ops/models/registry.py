"""Which model packages may serve in an environment: its own, and those of the one it takes models from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from ops.access import NoAccess
from ops.faults import is_absent, is_denied
from ops.models.home import CHAMPION, Home, find
from ops.models.records import packages

Record = dict[str, Any]


def source(home: Home) -> Home | None:
    """The environment that `models_from` names, in the same region: models are served where they lie."""
    name = home.environment.settings.get("models_from")
    return find(home.deployment, home.access, name, home.place.region) if name else None


def owner(home: Home, package: str) -> Home | None:
    """The environment whose champion's package it is; None for all others, which may not serve in `home`."""
    for each in _sources(home):
        if package.startswith(_packages_of(each)):
            return each
    return None


def accepted(home: Home) -> str:
    """Which packages may serve in the environment, in words."""
    return " or ".join(f"{_packages_of(each)}*" for each in _sources(home))


def status(home: Home, package: str) -> str | None:
    """A package's approval; empty where none such may serve, None where these credentials may not ask."""
    place = owner(home, package)
    if place is None:
        return ""
    try:
        told = place.client("sagemaker").describe_model_package(ModelPackageName=package)
    except NoAccess:
        return None
    except ClientError as fault:
        if is_absent(fault) or "does not exist" in str(fault):
            return ""
        if is_denied(fault):
            return None
        raise
    return str(told["ModelApprovalStatus"])


def approved(home: Home) -> Iterator[Record]:
    """The approved packages of the environment's champion, newest first; none where there is no group."""
    try:
        yield from packages(home, home.endpoint(CHAMPION))
    except ClientError as fault:
        if not is_absent(fault):
            raise


def _sources(home: Home) -> list[Home]:
    return [each for each in (home, source(home)) if each is not None]


def _packages_of(home: Home) -> str:
    """What the ARNs of the packages of its champion begin with."""
    place = home.place
    return f"arn:aws:sagemaker:{place.region}:{place.account}:model-package/{home.endpoint(CHAMPION)}/"
