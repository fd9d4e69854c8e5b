"""Production variants as DescribeEndpoint shows them, and what an update keeps of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from twin.services.sagemaker import serverless
from twin.services.sagemaker.records import Record, now

_KEPT = {"DesiredInstanceCount": "InitialInstanceCount", "DesiredWeight": "InitialVariantWeight"}


def summaries(plan: list[dict[str, Any]], at: float, resolved: Mapping[str, str]) -> list[Record]:
    """Return `ProductionVariants` of DescribeEndpoint; `resolved` gives images by digest, found `at`."""
    found: list[Record] = []
    for entry in plan:
        variant = entry["Variant"]
        weight, count = variant.get("InitialVariantWeight", 1.0), variant.get("InitialInstanceCount", 1)
        image = entry["Container"]["Image"]
        found.append(
            {
                "VariantName": variant["VariantName"],
                "DeployedImages": [
                    {
                        "SpecifiedImage": image,
                        "ResolvedImage": resolved.get(image, image),
                        "ResolutionTime": at,
                    }
                ],
                "CurrentWeight": weight,
                "DesiredWeight": weight,
                **(
                    serverless.capacity(variant)
                    if serverless.CONFIG in variant
                    else {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
                ),
            }
        )
    return found


def counts(plan: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many instances each variant of a plan has."""
    return {e["Variant"]["VariantName"]: e["Variant"].get("InitialInstanceCount", 1) for e in plan}


def pending(variants: list[Record], active: Mapping[str, int], status: str, message: str) -> list[Record]:
    """Return the variants of a deployment at one of its stages.

    `active` has how many instances get traffic; ``{active}`` and ``{total}`` in `message` are a variant's.
    """
    shown: list[Record] = []
    for variant in variants:
        running, total = active[variant["VariantName"]], variant.get("DesiredInstanceCount", 1)
        text = message.format(active=running, total=total)
        stage = {"Status": status, "StatusMessage": text, "StartTime": now()}
        count = {"CurrentInstanceCount": running} if "CurrentInstanceCount" in variant else {}
        shown.append({**variant, **count, "VariantStatus": [stage]})
    return shown


def retained(plan: list[dict[str, Any]], serving: list[Record], excluded: Iterable[str]) -> list[Record]:
    """Return `plan` with the counts and weights that variants of the same names have now.

    `excluded` has the properties (``DesiredWeight``) that the new configuration decides after all.
    """
    today = {variant["VariantName"]: variant for variant in serving}
    left = set(excluded)
    made: list[Record] = []
    for entry in plan:
        variant = entry["Variant"]
        known = today.get(variant["VariantName"], {})
        kept = {theirs: known[ours] for ours, theirs in _KEPT.items() if ours in known and ours not in left}
        made.append({**entry, "Variant": {**variant, **kept}})
    return made
