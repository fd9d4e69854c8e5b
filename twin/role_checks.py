"""Permissions that an AWS service asks of a role before it works for it; noted in the log of decisions."""

from twin.glue import permissions
from twin.iam import decisions


def role_may(role_arn: str, action: str, resource_arn: str, session: str) -> bool:
    """Whether the role's policies allow `action`; `session` names who works with the role."""
    allowed = permissions.role_may(role_arn, action, resource_arn)
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    principal = f"arn:aws:sts::{account}:assumed-role/{name}/{session}"
    decisions.record(principal, action, resource_arn, "Allow" if allowed else "ImplicitDeny")
    return allowed
