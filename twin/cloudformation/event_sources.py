"""Mappings of Kinesis streams in stacks: refused as the API refuses them, read by the twin's own poller."""

from typing import Any

from twin.cloudformation.completion import Properties, checks, completes
from twin.glue import stream_mappings


@checks("AWS::Lambda::EventSourceMapping")
def check_mapping(properties: Properties) -> None:
    """Refuse what CreateEventSourceMapping refuses."""
    from twin.event_sources import mappings

    if ":kinesis:" in str(properties.get("EventSourceArn", "")):
        reason = mappings.refusal(properties)
        if reason is not None:
            raise ValueError(reason)


@completes("AWS::Lambda::EventSourceMapping")
def complete_mapping(mapping_id: str, new: Properties, old: Properties) -> dict[str, Any] | None:
    """Start reading."""
    from twin.event_sources import poller

    mapping = stream_mappings.complete_mapping(mapping_id, new)
    if mapping is not None and not old:
        poller.begin(mapping)
    return None
