"""AWS's quotas on the way of an image: defaults with source and date, what a plan needs and exceeds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from planning.explained import Source
from planning.provision import Provision
from planning.sizing_functions import executions
from planning.sizing_stream import CLAIM_CHECK_KB
from planning.workload import Workload

_ON = date(2026, 11, 30)
# Of the platform's own functions besides adapter and consumer; and what AWS keeps unreserved.
OTHER_FUNCTIONS = 60
UNRESERVED = 100
# What functions without a reservation may take before callers are turned away.
LEAST_CONCURRENCY = 50


@dataclass(frozen=True, kw_only=True)
class Quota:
    """One quota of us-east-1. `default` is None where AWS gives each account its own.

    `code` is Service Quotas' (empty where the quota is not to be had there), `beyond` what to do when asking
    for more is not enough.
    """

    key: str
    service: str
    code: str
    title: str
    unit: str
    default: float | None
    adjustable: bool
    beyond: str
    source: Source


@dataclass(frozen=True)
class Need:
    """What a plan needs of a quota."""

    quota: Quota
    value: float
    why: str

    def exceeds(self, have: float | None = None) -> bool:
        """Whether it is more than the account has: `have`, or AWS's default."""
        limit = self.quota.default if have is None else have
        return limit is not None and self.value > limit

    @property
    def share(self) -> float:
        """How much of AWS's default is used; 0 where there is none."""
        return self.value / self.quota.default if self.quota.default else 0.0

    def in_words(self, have: float | None = None) -> str:
        """What is exceeded, by how much, and how to get more."""
        quota = self.quota
        limit = quota.default if have is None else have
        known = f"{limit:,.0f}" if limit is not None else "the account's own value"
        usual = "AWS's default is" if have is None else "the account has"
        return (
            f"{quota.title}: {self.value:,.0f} {quota.unit} are needed ({self.why}), {usual} {known}. "
            f"{how_to_ask(quota, self.value)}"
        )


def how_to_ask(quota: Quota, value: float, region: str = "REGION") -> str:
    """The command that asks for more, or what to do where AWS gives no more."""
    if not quota.adjustable:
        return f"It cannot be raised: {quota.beyond}"
    if not quota.code:
        return f"Ask AWS Support for more of {quota.service}'s quota; {quota.beyond}"
    return (
        f"aws service-quotas request-service-quota-increase --service-code {quota.service} "
        f"--quota-code {quota.code} --desired-value {value:.0f} --region {region}"
    )


def _quota(  # noqa: PLR0917  # a row of a table
    key: str, service: str, code: str, title: str, unit: str, default: float | None, page: str, beyond: str
) -> Quota:
    return Quota(
        key=key,
        service=service,
        code=code.removesuffix("!"),
        title=title,
        unit=unit,
        default=default,
        adjustable=not code.endswith("!"),
        beyond=beyond,
        source=Source(text=f"https://docs.aws.amazon.com/{page}", on=_ON),
    )


API_RATE = _quota(
    "api-rate",
    "apigateway",
    "L-8A5B8E43",
    "API Gateway, requests of an account",
    "requests/s",
    10_000,
    "apigateway/latest/developerguide/limits.html",
    "spread the API over accounts or regions, or let callers upload and submit",
)
API_BURST = _quota(
    "api-burst",
    "apigateway",
    "L-CDF5615A!",
    "API Gateway, requests at once",
    "requests",
    5_000,
    "apigateway/latest/developerguide/limits.html",
    "AWS sets it by the rate; spread the API over accounts or regions, or smooth what comes together",
)
LAMBDA_CONCURRENCY = _quota(
    "lambda-concurrency",
    "lambda",
    "L-B99A9384",
    "Lambda, executions at once",
    "executions",
    1_000,
    "lambda/latest/dg/gettingstarted-limits.html",
    "spread over accounts, or answer from containers behind a load balancer",
)
LAMBDA_SCALING = _quota(
    "lambda-scaling",
    "lambda",
    "!",
    "Lambda, new environments of a function in 10 s",
    "environments",
    1_000,
    "lambda/latest/dg/scaling-behavior.html",
    "keep environments warm (provisioned concurrency), or smooth what comes together",
)
TABLE_WRITES = _quota(
    "table-writes",
    "dynamodb",
    "L-AB614373",
    "DynamoDB, writes of a table on demand",
    "write units/s",
    40_000,
    "amazondynamodb/latest/developerguide/ServiceQuotas.html",
    "keep lineage of a sample, or of batches, instead of every prediction",
)
SHARDS = _quota(
    "kinesis-shards",
    "kinesis",
    "",
    "Kinesis, shards of an account",
    "shards",
    20_000,
    "streams/latest/dev/service-sizes-and-limits.html",
    "other regions have 1,000 or 6,000",
)
FIREHOSE = _quota(
    "firehose-bytes",
    "firehose",
    "",
    "Firehose, direct puts to a stream",
    "KB/s",
    5 * 1024,
    "firehose/latest/APIReference/API_PutRecord.html",
    "or write through several delivery streams",
)
EVENTS = _quota(
    "eventbridge-invocations",
    "events",
    "",
    "EventBridge, invocations of targets",
    "events/s",
    18_750,
    "eventbridge/latest/userguide/eb-quota.html",
    "or let callers submit references instead of uploading to be noticed",
)
S3_WRITES = _quota(
    "s3-writes",
    "s3",
    "!",
    "S3, writes below a prefix before it is split",
    "requests/s",
    3_500,
    "AmazonS3/latest/userguide/optimizing-performance.html",
    "S3 splits prefixes under load by itself; spread keys (they begin with random ids) and let load rise "
    "slowly",
)
SERVERLESS_CONCURRENCY = _quota(
    "serverless-concurrency",
    "sagemaker",
    "!",
    "SageMaker, requests at once of a serverless endpoint",
    "requests",
    200,
    "sagemaker/latest/dg/serverless-endpoints.html",
    "choose another hosting.mode, such as lambda or real-time",
)
ENDPOINT_INSTANCES = _quota(
    "endpoint-instances",
    "sagemaker",
    "",
    "SageMaker, instances of the type for endpoints",
    "instances",
    None,
    "general/latest/gr/sagemaker.html",
    "each account has its own value, new ones often 0: `ops doctor` looks it up",
)
ALL = (
    API_RATE,
    API_BURST,
    LAMBDA_CONCURRENCY,
    LAMBDA_SCALING,
    TABLE_WRITES,
    SHARDS,
    FIREHOSE,
    EVENTS,
    S3_WRITES,
    SERVERLESS_CONCURRENCY,
    ENDPOINT_INSTANCES,
)


def by_key(key: str) -> Quota:
    """The quota of that key. Raises KeyError."""
    for each in ALL:
        if each.key == key:
            return each
    raise KeyError(key)


def endpoint_instances(instances: int, most_instances: int | None = None) -> int:
    """Instances of an endpoint's type: a new version stands beside the old; the smoke test's is one more."""
    return 2 * max(instances, most_instances or 0) + 1


def concurrency(reserved: int | None, *, others: int = 0) -> int:
    """Lambda executions at once: what is reserved, and what must stay free."""
    return reserved + others + UNRESERVED if reserved else LEAST_CONCURRENCY


def needs(workload: Workload, provision: Provision) -> tuple[Need, ...]:
    """What a workload on this capacity needs of every quota."""
    burst = workload.burst_peak_per_second
    adapter = provision.predict_concurrency
    consumer = (provision.reserved_consumers or provision.consumers) if workload.burst_share else 0
    on_functions = provision.executions if provision.hosting.mode == "lambda" else 0
    return (
        Need(API_RATE, provision.api_rate + burst, "the throttle's rate, and one question for each result"),
        Need(API_BURST, provision.api_burst, "the throttle's burst"),
        Need(
            LAMBDA_CONCURRENCY,
            concurrency(adapter, others=consumer + OTHER_FUNCTIONS + on_functions),
            f"adapter, consumer, {'the model, ' if on_functions else ''}the other functions, and what AWS "
            "keeps unreserved",
        ),
        Need(LAMBDA_SCALING, adapter or 0, "all of the adapter's executions, from a quiet moment on"),
        Need(TABLE_WRITES, workload.peak_per_second, "one lineage item for each prediction, at the peak"),
        Need(SHARDS, provision.shards, "the stream"),
        Need(FIREHOSE, burst * CLAIM_CHECK_KB * 2, "results of the burst path, at the peak"),
        Need(EVENTS, burst, "one event for each upload, at the peak"),
        Need(S3_WRITES, burst, "one image for each submission, at the peak"),
        *_of_the_model(workload, provision),
    )


def _of_the_model(workload: Workload, provision: Provision) -> tuple[Need, ...]:
    if provision.hosting.has_instances:
        count = endpoint_instances(provision.instances, provision.most_instances)
        why = f"{provision.instance_type}: a deployment doubles the fleet, and one for the smoke test"
        return (Need(ENDPOINT_INSTANCES, count, why),)
    if provision.hosting.mode == "serverless":
        # Whatever the setting says: it cannot say more than the quota.
        count = int(executions(workload, provision.hosting, provision.consumers).value)
        return (Need(SERVERLESS_CONCURRENCY, count, "executions of the model at the peak"),)
    return ()


def exceeded(found: tuple[Need, ...], have: dict[str, float] | None = None) -> tuple[Need, ...]:
    """The needs that go beyond what the account has (`have`, by key) or AWS's default; the worst first."""
    known = have or {}
    beyond = [each for each in found if each.exceeds(known.get(each.quota.key))]
    return tuple(sorted(beyond, key=lambda each: -each.share))
