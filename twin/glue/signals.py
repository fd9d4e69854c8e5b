"""What AWS services emit on the side, in the current scope: events on the default bus, log lines, metrics."""

import json
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from twin.glue.internals import internal
from twin.glue.scope import current_scope, spawn

_open_points: dict[tuple[Any, ...], dict[str, Any]] = {}
_points_lock = threading.Lock()
_MOST_OPEN_POINTS = 4096


def put_service_event(
    source: str, detail_type: str, detail: Mapping[str, Any], resources: Iterable[str]
) -> None:
    """Put an event of an AWS service (`source` = ``aws.sagemaker``) on the default bus of the current scope.

    Rules are matched and targets started in a thread of their own, so that it can be called from anywhere.
    """
    entry = {
        "Source": source,
        "DetailType": detail_type,
        "Detail": json.dumps(detail, default=str),
        "Resources": list(resources),
    }
    spawn(internal("services.eventbridge")._put_events, {"Entries": [entry]}, True, name="twin-event")


def put_log_lines(group: str, stream: str, lines: Iterable[str]) -> None:
    """Append lines to a log stream of the current scope, making group and stream when they are missing."""
    logs = internal("services.cloudwatch_logs")
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in lines]
    if not events:
        return
    if group not in logs._log_groups:
        logs._create_log_group({"logGroupName": group})
    if stream not in logs._log_groups[group]["streams"]:
        logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
    logs._put_log_events({"logGroupName": group, "logStreamName": stream, "logEvents": events})


def record_metric(
    namespace: str,
    name: str,
    value: float,
    unit: str,
    dimensions: Mapping[str, str],
    *,
    at: float | None = None,
) -> None:
    """Record one data point of a CloudWatch metric in the current scope; `at` is in epoch seconds (now)."""
    metrics = internal("services.cloudwatch")
    point = {
        "Timestamp": time.time() if at is None else at,
        "Value": float(value),
        "Unit": unit,
        "Dimensions": dict(dimensions),
    }
    metrics._metric_bucket((namespace, name, metrics._dims_key(dict(dimensions)))).append(point)


def count_metric(namespace: str, name: str, value: float, unit: str, dimensions: Mapping[str, str]) -> None:
    """Count one more occurrence of `value` now: equal values of a second share one data point."""
    here, second = current_scope(), int(time.time())
    key = (here.account, here.region, namespace, name, tuple(dimensions.items()), value, second)
    with _points_lock:
        point = _open_points.get(key)
        if point is not None:
            point["Count"] += 1.0
            return
        if len(_open_points) >= _MOST_OPEN_POINTS:
            for old in [known for known in _open_points if known[-1] < second]:
                del _open_points[old]
        metrics = internal("services.cloudwatch")
        point = {
            "Timestamp": time.time(),
            "Value": value,
            "Count": 1.0,
            "Unit": unit,
            "Dimensions": dict(dimensions),
        }
        metrics._metric_bucket((namespace, name, metrics._dims_key(dict(dimensions)))).append(point)
        _open_points[key] = point
