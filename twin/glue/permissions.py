"""Asks the policies of a role whether they allow something, where a service checks before it calls."""

from collections.abc import Callable, Mapping
from typing import Any

from twin.glue.internals import internal
from twin.glue.scope import current_scope


def role_may(role_arn: str, action: str, resource_arn: str, **context: Any) -> bool:
    """Whether the role's own policies (and its boundary) allow `action` on `resource_arn`.

    `context` adds condition keys (``iam__PassedToService=...``).
    """
    evaluator = internal("core.iam_evaluator")
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    asked = evaluator.EvalContext(
        principal_arn=role_arn,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource_arn,
        region=current_scope().region,
        secure_transport=True,
        service_context={key.replace("__", ":").lower(): value for key, value in context.items()},
    )
    limits = evaluator._permissions_boundary(internal("services.iam")._roles, name, account)
    return (
        evaluator.evaluate(asked, evaluator._gather_role_policies(name, account), *limits).decision == "Allow"
    )


def serve_iam(operation: str, answer: Callable[[Mapping[str, str]], str]) -> None:
    """Serve an operation of IAM: `answer` gets the request's parameters and gives the result as XML."""
    service = internal("services.iam")

    def handle(parameters: Mapping[str, Any]) -> Any:
        plain = {
            name: str(value[0] if isinstance(value, list) else value) for name, value in parameters.items()
        }
        inner = f"<{operation}Result>{answer(plain)}</{operation}Result>"
        return service._xml(200, f"{operation}Response", inner)

    service._IAM_HANDLERS[operation] = handle
