"""Says no, by name, to what SageMaker does on AWS and the twin does not."""

from collections.abc import Iterable, Mapping
from typing import Any

from twin.json_service import ServiceError


def refuse(member: str, cure: str = "") -> ServiceError:
    """Return the error for a member of a request that the twin does not act on."""
    hint = f": {cure}" if cure else ""
    return ServiceError("ValidationException", f"{member} is not supported by the local twin{hint}")


def require_members(request: Mapping[str, Any], names: Iterable[str], path: str = "") -> None:
    """Raise the error for the first of `names` that the request lacks, where the model leaves it open."""
    for name in names:
        if not request.get(name):
            raise ServiceError("ValidationException", f"{f'{path}.{name}' if path else name} must be given.")


def refuse_members(request: Mapping[str, Any], names: Iterable[str], path: str = "") -> None:
    """Raise the error for the first of `names` that the request has."""
    for name in names:
        if request.get(name):
            raise refuse(f"{path}.{name}" if path else name)
