"""What SageMaker's instances cost: one table, with its date and source, and what to do about a gap in it."""

from __future__ import annotations

# Rounded up to the cent. Other regions differ by up to a third, which a limit should leave room for.
SOURCE = "AWS's price list for SageMaker training in us-east-1, on demand, November 2026"

# US dollars an hour, by family: `size price size price ...`.
_FAMILIES = {
    "ml.m5": "large 0.12 xlarge 0.24 2xlarge 0.47 4xlarge 0.93 12xlarge 2.77 24xlarge 5.53",
    "ml.m6i": "large 0.12 xlarge 0.24 2xlarge 0.47 4xlarge 0.93 8xlarge 1.85 16xlarge 3.69",
    "ml.m7i": "large 0.13 xlarge 0.25 2xlarge 0.49 4xlarge 0.97 8xlarge 1.94 16xlarge 3.88",
    "ml.c5": "large 0.11 xlarge 0.21 2xlarge 0.41 4xlarge 0.82 9xlarge 1.84 18xlarge 3.68",
    "ml.c6i": "large 0.11 xlarge 0.21 2xlarge 0.41 4xlarge 0.82 8xlarge 1.64 16xlarge 3.27",
    "ml.c7i": "large 0.11 xlarge 0.22 2xlarge 0.43 4xlarge 0.86 8xlarge 1.72 16xlarge 3.43 48xlarge 10.29",
    "ml.r5": "large 0.16 xlarge 0.31 2xlarge 0.61 4xlarge 1.21 12xlarge 3.63 24xlarge 7.26",
    "ml.g4dn": "xlarge 0.74 2xlarge 0.94 4xlarge 1.51 8xlarge 2.72 12xlarge 4.89 16xlarge 5.44",
    "ml.g5": "xlarge 1.41 2xlarge 1.52 4xlarge 2.03 8xlarge 3.06 12xlarge 7.09 16xlarge 5.12 48xlarge 20.36",
    "ml.g6": "xlarge 1.13 2xlarge 1.23 4xlarge 1.66 8xlarge 2.52 12xlarge 5.76 16xlarge 4.25 48xlarge 16.69",
    "ml.p3": "2xlarge 3.83 8xlarge 14.69 16xlarge 28.16",
}
_HOURLY_USD = {
    f"{family}.{size}": float(price)
    for family, sizes in _FAMILIES.items()
    for size, price in zip(sizes.split()[::2], sizes.split()[1::2], strict=True)
}


class UnknownPrice(LookupError):
    """The table has no price for an instance type; the message says how to go on."""


def hourly_usd(instance_type: str) -> float:
    """What one instance costs in US dollars an hour, on demand. Raises UnknownPrice."""
    if instance_type not in _HOURLY_USD:
        raise UnknownPrice(
            f"what {instance_type} costs is not known: look it up in AWS's price list and add it to "
            "planning/prices.py, or choose another instance type"
        )
    return _HOURLY_USD[instance_type]
