"""The numbers that are provisioned, without reasons: what the simulation runs on and the bill counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from planning.hosting import Hosting

# What a stream begins with in on-demand mode (planning/sizing_stream.py).
_ON_DEMAND_SHARDS = 4


@dataclass(frozen=True, kw_only=True)
class Provision:
    """Capacity of every part on the way of an image. Rates are per second unless the name says otherwise."""

    api_rate: float
    api_burst: int
    predict_memory_mb: int
    # None: none is reserved; the function shares what the account has.
    predict_concurrency: int | None
    instance_type: str
    instances: int
    # The same as `instances` where the endpoint does not scale.
    most_instances: int
    target_per_instance_minute: float
    shards: int
    # Batches of one shard that are worked on at once (the parallelisation factor).
    consumers_per_shard: int
    batch_size: int
    micro_batch: int
    reserved_consumers: int | None
    consume_memory_mb: int
    # In modes without instances all numbers of instances are 0, and executions of the model are what counts.
    hosting: Hosting = field(default_factory=Hosting)
    executions: int = 0

    @property
    def consumers(self) -> int:
        """Batches that are worked on at once: the consumer's concurrency."""
        return self.shards * self.consumers_per_shard

    @property
    def on_demand(self) -> bool:
        """Whether the stream's shards are AWS's affair."""
        return self.shards <= _ON_DEMAND_SHARDS

    @property
    def scales(self) -> bool:
        """Whether the endpoint's fleet changes with the load."""
        return self.most_instances > self.instances
