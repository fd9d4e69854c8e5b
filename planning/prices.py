"""What AWS charges: one table of prices with their date and source, and what to do about a gap in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from planning.explained import Source

REGION = "us-east-1"
_ON = date(2026, 11, 30)
# Rounded up to the cent. Other regions differ by up to a third, which a limit should leave room for.
SOURCE = "AWS's price list for SageMaker training in us-east-1, on demand, November 2026"
# Hosting costs what training costs: EC2's price and a fifth.
MACHINES = Source(text=SOURCE, on=_ON)

# US dollars an hour, by family: `size price size price ...`.
_FAMILIES = {
    "ml.t3": "medium 0.05 large 0.10 xlarge 0.20",
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


def known_instances() -> tuple[str, ...]:
    """Every instance type that has a price."""
    return tuple(_HOURLY_USD)


@dataclass(frozen=True, kw_only=True)
class Price:
    """A price by the amount used: `tiers` are (up to this amount, US dollars for each unit)."""

    unit: str
    tiers: tuple[tuple[float, float], ...]
    source: Source

    def of(self, amount: float) -> float:
        """US dollars for an amount a month, in the units of the price."""
        total, below = 0.0, 0.0
        for limit, each in self.tiers:
            total += max(0.0, min(amount, limit) - below) * each
            below = limit
        return total

    @property
    def first(self) -> float:
        """US dollars for a unit before any discount."""
        return self.tiers[0][1]


def _price(page: str, unit: str, *tiers: float | tuple[float, float]) -> Price:
    return Price(
        unit=unit,
        tiers=tuple(each if isinstance(each, tuple) else (float("inf"), each) for each in tiers),
        source=Source(text=f"https://aws.amazon.com/{page}/pricing/, {REGION}", on=_ON),
    )


API_REQUESTS = _price("api-gateway", "million requests", (333, 3.50), (1000, 2.80), (20_000, 2.38), 1.51)
LAMBDA_REQUESTS = _price("lambda", "million requests", 0.20)
# arm64, which the platform's functions run on.
LAMBDA_GB_SECONDS = _price(
    "lambda", "GB-second", (7.5e9, 0.0000133334), (18.75e9, 0.0000120001), 0.0000106667
)
SHARD_HOURS = _price("kinesis/data-streams", "shard and hour", 0.015)
STREAM_PUTS = _price("kinesis/data-streams", "million units of 25 KB", 0.014)
STREAM_HOURS = _price("kinesis/data-streams", "stream on demand and hour", 0.04)
STREAM_GB = _price("kinesis/data-streams", "GB written on demand, each record rounded up to 1 KB", 0.08)
STREAM_READ_GB = _price("kinesis/data-streams", "GB read on demand", 0.04)
SERVERLESS_GB_SECONDS = _price("sagemaker/ai", "GB-second of serverless inference", 0.00002)
SERVERLESS_DATA_GB = _price("sagemaker/ai", "GB of serverless inference's data", 0.016)
WRITE_UNITS = _price("dynamodb", "million write request units, on demand", 0.625)
READ_UNITS = _price("dynamodb", "million read request units, on demand", 0.125)
TABLE_GB = _price("dynamodb", "GB and month", 0.25)
TABLE_BACKUP_GB = _price("dynamodb", "GB and month of point-in-time recovery", 0.20)
S3_PUTS = _price("s3", "million requests that write", 5.0)
S3_GETS = _price("s3", "million requests that read", 0.40)
S3_GB = _price("s3", "GB and month", (51_200, 0.023), (512_000, 0.022), 0.021)
FIREHOSE_GB = _price("firehose", "GB taken in, each record rounded up to 5 KB", (512_000, 0.029), 0.025)
FIREHOSE_CONVERSION_GB = _price("firehose", "GB converted to Parquet", 0.018)
EVENTS = _price("eventbridge", "million events", 1.0)
LOGS_GB = _price("cloudwatch", "GB taken in", 0.50)
METRICS = _price("cloudwatch", "metric", (10_000, 0.30), (250_000, 0.10), 0.05)
ALARMS = _price("cloudwatch", "alarm", 0.10)
DASHBOARDS = _price("cloudwatch", "dashboard", 3.0)
TRACES = _price("xray", "million traces recorded", 5.0)
KEYS = _price("kms", "key", 1.0)
WEB_ACLS = _price("waf", "web ACL", 5.0)
WEB_RULES = _price("waf", "rule", 1.0)
WEB_REQUESTS = _price("waf", "million requests", 0.60)
INTERFACE_HOURS = _price("privatelink", "interface endpoint, zone and hour", 0.01)
INTERFACE_GB = _price("privatelink", "GB", (1_048_576, 0.01), 0.006)


def all_prices() -> dict[str, Price]:
    """Every price of a service, by its name here."""
    return {name: each for name, each in globals().items() if isinstance(each, Price)}


def function_hour_usd(memory_mb: int) -> float:
    """A function's environment that works for a whole hour, on arm64."""
    return 3600 * memory_mb / 1024 * LAMBDA_GB_SECONDS.first


def request_usd() -> float:
    """One request of the API that the adapter works on for 300 ms with 1 GB: what a smoke test pays."""
    each = (API_REQUESTS.first + LAMBDA_REQUESTS.first) / 1e6
    return each + 0.3 * LAMBDA_GB_SECONDS.first
