"""Credentials for each account: a profile of its own, those at hand, or a role that they may assume."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import create_loader

from ops.deployment import Deployment, Place
from ops.faults import OperatorFault, in_words

# The bootstrap stack lets the tooling account assume this one, to read.
LOOKUP_ROLE = "cdk-hnb659fds-lookup-role-{account}-{region}"
_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 4})
_ACCOUNT_DIGITS = 12
# Descriptions of services are large: read once, for all accounts.
_DESCRIPTIONS = create_loader()


class NoAccess(OperatorFault):
    """There are no credentials for an account, or they are of another; the message says the cure."""


@dataclass(frozen=True)
class Identity:
    """Who somebody is to AWS, and in which account."""

    account: str
    arn: str


class Access:
    """Makes boto3 clients for the accounts of a deployment."""

    def __init__(self, deployment: Deployment, profiles: Mapping[str, str], role: str | None = None) -> None:
        """`profiles` maps names (`tooling`, an environment, an account number) to AWS profiles.

        `role` is the name of a role to assume in accounts that have no profile; without it, the one that the
        bootstrap stack made for lookups. Raises NoAccess for a name that the settings do not have.
        """
        known = deployment.accounts()
        unknown = sorted(set(profiles) - set(known) - set(known.values()))
        if unknown:
            raise NoAccess(
                f"--profile {unknown[0]}=...: there is no such account; choose from {', '.join(known)}"
            )
        self._deployment, self._role = deployment, role
        self._profiles = {known.get(name, name): profile for name, profile in profiles.items()}
        self._sessions: dict[tuple[str, str], Any] = {}
        # Making a session or a client takes time, and is not safe in threads; using a client is.
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._lock = threading.RLock()

    def client(self, place: Place, service: str) -> Any:
        """A client for a place. Raises NoAccess."""
        with self._lock:
            key = (place.account, place.region, service)
            if key not in self._clients:
                self._clients[key] = self.session(place).client(service, config=_CONFIG)
            return self._clients[key]

    def session(self, place: Place) -> Any:
        """A session whose credentials are the account's own, which has been asked. Raises NoAccess."""
        with self._lock:
            key = (place.account, place.region)
            if key not in self._sessions:
                self._sessions[key] = self._opened(place)
            return self._sessions[key]

    def arguments(self, account: str) -> list[str]:
        """Options by which the AWS CLI and the CDK CLI use the same profile."""
        profile = self._profiles.get(account)
        return ["--profile", profile] if profile else []

    def environment(self, place: Place) -> dict[str, str]:
        """Environment variables that hand the place's credentials to another program. Raises NoAccess."""
        found = self.session(place).get_credentials().get_frozen_credentials()
        dropped = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "PYTHONDONTWRITEBYTECODE")
        return {
            **{name: value for name, value in os.environ.items() if name not in dropped},
            "AWS_ACCESS_KEY_ID": found.access_key,
            "AWS_SECRET_ACCESS_KEY": found.secret_key,
            **({"AWS_SESSION_TOKEN": found.token} if found.token else {}),
            "AWS_REGION": place.region,
            "AWS_DEFAULT_REGION": place.region,
        }

    def _opened(self, place: Place) -> Any:
        profile = self._profiles.get(place.account)
        try:
            if profile is not None:
                session = new_session(profile_name=profile, region_name=place.region)
                found = identity(session)
                if found.account != place.account:
                    raise NoAccess(
                        f"{place}: profile {profile!r} is of account {found.account} ({found.arn}); "
                        f"name one of {place.account} with --profile {place.name}=NAME"
                    )
                return session
            return self._by_what_is_at_hand(place)
        except (BotoCoreError, ClientError) as fault:
            raise NoAccess(f"{place}: {in_words(fault)}") from None

    def _by_what_is_at_hand(self, place: Place) -> Any:
        session = new_session(region_name=place.region)
        root = _root_of_twin(session, place)
        if root is not None:
            return root
        found = identity(session)
        if found.account == place.account:
            return session
        role = self._role or LOOKUP_ROLE.format(account=place.account, region=place.region)
        arn = f"arn:aws:iam::{place.account}:role/{role}"
        try:
            given = session.client("sts", config=_CONFIG).assume_role(
                RoleArn=arn, RoleSessionName="operator", DurationSeconds=3600
            )["Credentials"]
        except ClientError as fault:
            raise NoAccess(
                f"{place}: the credentials are of account {found.account} ({found.arn}) and may not assume "
                f"{role} ({in_words(fault)}); name a profile with --profile {place.name}=NAME, "
                "or a role with --role"
            ) from None
        return new_session(
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            region_name=place.region,
        )


def new_session(*, profile_name: str | None = None, **settings: str) -> Any:
    """A session like boto3's own, but quick to make clients. Raises what boto3 raises."""
    core = botocore.session.Session(profile=profile_name)
    core.register_component("data_loader", _DESCRIPTIONS)
    return boto3.Session(botocore_session=core, **settings)


def identity(session: Any) -> Identity:
    """Whose credentials a session has. Raises what boto3 raises."""
    told = session.client("sts", config=_CONFIG).get_caller_identity()
    return Identity(told["Account"], told["Arn"])


def _root_of_twin(session: Any, place: Place) -> Any | None:
    """The root of the account in an emulator that takes account numbers for access keys; else None."""
    found = session.get_credentials()
    if found is None:
        return None
    key = str(found.access_key)
    if not os.environ.get("AWS_ENDPOINT_URL") or not (key.isdigit() and len(key) == _ACCOUNT_DIGITS):
        return None
    return new_session(
        aws_access_key_id=place.account,
        aws_secret_access_key=str(found.secret_key),
        region_name=place.region,
    )
