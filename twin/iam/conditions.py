"""Condition keys that ministack does not know as AWS does: buckets' owners, roles' tags, a session's role."""

from typing import Any

from twin import glue

_evaluator = glue.internal("core.iam_evaluator")
_BUCKET = "arn:aws:s3:::"


def install() -> None:
    """Resolve the account of any bucket, which bootstrap roles ask for, and the role behind a session."""
    original = _evaluator._resolve_condition_key

    def resolve(key: str, context: Any) -> Any:
        if key.lower() == "aws:principalarn":
            return role_of_session(context.principal_arn)
        if key.lower() in ("aws:resourceaccount", "s3:resourceaccount") and context.resource_arn.startswith(
            _BUCKET
        ):
            owner = bucket_owner(context.resource_arn)
            return owner or context.principal_account
        return original(key, context)

    _evaluator._resolve_condition_key = resolve


def role_of_session(principal_arn: str) -> str:
    """Return what ``aws:PrincipalArn`` holds: the role of a session, any other principal as it is."""
    parts = principal_arn.split(":")
    if len(parts) != 6 or parts[2] != "sts" or not parts[5].startswith("assumed-role/"):
        return principal_arn
    name = parts[5].split("/")[1]
    role = glue.internal("services.iam")._roles.get_scoped(parts[4], None, name)
    return role["Arn"] if role else f"arn:{parts[1]}:iam::{parts[4]}:role/{name}"


def bucket_owner(resource_arn: str) -> str | None:
    """Return the account of the bucket that an S3 ARN names, None when there is no such bucket."""
    bucket = resource_arn.removeprefix(_BUCKET).split("/", 1)[0]
    return glue.internal("services.s3")._bucket_owner_account(bucket)


def role_tags(resource_arn: str) -> dict[str, str]:
    """Return the condition keys that a role's tags make, for actions on that role.

    CDK Pipelines' self-mutation role may only assume roles tagged by the bootstrap stack.
    """
    parts = resource_arn.split(":")
    if len(parts) != 6 or parts[2] != "iam" or not parts[5].startswith("role/"):
        return {}
    role = glue.internal("services.iam")._roles.get_scoped(parts[4], None, parts[5].rsplit("/", 1)[-1]) or {}
    keys: dict[str, str] = {}
    for tag in role.get("Tags") or []:
        for prefix in ("iam:ResourceTag", "aws:ResourceTag"):
            keys[f"{prefix}/{tag['Key']}"] = tag["Value"]
    return keys
