"""The execution role: it must trust SageMaker, and jobs and endpoints touch everything with it."""

from twin import glue
from twin.json_service import ServiceError
from twin.role_checks import role_may

PRINCIPAL = "sagemaker.amazonaws.com"


def require(role_arn: str, arn: str) -> None:
    """Raise `ServiceError` unless SageMaker can assume the role for the resource `arn`."""
    try:
        glue.check_trust(role_arn, PRINCIPAL, arn)
    except glue.TrustError as fault:
        raise ServiceError(
            "ValidationException",
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
            f"'{PRINCIPAL}' to assume the role. ({fault})",
        ) from fault


def require_may(role_arn: str, action: str, resource: str) -> None:
    """Raise `ServiceError` unless the role's policies allow what SageMaker does with it."""
    if not role_may(role_arn, action, resource, "SageMaker"):
        raise ServiceError(
            "ValidationException",
            f"The execution role {role_arn} is not authorized to perform: {action} on resource: {resource}",
        )


def credentials(role_arn: str, arn: str) -> dict[str, str]:
    """Return credentials of the role for work on the resource `arn`; raises `glue.TrustError`."""
    return glue.service_session(role_arn, PRINCIPAL, "SageMaker", arn)
