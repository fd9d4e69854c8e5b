"""Serverless variants: what their configuration may say, and how many requests they answer at once."""

import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from twin import glue
from twin.json_service import ServiceError
from twin.services.sagemaker.records import Record

CONFIG = "ServerlessConfig"
_MEMORY_STEP, _LEAST_MEMORY, _MOST_MEMORY = 1024, 1024, 6144
_OF_INSTANCES = (
    "InstanceType",
    "InitialInstanceCount",
    "VolumeSizeInGB",
    "ModelDataDownloadTimeoutInSeconds",
    "ContainerStartupHealthCheckTimeoutInSeconds",
)
_TOO_MANY_REQUESTS = 429


def check(variant: Record, model: Record, others: int, path: str) -> None:
    """Raise `ServiceError` unless a serverless variant of this model can be: `others` stand beside it."""
    config = variant[CONFIG]
    for member in _OF_INSTANCES:
        if variant.get(member) is not None:
            raise _invalid(f"{path}.{member} may not be given with ServerlessConfig.")
    if others:
        raise _invalid("Serverless endpoints do not support more than one production variant.")
    for member in ("VpcConfig", "EnableNetworkIsolation"):
        if model.get(member):
            raise _invalid(
                f"{member} is not supported for serverless endpoints: model {model['ModelName']} has it."
            )
    if (model.get("PrimaryContainer") or model["Containers"][0]).get("Mode") == "MultiModel":
        raise _invalid("Serverless endpoints do not support multi-model containers.")
    memory = config["MemorySizeInMB"]
    if memory % _MEMORY_STEP or not _LEAST_MEMORY <= memory <= _MOST_MEMORY:
        raise _invalid(
            f"{path}.ServerlessConfig.MemorySizeInMB must be one of 1024, 2048, 3072, 4096, 5120, 6144; "
            f"it is {memory}."
        )
    if config.get("ProvisionedConcurrency", 1) > config["MaxConcurrency"]:
        raise _invalid(
            f"{path}.ServerlessConfig.ProvisionedConcurrency must be less than or equal to MaxConcurrency."
        )


def require_deployable(serving: list[Record], plan: list[Record], deployment: Record | None) -> None:
    """Raise `ServiceError` for an update of an endpoint from instances to serverless, or with guardrails.

    `serving` and `plan` are what serves now and what is to come.
    """
    before, after = is_serverless(serving), is_serverless(plan)
    if after and not before:
        raise _invalid("An endpoint with instances cannot be updated to a serverless endpoint.")
    if deployment and (before or after):
        raise _invalid("DeploymentConfig is not supported for serverless endpoints.")


def is_serverless(plan: list[Record]) -> bool:
    """Return whether a plan's variants are serverless."""
    return any(CONFIG in entry["Variant"] for entry in plan)


def capacity(variant: Record) -> dict[str, Any]:
    """Return the members of DescribeEndpoint that tell what a serverless variant has."""
    return {f"Current{CONFIG}": variant[CONFIG], f"Desired{CONFIG}": variant[CONFIG]}


class Concurrency:
    """How many requests each serverless variant answers at this moment."""

    def __init__(self) -> None:
        """None are under way."""
        self._running: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def one(self, endpoint: Record, variant: Record) -> Generator[None]:
        """Count one request of a variant; raises `ServiceError` when it answers as many as it may."""
        config = variant.get(f"Current{CONFIG}")
        if config is None:
            yield
            return
        key, most = (endpoint["EndpointArn"], variant["VariantName"]), config["MaxConcurrency"]
        with self._lock:
            if self._running[key] >= most:
                raise ServiceError(
                    "ThrottlingException",
                    f"Rate exceeded: endpoint {endpoint['EndpointName']} answers {most} requests at once.",
                    _TOO_MANY_REQUESTS,
                )
            self._running[key] += 1
            share = 100 * self._running[key] / most
        dimensions = {"EndpointName": endpoint["EndpointName"], "VariantName": variant["VariantName"]}
        name = "ServerlessConcurrentExecutionsUtilization"
        glue.count_metric("AWS/SageMaker", name, share, "Percent", dimensions)
        try:
            yield
        finally:
            with self._lock:
                self._running[key] -= 1


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
