"""What a resource's own policy lets an AWS service do: call a function, publish to a topic, use a key."""

from collections.abc import Mapping
from typing import Any

from twin import glue
from twin.iam import decisions
from twin.iam.resource_policies import key_policy

_evaluator = glue.internal("core.iam_evaluator")


class Denied(Exception):
    """A service may not do what it was set up for; the message names service, action, resource and cure."""


def may_service(
    service: str,
    action: str,
    resource_arn: str,
    policy: Any,
    *,
    source_arn: str = "",
    context: Mapping[str, str] | None = None,
) -> bool:
    """Whether `policy`, of the resource itself, allows `service` (``events.amazonaws.com``) to do `action`.

    `source_arn` is on whose behalf the service acts; `context` adds condition keys.
    """
    account = (
        (source_arn or resource_arn).split(":")[4] if (source_arn or resource_arn).count(":") >= 5 else ""
    )
    keys = {"aws:sourcearn": source_arn or None, "aws:sourceaccount": account, "aws:sourceowner": account}
    keys.update({name.lower(): value for name, value in (context or {}).items()})
    judged = _evaluator.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account=account,
        action=action,
        resource_arn=resource_arn,
        region=glue.current_scope().region,
        secure_transport=True,
        service_context={key: value for key, value in keys.items() if value is not None},
    )
    result = _evaluator.evaluate_resource_policy(policy, judged, service=service)
    decisions.record(
        service, action, resource_arn, result.decision, f"for {source_arn}" if source_arn else ""
    )
    return result.decision == "Allow"


def check_service(
    service: str,
    action: str,
    resource_arn: str,
    policy: Any,
    *,
    source_arn: str = "",
    context: Mapping[str, str] | None = None,
) -> None:
    """Raise `Denied` unless the resource's policy allows the service."""
    if not may_service(service, action, resource_arn, policy, source_arn=source_arn, context=context):
        raise Denied(
            f"{service} may not {action} on {resource_arn} for {source_arn or 'itself'}: "
            "allow it in the resource's policy"
        )


def service_may_invoke(function_arn: str, service: str, source_arn: str) -> None:
    """Raise `Denied` unless the function's permissions let the service call it for `source_arn`."""
    parts = function_arn.split(":")
    with glue.scope(parts[4], parts[3]):
        found = glue.internal("services.lambda_svc").function_policy_for_arn(function_arn)
    check_service(
        service, "lambda:InvokeFunction", function_arn, found[0] if found else None, source_arn=source_arn
    )


def service_may_use_key(
    key: str, service: str, actions: tuple[str, ...], context: Mapping[str, str] | None = None
) -> None:
    """Raise `Denied` unless the policy of the KMS key (an ARN or an id) gives the service all `actions`."""
    here = glue.current_scope()
    arn = key if key.startswith("arn:") else f"arn:aws:kms:{here.region}:{here.account}:key/{key}"
    found = key_policy(arn)
    for action in actions:
        check_service(service, action, arn, found[0] if found else None, context=context)
