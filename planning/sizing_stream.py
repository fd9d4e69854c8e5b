"""Sizes the burst path: batches, consumers, shards, the stream's mode, the result table's, and Firehose."""

from __future__ import annotations

import math
from datetime import date

from planning import largest_image, measured
from planning.explained import Explained, Input, Source
from planning.hardware import lambda_vcpus
from planning.sizing_api import LEAST_MEMORY, MEMORY_STEP, up
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
# What a new stream in on-demand mode takes at once, and what it can be worked through with.
ON_DEMAND_SHARDS = 4
# The rest is for what the time of an image leaves out: waiting at a busy endpoint, batches that end early.
UTILISATION = 0.7
# A batch in trouble must not hold up all others of its shard.
_LEAST_PER_SHARD = 2
# Costs nothing while nobody uses it, and lets people raise the factor in trouble.
_LEAST_RESERVED = 20
# The consumer reads ahead into a quarter of its memory (vision_runtime/read_ahead.py), and writes eight at
# once (lambda_src/consume).
READ_AHEAD_SHARE, WRITERS = 0.25, 8
# A claim check in JSON, with bucket, key and times.
CLAIM_CHECK_KB = 0.5
# Records that one call of the consumer gets: few calls, and a batch that ends early repeats little.
_BATCH = 100
# One request to the endpoint keeps a vCPU so long; longer ones would hold up callers who wait.
_REQUEST_MS = 700
# 224 x 224 pixels in colour; InvokeEndpoint takes 6 MB.
_REQUEST_FITS = 6 * 1024 * 1024 // (224 * 224 * 3)
# Provisioned capacity is this much cheaper than on-demand's, where it is used fully (planning/prices.py).
_PROVISIONED_PAYS_BELOW = 2.4


def micro_batch(workload: Workload) -> Explained:
    """Images of one request to the endpoint."""
    return Explained(
        key="streaming.micro_batch",
        title="images of one request to the endpoint",
        value=max(1, min(_REQUEST_FITS, math.floor(_REQUEST_MS / workload.model_ms))),
        unit="images",
        formula=f"images that the model answers in {_REQUEST_MS} ms, so that callers who wait are not held "
        f"up; at most {_REQUEST_FITS} of 224 x 224 pixels fit into one request",
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


def batch_size(workload: Workload) -> Explained:
    """Claim checks that one call of the consumer gets."""
    return Explained(
        key="streaming.batch_size",
        title="records of one call of the consumer",
        value=_BATCH,
        unit="records",
        formula="a plain number: few calls, and a batch that ends early repeats little; it decides nothing "
        "about throughput, because a batch is worked through image by image",
        inputs=(workload.given("model_ms", "ms of one vCPU"),),
    )


def memory(workload: Workload) -> Explained:
    """Memory of the consumer."""
    slowest = measured.SLOWEST_UPLOAD_CPU_MS
    wanted = largest_image.memory_mb(workload, slowest, share=1 - READ_AHEAD_SHARE)
    return Explained(
        key="streaming.memory_mb",
        title="memory of the consumer",
        value=up(max(wanted, LEAST_MEMORY), MEMORY_STEP),
        unit="MB",
        formula="the share of a vCPU that prepares the largest image in half its time limit, or the memory "
        "that it takes and 25% more beside the quarter that images wait in, if that is more; at least "
        f"{LEAST_MEMORY}, in steps of {MEMORY_STEP}",
        inputs=largest_image.inputs(workload, slowest),
    )


def image_seconds(workload: Workload, per_request: int, memory_mb: int) -> float:
    """How long a consumer works on an image of a long batch when nothing waits."""
    cpu = measured.IMAGE_CPU_MS.value + measured.ADAPTER_CPU_MS.value
    writing = 2 * measured.WRITE_MS.value / WRITERS
    each = cpu / lambda_vcpus(memory_mb) + workload.model_ms + writing
    return (each + measured.INVOKE_MS.value / per_request) / 1000


def consumers(workload: Workload, per_request: int, memory_mb: int) -> int:
    """Batches that must be worked on at once, in all shards together."""
    busy = workload.burst_peak_per_second * image_seconds(workload, per_request, memory_mb)
    return max(1, math.ceil(round(busy / UTILISATION, 9)))


def shards(workload: Workload, per_request: int, memory_mb: int) -> Explained:
    """Shards of the stream."""
    wanted = consumers(workload, per_request, memory_mb)
    needed = _needed_shards(workload, wanted)
    return Explained(
        key="streaming.shards",
        title="shards of the stream",
        value=max(needed, ON_DEMAND_SHARDS),
        unit="shards, on demand" if needed <= ON_DEMAND_SHARDS else "shards, provisioned",
        formula="consumers / batches of a shard at once, or the peak's records / (records of a shard x "
        "utilisation), if that is more; consumers = peak of the burst path x time of an image / utilisation. "
        f"Up to {ON_DEMAND_SHARDS} the stream is on demand: it starts with as many, takes what is uploaded "
        "at once, and costs some 18 dollars a month more than one shard",
        inputs=(
            _burst_peak(workload),
            Input(
                name="time of an image",
                value=round(image_seconds(workload, per_request, memory_mb), 3),
                unit="s",
                source="preparing, model and writing, and its part of InvokeEndpoint; planning/measured.py",
            ),
            Input(name="utilisation", value=UTILISATION, unit="", source="planning/sizing_stream.py"),
            Input(name="consumers", value=wanted, unit="batches at once", source="planning/sizing_stream.py"),
        ),
        limits=(
            RECORDS_PER_SHARD,
            CONSUMERS_PER_SHARD,
            Input(name="on-demand's first capacity", value=ON_DEMAND_SHARDS, unit="MB/s", source=_KINESIS),
        ),
    )


def consumers_per_shard(wanted_consumers: int, shard_count: int) -> Explained:
    """The event source's parallelisation factor."""
    wanted = math.ceil(wanted_consumers / shard_count)
    return Explained(
        key="streaming.parallelization_factor",
        title="batches of a shard at once",
        value=min(int(CONSUMERS_PER_SHARD.value), max(_LEAST_PER_SHARD, wanted)),
        unit="batches",
        formula=f"consumers / shards, rounded up, at least {_LEAST_PER_SHARD}: a batch in trouble must not "
        "hold up all others",
        inputs=(
            Input(name="consumers", value=wanted_consumers, unit="batches", source="streaming.shards"),
            Input(name="shards", value=shard_count, unit="", source="streaming.shards"),
        ),
        limits=(CONSUMERS_PER_SHARD,),
    )


def reserved(shard_count: int, per_shard: int) -> Explained:
    """Executions that are kept for the consumer."""
    return Explained(
        key="streaming.reserved_concurrency",
        title="concurrency of the consumer",
        value=max(_LEAST_RESERVED, shard_count * per_shard * 2),
        unit="executions at once",
        formula="shards x batches of a shard x 2: after a shard was split, old and new are worked off side "
        f"by side; at least {_LEAST_RESERVED}",
        inputs=(
            Input(name="shards", value=shard_count, unit="", source="streaming.shards"),
            Input(
                name="batches of a shard",
                value=per_shard,
                unit="",
                source="streaming.parallelization_factor",
            ),
        ),
    )


def _needed_shards(workload: Workload, wanted_consumers: int) -> int:
    by_records = workload.burst_peak_per_second / (float(RECORDS_PER_SHARD.value) * UTILISATION)
    by_consumers = wanted_consumers / float(CONSUMERS_PER_SHARD.value)
    return max(1, math.ceil(round(max(by_records, by_consumers), 9)))


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
    # Files below 64 MB make queries slow; whoever looks at results does not wait for longer than 5 minutes.
    return Explained(
        key="streaming.buffer_seconds",
        title="buffer of Firehose",
        value=max(60, min(300, round(64 * 1024 / per_second))),
        unit="s",
        formula="until 64 MB have come at the mean of the burst path, from 60 to 300 s",
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
