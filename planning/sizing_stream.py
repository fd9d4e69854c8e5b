"""Sizes the burst path: batches, consumers, shards, the stream's mode, the result table's, and Firehose."""

from __future__ import annotations

import math
from datetime import date

from planning import measured
from planning.explained import Explained, Input, Source
from planning.hardware import lambda_vcpus
from planning.workload import SECONDS_A_DAY, Workload

_KINESIS = Source(
    text="https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html", on=date(2026, 11, 30)
)
_LAMBDA = Source(
    text="https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html",
    on=date(2026, 11, 30),
)
RECORDS_PER_SHARD = Input(name="records of a shard", value=1000, unit="records/s", source=_KINESIS)
CONSUMERS_PER_SHARD = Input(name="batches of a shard at once", value=10, unit="", source=_LAMBDA)
ON_DEMAND_SHARDS = 4  # a new stream in on-demand mode takes 4 MB/s
# Waiting is what a stream is for: its consumers may be busier than an endpoint that callers wait for.
UTILISATION = 0.8
# A claim check in JSON, with bucket, key and times.
CLAIM_CHECK_KB = 0.5
# One invocation of the endpoint answers a batch; longer ones would hold up callers who wait.
_BATCH_MS = 500
# 224 x 224 pixels in colour; InvokeEndpoint takes 6 MB.
_BATCH_FITS = 6 * 1024 * 1024 // (224 * 224 * 3)
# Provisioned capacity is this much cheaper than on-demand's, where it is used fully (planning/prices.py).
_PROVISIONED_PAYS_BELOW = 2.4


def batch_size(workload: Workload) -> Explained:
    """Claim checks that the consumer gets at once, and images of one invocation of the endpoint."""
    return Explained(
        key="streaming.batch_size",
        title="batch of the consumer",
        value=max(1, min(_BATCH_FITS, math.floor(_BATCH_MS / workload.model_ms))),
        unit="records",
        formula=f"images that the model answers in {_BATCH_MS} ms, so that callers who wait are not held up; "
        f"at most {_BATCH_FITS} of 224 x 224 pixels fit into one invocation",
        inputs=(workload.given("model_ms", "ms of one vCPU"),),
        limits=(
            Input(
                name="InvokeEndpoint's body",
                value=6,
                unit="MB",
                source=Source(
                    text="https://docs.aws.amazon.com/sagemaker/latest/APIReference/"
                    "API_runtime_InvokeEndpoint.html",
                    on=date(2026, 11, 30),
                ),
            ),
        ),
    )


def batch_seconds(workload: Workload, batch: int, memory_mb: int) -> float:
    """How long a consumer works on a batch of images when nothing waits."""
    cpu = measured.IMAGE_CPU_MS.value + measured.ADAPTER_CPU_MS.value
    each = cpu / lambda_vcpus(memory_mb) + 2 * measured.WRITE_MS.value + workload.model_ms
    # Images are read ahead, side by side: only the first is waited for.
    return (measured.S3_GET_MS.value + measured.INVOKE_MS.value + batch * each) / 1000


def consumers(workload: Workload, batch: int, memory_mb: int) -> Explained:
    """Batches that are worked on at once, in all shards together."""
    seconds = batch_seconds(workload, batch, memory_mb)
    return Explained(
        key="streaming.concurrency",
        title="concurrency of the consumer",
        value=max(1, math.ceil(round(workload.burst_peak_per_second * seconds / batch / UTILISATION, 9))),
        unit="batches at once",
        formula="peak of the burst path x time of a batch / its size / utilisation",
        inputs=(
            _burst_peak(workload),
            Input(
                name="time of a batch",
                value=round(seconds, 2),
                unit="s",
                source="reading the first, then preparing, model and two writes of each; "
                "planning/measured.py",
            ),
            Input(name="batch", value=batch, unit="records", source="streaming.batch_size"),
            Input(name="utilisation", value=UTILISATION, unit="", source="planning/sizing_stream.py"),
        ),
    )


def shards(workload: Workload, wanted_consumers: int) -> Explained:
    """Shards of the stream."""
    by_records = workload.burst_peak_per_second / (float(RECORDS_PER_SHARD.value) * UTILISATION)
    by_consumers = wanted_consumers / float(CONSUMERS_PER_SHARD.value)
    return Explained(
        key="streaming.shards",
        title="shards of the stream",
        value=max(1, math.ceil(round(max(by_records, by_consumers), 9))),
        unit="shards",
        formula="consumers / batches of a shard at once, or the peak's records / (records of a shard x "
        "utilisation), if that is more",
        inputs=(
            Input(name="consumers", value=wanted_consumers, unit="batches", source="streaming.concurrency"),
            _burst_peak(workload),
        ),
        limits=(RECORDS_PER_SHARD, CONSUMERS_PER_SHARD),
    )


def consumers_per_shard(wanted_consumers: int, shard_count: int) -> Explained:
    """The event source's parallelisation factor."""
    return Explained(
        key="streaming.parallelization_factor",
        title="batches of a shard at once",
        value=min(int(CONSUMERS_PER_SHARD.value), max(1, math.ceil(wanted_consumers / shard_count))),
        unit="batches",
        formula="consumers / shards, rounded up",
        inputs=(
            Input(name="consumers", value=wanted_consumers, unit="batches", source="streaming.concurrency"),
            Input(name="shards", value=shard_count, unit="", source="streaming.shards"),
        ),
        limits=(CONSUMERS_PER_SHARD,),
    )


def mode(shard_count: int) -> Explained:
    """Whether the stream's shards are provisioned."""
    return Explained(
        key="streaming.mode",
        title="mode of the stream",
        value="provisioned" if shard_count > ON_DEMAND_SHARDS or shard_count == 1 else "on-demand",
        unit="",
        formula="provisioned where one shard is enough (a third of on-demand's price for a stream), and "
        "where consumers need more shards than the traffic alone, by which on-demand mode sets them",
        inputs=(Input(name="shards", value=shard_count, unit="", source="streaming.shards"),),
        limits=(
            Input(name="on-demand's first capacity", value=ON_DEMAND_SHARDS, unit="MB/s", source=_KINESIS),
            RECORDS_PER_SHARD,
        ),
    )


def table_mode(workload: Workload) -> Explained:
    """How the tables of lineage and results are paid for."""
    steady = workload.peak_factor < _PROVISIONED_PAYS_BELOW
    return Explained(
        key="tables.mode",
        title="mode of the tables",
        value="provisioned" if steady else "on-demand",
        unit="",
        formula="on-demand, unless the peak is less than "
        f"{_PROVISIONED_PAYS_BELOW} times the mean: from there on provisioned capacity, which must hold the "
        "peak at 70 %, costs less",
        inputs=(workload.given("peak_factor"),),
    )


def firehose_buffer(workload: Workload) -> Explained:
    """How many seconds of results go into one Parquet file."""
    per_second = max(workload.images_per_day * workload.burst_share / SECONDS_A_DAY * CLAIM_CHECK_KB, 1e-9)
    # Files below 64 MB make queries slow; Firehose waits 15 minutes at most.
    return Explained(
        key="streaming.buffer_seconds",
        title="buffer of Firehose",
        value=max(60, min(900, round(64 * 1024 / per_second))),
        unit="s",
        formula="until 64 MB have come at the mean of the burst path, from 60 to 900 s",
        inputs=(
            _share(workload),
            workload.given("images_per_day"),
            Input(name="a result", value=CLAIM_CHECK_KB, unit="KB", source="planning/sizing_stream.py"),
        ),
        limits=(
            Input(
                name="Firehose's longest buffer",
                value=900,
                unit="s",
                source=Source(
                    text="https://docs.aws.amazon.com/firehose/latest/dev/create-configure.html",
                    on=date(2026, 11, 30),
                ),
            ),
        ),
    )


def _burst_peak(workload: Workload) -> Input:
    return Input(
        name="peak of the burst path",
        value=round(workload.burst_peak_per_second, 1),
        unit="images/s",
        source="peak x workload.burst_share",
    )


def _share(workload: Workload) -> Input:
    return workload.given("burst_share")
