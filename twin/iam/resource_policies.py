"""The policies of resources in any account: buckets, keys, and roles in their own account."""

from collections.abc import Callable
from typing import Any

from twin import glue
from twin.iam.conditions import bucket_owner

_evaluator = glue.internal("core.iam_evaluator")
# ARN of a resource -> its policy and the account that owns it, None where there is no policy to judge by.
Lookup = Callable[[str], tuple[Any, str] | None]
_lookups: dict[str, Lookup] = {}


def register(service: str, lookup: Lookup) -> None:
    """Judge calls to one of the twin's own services by policies of its resources as well."""
    _lookups[service] = lookup


def install() -> None:
    """Judge cross-account calls by the resource's policy and the caller's own, and by no coarser rule."""
    original = _evaluator._resource_policy

    def resource_policy(service: str, resource_arn: str) -> tuple[Any, str] | None:
        if service == "s3" and resource_arn.startswith("arn:aws:s3:::"):
            return _bucket_policy(resource_arn) or original(service, resource_arn)
        if service == "kms":
            return key_policy(resource_arn)
        if service in _lookups and resource_arn.startswith("arn:"):
            return _lookups[service](resource_arn)
        if service == "sts":
            return _trust_policy(resource_arn)
        return original(service, resource_arn)

    _evaluator._resource_policy = resource_policy
    _judge_foreign_buckets_once()


def _judge_foreign_buckets_once() -> None:
    """Skip ministack's second check of a foreign bucket, by account only, where ours judged the caller."""
    s3 = glue.internal("services.s3")
    original = s3._foreign_bucket_allows

    def allows(  # noqa: PLR0917  # ministack's own signature
        owner: str, bucket: str, key: str, method: str, query: Any, caller: str, headers: Any = None
    ) -> bool:
        judged = bool(caller) and not _evaluator.caller_arn().endswith(":root")
        return judged or original(owner, bucket, key, method, query, caller, headers)

    s3._foreign_bucket_allows = allows


def _bucket_policy(resource_arn: str) -> tuple[Any, str] | None:
    owner = bucket_owner(resource_arn)
    if owner is None:
        return None
    bucket = resource_arn.removeprefix("arn:aws:s3:::").split("/", 1)[0]
    return glue.internal("services.s3")._bucket_policies.get_scoped(owner, None, bucket) or "", owner


def key_policy(key_arn: str) -> tuple[Any, str] | None:
    """Return the policy and account of a KMS key given by its ARN (or an alias's), or None."""
    parts = key_arn.split(":")
    if len(parts) != 6:
        return None
    with glue.scope(parts[4], parts[3]):
        key = glue.internal("services.kms")._resolve_key(key_arn)
    return (key.get("Policy") or "", parts[4]) if key else None


def _trust_policy(role_arn: str) -> tuple[Any, str] | None:
    """Return a role's trust policy inside its own account, where naming the caller is enough to assume it.

    Across accounts the identity policy is judged here, and the trust policy by STS with its own keys.
    """
    parts = role_arn.split(":")
    if len(parts) != 6 or parts[4] != glue.current_scope().account:
        return None
    role = glue.internal("services.iam")._roles.get_scoped(parts[4], None, role_arn.rsplit("/", 1)[-1])
    return (role.get("AssumeRolePolicyDocument"), parts[4]) if role else None
