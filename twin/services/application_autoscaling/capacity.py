"""The instance count of a variant, seen and changed through SageMaker as the service-linked role does."""

import re
from dataclasses import dataclass

from twin.json_service import ServiceError
from twin.services.sagemaker import scaling
from twin.services.sagemaker.async_config import CONFIG

_RESOURCE = re.compile(r"endpoint/(?P<endpoint>[^/]+)/variant/(?P<variant>[^/]+)")


@dataclass(frozen=True)
class Variant:
    """A production variant by name."""

    endpoint: str
    name: str


def resource_id(endpoint: str, variant: str) -> str:
    """Return how Application Auto Scaling names a variant."""
    return f"endpoint/{endpoint}/variant/{variant}"


def variant_of(resource: str) -> Variant:
    """Return the variant that a resource id names; raises `ServiceError` when it names none."""
    found = _RESOURCE.fullmatch(resource)
    if found is None:
        raise ServiceError(
            "ValidationException", f"Unsupported resource ID {resource}: endpoint/<name>/variant/<name>."
        )
    return Variant(found["endpoint"], found["variant"])


def current(variant: Variant) -> tuple[str, int]:
    """Return an endpoint's status and the variant's desired instances; raises `ServiceError`."""
    found = scaling.operations().DescribeEndpoint({"EndpointName": variant.endpoint})
    for each in found.get("ProductionVariants", []):
        if each["VariantName"] == variant.name and "DesiredInstanceCount" not in each:
            raise ServiceError(
                "ValidationException",
                f"Variant {variant.name} of endpoint {variant.endpoint} is serverless: it has no instances.",
            )
        if each["VariantName"] == variant.name:
            return found["EndpointStatus"], each["DesiredInstanceCount"]
    raise ServiceError(
        "ValidationException", f"Endpoint {variant.endpoint} serves no variant {variant.name} now."
    )


def may_be_none(variant: Variant) -> bool:
    """Return whether the endpoint can wait without any instance: asynchronous ones can."""
    return CONFIG in scaling.operations().DescribeEndpoint({"EndpointName": variant.endpoint})


def change(variant: Variant, instances: int) -> None:
    """Set the desired instances of a variant; raises `ServiceError` if the endpoint does not take it now."""
    wanted = {"VariantName": variant.name, "DesiredInstanceCount": instances}
    scaling.operations().UpdateEndpointWeightsAndCapacities(
        {"EndpointName": variant.endpoint, "DesiredWeightsAndCapacities": [wanted]}
    )
