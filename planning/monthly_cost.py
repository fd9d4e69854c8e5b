"""What a workload costs in a month, by component: an estimate from the plan and the prices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planning import prices
from planning.hardware import vcpus
from planning.hosting_modes import functions_usd, hours_awake, serverless_usd, through_storage_usd
from planning.provision import Provision
from planning.sizing_api import answer_seconds
from planning.sizing_endpoint import UTILISATION, reaction_seconds
from planning.sizing_stream import CLAIM_CHECK_KB, image_seconds
from planning.workload import Workload

DAYS, HOURS = 30, 730
_GB = 1024 * 1024  # KB
# What one image leaves behind, in KB: logs of function and API; an item of the lineage table; a result.
_LOG_KB, _LINEAGE_KB, _RESULT_KB = 2.5, 0.7, 1.0
# The model's input as it travels to the endpoint: 224 x 224 pixels in colour.
_PIXELS_KB = 147
# X-Ray records so many of the requests, and one a second.
_TRACED = 0.05
_METRICS, _ALARMS, _DASHBOARDS = 60, 40, 2
# Interface endpoints of the network (vision_platform.network), and the rules of the web ACL.
INTERFACES = 6
_WEB_RULES = 4
# How long what accepts a submission works, with the adapter's memory.
_SUBMIT_SECONDS = 0.1
# After the peak, until the fleet has shrunk again: target tracking waits 15 minutes.
_SHRINKING_MINUTES = 20


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What else the settings of an environment decide about its bill. Days are how long data is kept."""

    web_acl: bool = True
    zones: int = 2
    prediction_days: int = 90
    upload_days: int = 7
    vpc: bool = True

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Surroundings:
        """From the settings of an environment, as plain data."""
        return cls(
            web_acl=settings["safeguards"]["web_acl"],
            vpc=settings["network"]["vpc"],
            zones=len(settings["network"]["zones"]),
            prediction_days=settings["retention"]["prediction_days"],
            upload_days=settings["retention"]["upload_days"],
        )


@dataclass(frozen=True, kw_only=True)
class Item:
    """One component's share of the bill, in US dollars a month; `counted` says what it is made of."""

    component: str
    usd: float
    counted: str
    fixed: bool = False


@dataclass(frozen=True)
class Bill:
    """A month's bill."""

    workload: Workload
    items: tuple[Item, ...]

    @property
    def total(self) -> float:
        """US dollars a month."""
        return sum(each.usd for each in self.items)

    @property
    def per_million(self) -> float:
        """US dollars for a million images."""
        return self.total / (self.workload.images_per_day * DAYS / 1e6)


def monthly(workload: Workload, provision: Provision, around: Surroundings | None = None) -> Bill:
    """The bill of a month of 30 days. Training, data transfer out and support are not in it.

    Raises planning.prices.UnknownPrice for an instance type without a price.
    """
    around = around or Surroundings()
    images = workload.images_per_day * DAYS
    burst = images * workload.burst_share
    sync = images - burst
    items = [
        _api(images, burst),
        *([_firewall(images + burst)] if around.web_acl else []),
        _adapter(workload, provision, sync),
        _hosting(workload, provision),
        _lineage(images, around),
        *(_burst_path(workload, provision, burst, around) if burst else []),
        _watching(images),
        *([_network(images, around)] if around.vpc else []),
        Item(component="key", usd=prices.KEYS.of(1), counted="1 key; buckets use bucket keys", fixed=True),
    ]
    return Bill(workload, tuple(items))


def instance_hours(workload: Workload, provision: Provision) -> float:
    """Hours of all instances of the endpoint in a day, as its fleet follows the load."""
    if not provision.scales:
        return provision.instances * 24.0
    hours = 0.0
    for per_second in workload.hours:
        wanted = math.ceil(per_second * 60 / provision.target_per_instance_minute)
        hours += min(provision.most_instances, max(provision.instances, wanted))
    minutes = workload.rise_minutes / 2 + workload.peak_minutes + _SHRINKING_MINUTES
    minutes += reaction_seconds() / 60
    return hours + (provision.most_instances - provision.instances) * minutes / 60


def _api(images: float, burst: float) -> Item:
    requests = (images + burst) / 1e6
    return Item(
        component="API Gateway",
        usd=prices.API_REQUESTS.of(requests),
        counted=f"{requests:,.1f} million requests: one for each image, one more for each result asked for",
    )


def _firewall(requests: float) -> Item:
    millions = requests / 1e6
    fixed = prices.WEB_ACLS.of(1) + prices.WEB_RULES.of(_WEB_RULES)
    return Item(
        component="web ACL",
        usd=fixed + prices.WEB_REQUESTS.of(millions),
        counted=f"1 ACL, {_WEB_RULES} rules, {millions:,.1f} million requests",
    )


def _adapter(workload: Workload, provision: Provision, sync: float) -> Item:
    seconds = answer_seconds(workload, provision.predict_memory_mb)
    work = sync * seconds * provision.predict_memory_mb / 1024
    return Item(
        component="adapter (Lambda)",
        usd=prices.LAMBDA_REQUESTS.of(sync / 1e6) + prices.LAMBDA_GB_SECONDS.of(work),
        counted=f"{sync / 1e6:,.1f} million calls of {seconds * 1000:.0f} ms with "
        f"{provision.predict_memory_mb} MB",
    )


def _hosting(workload: Workload, provision: Provision) -> Item:
    hosting, images = provision.hosting, workload.images_per_day * DAYS
    seconds = workload.model_ms / 1000
    each = f"{images / 1e6:,.1f} million images of {workload.model_ms:g} ms of a vCPU"
    if hosting.mode == "serverless":
        return Item(
            component="endpoint (SageMaker, serverless)",
            usd=serverless_usd(images, seconds, hosting.memory_mb, _PIXELS_KB * 1024),
            counted=f"{each}, with {hosting.memory_mb} MB; environments kept warm are not in it",
        )
    if hosting.mode == "lambda":
        return Item(
            component="models (Lambda)",
            usd=functions_usd(images, seconds, hosting.memory_mb),
            counted=f"{each}, with {hosting.memory_mb} MB",
        )
    if hosting.mode == "asynchronous":
        return _asynchronous(workload, provision, seconds)
    return _endpoint(provision, instance_hours(workload, provision))


def _asynchronous(workload: Workload, provision: Provision, seconds: float) -> Item:
    """The way through S3, and the fleet: for the hours of its work where it rests at zero."""
    hours = instance_hours(workload, provision)
    if provision.hosting.scale_to_zero:
        cores = vcpus(provision.instance_type) * UTILISATION
        hours = hours_awake(workload.images_per_day, seconds, cores)
    fleet = _endpoint(provision, hours)
    images = workload.images_per_day * DAYS
    counted = f"{fleet.counted}; {images / 1e6:,.1f} million images and answers through S3"
    usd = fleet.usd + through_storage_usd(images)
    return Item(component=fleet.component, usd=usd, counted=counted)


def _endpoint(provision: Provision, hours_a_day: float) -> Item:
    hours = hours_a_day * HOURS / 24
    fewest = 0 if provision.hosting.scale_to_zero else provision.instances
    return Item(
        component="endpoint (SageMaker)",
        usd=hours * prices.hourly_usd(provision.instance_type),
        counted=f"{hours:,.0f} hours of {provision.instance_type}: "
        f"{fewest} to {provision.most_instances} instances",
        fixed=not provision.scales and not provision.hosting.scale_to_zero,
    )


def _lineage(images: float, around: Surroundings) -> Item:
    # The item, and its entry in the index.
    writes = 2 * images / 1e6
    kept = 2 * _LINEAGE_KB * images / DAYS * around.prediction_days / _GB
    return Item(
        component="lineage (DynamoDB)",
        usd=prices.WRITE_UNITS.of(writes) + prices.TABLE_GB.of(kept) + prices.TABLE_BACKUP_GB.of(kept),
        counted=f"{writes:,.1f} million writes; {kept:,.0f} GB kept for {around.prediction_days} days",
    )


def _burst_path(
    workload: Workload, provision: Provision, burst: float, around: Surroundings
) -> tuple[Item, ...]:
    millions = burst / 1e6
    stored = burst / DAYS * around.upload_days * workload.image_kb / _GB
    image = image_seconds(workload, provision.micro_batch, provision.consume_memory_mb)
    seconds = burst * image * provision.consume_memory_mb / 1024
    submits = burst * _SUBMIT_SECONDS * provision.predict_memory_mb / 1024
    # Firehose counts each record as 5 KB at least.
    delivered, converted = burst * 5 / _GB, burst * _RESULT_KB / _GB
    puts = burst * max(1, math.ceil(CLAIM_CHECK_KB / 25)) / 1e6
    return (
        Item(
            component="uploads (S3)",
            usd=prices.S3_PUTS.of(millions) + prices.S3_GETS.of(millions) + prices.S3_GB.of(stored),
            counted=f"{millions:,.1f} million images written and read; {stored:,.0f} GB kept for "
            f"{around.upload_days} days",
        ),
        Item(
            component="stream (Kinesis)",
            usd=_stream(provision, burst, puts) + prices.EVENTS.of(millions),
            counted=("on demand" if provision.on_demand else f"{provision.shards} shards")
            + f", {puts:,.1f} million claim checks and events of uploads",
        ),
        Item(
            component="consumer (Lambda)",
            usd=prices.LAMBDA_REQUESTS.of((burst / provision.batch_size + burst) / 1e6)
            + prices.LAMBDA_GB_SECONDS.of(seconds + submits),
            counted=f"{image * 1000:.0f} ms for an image with {provision.consume_memory_mb} MB; and what "
            "accepts submissions",
        ),
        Item(
            component="results (DynamoDB, Firehose)",
            usd=prices.WRITE_UNITS.of(2 * millions)
            + prices.READ_UNITS.of(millions)
            + prices.FIREHOSE_GB.of(delivered)
            + prices.FIREHOSE_CONVERSION_GB.of(converted),
            counted=f"{2 * millions:,.1f} million writes, {millions:,.1f} million reads, "
            f"{delivered:,.0f} GB to Parquet",
        ),
    )


def _stream(provision: Provision, burst: float, puts: float) -> float:
    if not provision.on_demand:
        return prices.SHARD_HOURS.of(provision.shards * HOURS) + prices.STREAM_PUTS.of(puts)
    # Records count as 1 KB at least.
    gigabytes = burst / _GB
    moved = prices.STREAM_GB.of(gigabytes) + prices.STREAM_READ_GB.of(gigabytes)
    return prices.STREAM_HOURS.of(HOURS) + moved


def _watching(images: float) -> Item:
    logs, traces = images * _LOG_KB / _GB, (images * _TRACED + DAYS * 86_400) / 1e6
    fixed = prices.METRICS.of(_METRICS) + prices.ALARMS.of(_ALARMS) + prices.DASHBOARDS.of(_DASHBOARDS)
    return Item(
        component="logs, metrics, traces",
        usd=fixed + prices.LOGS_GB.of(logs) + prices.TRACES.of(traces),
        counted=f"{logs:,.0f} GB of logs, {_METRICS} metrics, {_ALARMS} alarms, {traces:,.1f} million traces",
    )


def _network(images: float, around: Surroundings) -> Item:
    moved = images * _PIXELS_KB / _GB
    return Item(
        component="private network",
        usd=prices.INTERFACE_HOURS.of(INTERFACES * around.zones * HOURS) + prices.INTERFACE_GB.of(moved),
        counted=f"{INTERFACES} interface endpoints in {around.zones} zones, {moved:,.0f} GB to the endpoint",
    )
