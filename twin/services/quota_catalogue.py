"""The quotas that the twin knows by AWS's names, with the values that an account in use has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

_INSTANCES = (
    *(f"ml.{family}.{size}" for family in ("m5", "m6i", "c5") for size in ("large", "xlarge", "2xlarge")),
    *(f"ml.c7i.{size}" for size in ("large", "xlarge", "2xlarge", "4xlarge")),
    *(f"ml.g5.{size}" for size in ("xlarge", "2xlarge")),
    *(f"ml.g4dn.{size}" for size in ("xlarge", "2xlarge")),
)
_SAGEMAKER_USES = ("training job", "processing job", "endpoint")
# SageMaker's own quotas differ from account to account; these let the platform's settings through.
_SAGEMAKER_VALUE = 20.0


@dataclass(frozen=True)
class Quota:
    """A quota by AWS's code and name."""

    code: str
    name: str
    value: float


def quotas(service: str) -> list[Quota]:
    """Return the quotas of a service by its code (``sagemaker``); none where the twin knows none."""
    match service:
        case "sagemaker":
            return [
                Quota(_code(f"{kind} for {use} usage"), f"{kind} for {use} usage", _SAGEMAKER_VALUE)
                for kind in _INSTANCES
                for use in _SAGEMAKER_USES
            ]
        case "lambda":
            return [Quota("L-B99A9384", "Concurrent executions", 1000.0)]
        case "codebuild":
            return [
                Quota(_code(name), name, 60.0)
                for platform in ("Linux", "ARM")
                for size in ("Small", "Medium", "Large")
                for name in (f"Concurrently running builds for {platform}/{size} environment",)
            ]
        case _:
            return []


def usual(quota: Quota) -> float:
    """Return the value that an account has before anybody asks for more."""
    return quota.value


def _code(name: str) -> str:
    """A code of AWS's form; the twin's own, for the many whose real codes say nothing."""
    return f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"
