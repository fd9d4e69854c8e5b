"""Event source mappings of Kinesis streams as Lambda has them: lanes, batches, retries, destinations."""

from twin import glue
from twin.event_sources import mappings
from twin.event_sources.poller import Poller
from twin.glue import stream_mappings, streams

poller = Poller()


def install() -> None:
    """Read streams in ministack's stead, and keep what was read across restarts."""
    streams.install_shards()
    streams.install_resource_arns()
    stream_mappings.install_mappings(mappings.refusal, poller.begin, poller.end)
    streams.on_put(poller.wake)
    glue.register_state("event_sources", poller.positions)
    poller.start()
