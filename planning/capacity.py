"""From a workload to everything that is provisioned for it, each number explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from planning import sizing_api as api
from planning import sizing_endpoint as endpoint
from planning import sizing_functions as functions
from planning import sizing_stream as stream
from planning.explained import Explained, Input, Value
from planning.hosting import LIMITS, Hosting
from planning.provision import Provision
from planning.sizing_stream import ON_DEMAND_SHARDS
from planning.workload import Workload

# An alarm at the goal itself would ring for the cold starts of every deployment.
_ALARM_FACTOR = 2
# Burn rate: at this multiple of the allowed failures a month's budget is gone within three days.
_BURN = 10


@dataclass(frozen=True)
class Capacity:
    """The plan for a workload: the numbers, and why each is what it is."""

    workload: Workload
    explained: tuple[Explained, ...]
    provision: Provision

    def __getitem__(self, key: str) -> Explained:
        """The number of that key. Raises KeyError."""
        for each in self.explained:
            if each.key == key:
                return each
        raise KeyError(key)

    def __contains__(self, key: str) -> bool:
        return any(each.key == key for each in self.explained)


def plan(
    workload: Workload,
    given: Mapping[str, Value | None] | None = None,
    hosting: Hosting | None = None,
) -> Capacity:
    """The capacity for a workload. What `given` fixes, by key, is taken as it is; the rest follows from it.

    `hosting` says how models are hosted (default: on instances that answer at once); in a mode without
    instances the plan has executions of the model in their place. Of `given`, only numbers that others follow
    from are looked at: `hosting.instance_type`, `api.memory_mb`, `api.rate_per_second`, and those of
    `streaming` that decide its throughput.

    Raises planning.hardware.UnknownHardware for an instance type whose size is not known.
    """
    fixed = given or {}
    hosted = hosting or Hosting()

    def follows(found: Explained) -> Value:
        value = fixed.get(found.key)
        return found.value if value is None else value

    rate = api.rate(workload)
    memory = api.memory(workload)
    memory_mb = int(follows(memory))
    together = stream.micro_batch(workload)
    consume_memory = stream.memory(workload)
    per_request, consume_mb = int(follows(together)), int(follows(consume_memory))
    wanted = stream.consumers(workload, per_request, consume_mb)
    shards = stream.shards(workload, per_request, consume_mb)
    shard_count = int(follows(shards))
    per_shard = stream.consumers_per_shard(wanted, shard_count)
    explained = (
        rate,
        api.burst(workload, float(follows(rate))),
        memory,
        api.concurrency(workload, memory_mb),
        *_hosting(workload, hosted, follows, shard_count * int(follows(per_shard))),
        shards,
        per_shard,
        stream.reserved(shard_count, int(follows(per_shard))),
        stream.batch_size(workload),
        together,
        consume_memory,
        stream.table_mode(workload),
        stream.firehose_buffer(workload),
        *alarms(workload),
    )
    return Capacity(workload, explained, provision({each.key: each.value for each in explained}, hosted))


def _hosting(
    workload: Workload, hosting: Hosting, follows: Callable[[Explained], Value], consumers: int
) -> tuple[Explained, ...]:
    """What serves the models: instances and how they scale, or executions that come and go."""
    if not hosting.has_instances:
        return (functions.executions(workload, hosting, consumers),)
    kind = endpoint.instance_type(workload)
    chosen = str(follows(kind))
    fewest = endpoint.instances(workload, chosen)
    return (
        kind,
        fewest,
        endpoint.most_instances(workload, chosen, int(fewest.value)),
        endpoint.target(workload, chosen),
    )


def provision(values: Mapping[str, Value | None], hosting: Hosting | None = None) -> Provision:
    """The plain numbers, by their keys; a concurrency of 0 reserves none, no maximum means no scaling.

    Numbers of instances and of executions are looked for where `hosting` has them.
    """
    hosted = hosting or Hosting()

    def number(key: str) -> float:
        if key.startswith("hosting.") and not hosted.has_instances:
            return 0
        return float(values[key] or 0)

    fewest = int(number("hosting.instance_count"))
    return Provision(
        api_rate=number("api.rate_per_second"),
        api_burst=int(number("api.burst")),
        predict_memory_mb=int(number("api.memory_mb")),
        predict_concurrency=int(number("api.reserved_concurrency")) or None,
        instance_type=str(values["hosting.instance_type"]) if hosted.has_instances else "",
        instances=fewest,
        most_instances=int(number("hosting.max_instance_count")) or fewest,
        target_per_instance_minute=number("hosting.target_invocations_per_instance"),
        # No number: on demand.
        shards=int(number("streaming.shards")) or ON_DEMAND_SHARDS,
        consumers_per_shard=int(number("streaming.parallelization_factor")),
        batch_size=int(number("streaming.batch_size")),
        micro_batch=int(number("streaming.micro_batch")),
        reserved_consumers=int(number("streaming.reserved_concurrency")) or None,
        consume_memory_mb=int(number("streaming.memory_mb")),
        hosting=hosted,
        executions=0 if hosted.has_instances else int(values[LIMITS[hosted.mode]] or 0),
    )


def alarms(workload: Workload) -> tuple[Explained, ...]:
    """From where on people are called."""
    return (
        Explained(
            key="monitoring.api_p99_latency_ms",
            title="alarm on the API's latency (p99)",
            value=round(workload.latency_p99_ms * _ALARM_FACTOR),
            unit="ms",
            formula="goal x factor: at the goal itself, the cold starts of every deployment would ring",
            inputs=(workload.given("latency_p99_ms", "ms"), _constant("factor", _ALARM_FACTOR)),
        ),
        Explained(
            key="monitoring.api_5xx_percent",
            title="alarm on failed requests",
            value=round((100 - workload.availability_percent) * _BURN, 3),
            unit="%",
            formula="what may fail x burn rate: at ten times the allowed share, a month's allowance is gone "
            "in three days",
            inputs=(workload.given("availability_percent", "%"), _constant("burn rate", _BURN)),
        ),
        Explained(
            key="streaming.iterator_age_seconds",
            title="alarm on the stream's iterator age",
            value=round(workload.stream_delay_seconds),
            unit="s",
            formula="how long an image may wait in the stream",
            inputs=(workload.given("stream_delay_seconds", "s"),),
        ),
    )


def _constant(name: str, value: float) -> Input:
    return Input(name=name, value=value, unit="", source="planning/capacity.py")
