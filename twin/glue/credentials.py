"""Temporary credentials for roles, as an AWS service obtains them, and SDK clients on the twin's endpoint."""

import json
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from twin import config
from twin.glue.internals import internal

_SESSION_SECONDS = 12 * 3600  # the longest a role session lasts on AWS
_shared = botocore.session.Session()
_client_lock = threading.Lock()


class TrustError(Exception):
    """The role does not exist, or its trust policy does not let this service assume it."""


def _find_role(role_arn: str) -> dict[str, Any] | None:
    parts = role_arn.split(":")
    if len(parts) != 6 or not parts[5].startswith("role/"):
        raise TrustError(f"{role_arn!r} is not the ARN of a role")
    return internal("services.iam")._roles.get_scoped(parts[4], None, role_arn.rsplit("/", 1)[-1])


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _trusts(role: dict[str, Any], service_principal: str, source_account: str, source_arn: str) -> bool:
    """Whether the trust policy allows `sts:AssumeRole` to the service, conditions and denials included."""
    evaluator = internal("core.iam_evaluator")
    document = role.get("AssumeRolePolicyDocument") or {}
    document = json.loads(document) if isinstance(document, str) else document
    context = evaluator.EvalContext(
        principal_arn=service_principal,
        principal_type="Service",
        principal_account=source_account,
        action="sts:AssumeRole",
        resource_arn=role.get("Arn", "*"),
        region="",
        service_context={"aws:sourceaccount": source_account, "aws:sourcearn": source_arn or None},
    )
    allowed = False
    for statement in _as_list(document.get("Statement")):
        principal = statement.get("Principal") or {}
        named = _as_list(principal.get("Service")) if isinstance(principal, dict) else [principal]
        if service_principal not in named and "*" not in named:
            continue
        if not {"sts:AssumeRole", "sts:*", "*"} & set(_as_list(statement.get("Action"))):
            continue
        if not evaluator._conditions_met(statement.get("Condition") or {}, context):
            continue
        if statement.get("Effect") == "Deny":
            return False
        allowed = True
    return allowed


def check_trust(role_arn: str, service_principal: str, source_arn: str = "") -> None:
    """Raise `TrustError` unless the role exists and trusts the service (``sagemaker.amazonaws.com``)."""
    role = _find_role(role_arn)
    if role is None:
        raise TrustError(f"role {role_arn} does not exist")
    if not _trusts(role, service_principal, role_arn.split(":")[4], source_arn):
        raise TrustError(
            f"role {role_arn} does not trust {service_principal}: add it to the role's trust policy"
        )


def service_session(
    role_arn: str, service_principal: str, session_name: str, source_arn: str = ""
) -> dict[str, str]:
    """Return credentials (as environment variables) for the role, assumed by an AWS service.

    Raises `TrustError` when the role is missing or does not trust `service_principal`.
    """
    check_trust(role_arn, service_principal, source_arn)
    return role_credentials(role_arn, session_name)


def role_credentials(role_arn: str, session_name: str) -> dict[str, str]:
    """Return credentials (as environment variables) for the role; the caller has checked that it may.

    Raises `TrustError` when the role does not exist.
    """
    role = _find_role(role_arn)
    if role is None:
        raise TrustError(f"role {role_arn} does not exist")
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    session_name = session_name[:64]
    key, secret, token = "ASIA" + secrets.token_hex(8).upper(), secrets.token_hex(20), secrets.token_hex(32)
    internal("services.sts").register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session_name}",
            "UserId": f"{role.get('RoleId', name)}:{session_name}",
            "SecretAccessKey": secret,
            "SessionToken": token,
            "AccountId": account,
            "PrincipalType": "AssumedRole",
            "Expiration": time.time() + _SESSION_SECONDS,
        },
    )
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}


def root_credentials(account: str) -> dict[str, str]:
    """Return the credentials of the account's root user, which may do everything."""
    return {"AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "test"}


def client(service: str, credentials: Mapping[str, str], region: str, *, retries: int = 1) -> Any:
    """Return a boto3 client for the twin; call it from a worker thread, never from the event loop."""
    own = botocore.session.Session()
    for component in ("data_loader", "endpoint_resolver"):  # parsed service models are shared: 30 ms a client
        own.register_component(component, _shared.get_component(component))
    session = boto3.Session(
        aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=credentials.get("AWS_SESSION_TOKEN"),
        region_name=region,
        botocore_session=own,
    )
    settings = Config(
        retries={"max_attempts": retries, "mode": "standard"},
        s3={"addressing_style": "path"},
        read_timeout=900,
        proxies={},
    )
    with _client_lock:  # botocore's model cache is not safe against concurrent first use
        return session.client(service, endpoint_url=config.current().endpoint, config=settings)
