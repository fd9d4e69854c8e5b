"""What CloudWatch hears of SQS queues: how many messages wait in each, and since when the oldest does."""

import logging
import time
from typing import Any

from twin import glue

log = logging.getLogger("twin.queues")
NAMESPACE = "AWS/SQS"
_SECONDS_BETWEEN_POINTS = 5.0  # AWS: a minute
_queues = glue.internal("services.sqs")


def install() -> None:
    """Measure all queues every few seconds."""
    glue.spawn(_measure_for_ever, name="twin-queue-metrics")


def _measure_for_ever() -> None:
    with_messages: set[tuple[str, str, str]] = set()
    while True:
        time.sleep(_SECONDS_BETWEEN_POINTS)
        try:
            with_messages = measure(with_messages)
        except Exception:
            log.exception("queues could not be measured")


def measure(before: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """Record a data point of each queue that holds messages or, being one of `before`, held some.

    Returns those that hold some: account, region and URL. AWS has no points of queues that nobody uses.
    """
    found: set[tuple[str, str, str]] = set()
    for (account, region, url), queue in _queues._queues.all_items():
        place = (account, region, url)
        with glue.scope(account, region):
            counts = _counts(queue)
            if any(counts.values()):
                found.add(place)
            if place in found or place in before:
                _record(url.rpartition("/")[2], counts)
    return found


def _counts(queue: dict[str, Any]) -> dict[str, float]:
    """What waits in a queue now; the queue itself is left alone, as requests change it meanwhile."""
    now, messages = time.time(), list(queue["messages"])
    hidden = [message for message in messages if message["visible_at"] > now]
    delayed = sum(message["receive_count"] == 0 for message in hidden)
    return {
        "ApproximateNumberOfMessagesVisible": float(len(messages) - len(hidden)),
        "ApproximateNumberOfMessagesNotVisible": float(len(hidden) - delayed),
        "ApproximateNumberOfMessagesDelayed": float(delayed),
        "ApproximateAgeOfOldestMessage": max((now - message["sent_at"] for message in messages), default=0.0),
    }


def _record(name: str, counts: dict[str, float]) -> None:
    for metric, value in counts.items():
        unit = "Seconds" if metric.endswith("OldestMessage") else "Count"
        glue.record_metric(NAMESPACE, metric, value, unit, {"QueueName": name})
