"""GetMetricData with metric math: ministack answers metrics alone."""

import math
from typing import Any

from twin import alarm_metrics, glue
from twin.metric_math import MathError

_metrics = glue.internal("services.cloudwatch")


def install() -> None:
    """Answer requests with expressions here; others, and the query protocol, are ministack's."""
    plain = _metrics._get_metric_data

    def get(parameters: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Any:
        queries = data.get("MetricDataQueries", []) if is_cbor or is_json else []
        if not any("Expression" in query for query in queries):
            return plain(parameters, data, is_cbor, is_json)
        try:
            start, end = (_metrics._parse_ts(data.get(name)) for name in ("StartTime", "EndTime"))
            results = answers(queries, start, end)
        except ValueError as fault:
            return _metrics._error("ValidationError", str(fault), 400, use_json=is_json, use_cbor=is_cbor)
        if is_cbor:
            results = [_metrics._cbor_metric_data_result(result) for result in results]
            return _metrics._cbor_ok({"MetricDataResults": results})
        return _metrics._json_ok({"MetricDataResults": results})

    _metrics._get_metric_data = get


def answers(queries: list[dict[str, Any]], start: float | None, end: float | None) -> list[dict[str, Any]]:
    """Return the results of queries that return data, oldest point first; raises `ValueError`."""
    if start is None or end is None or start >= end:
        raise ValueError("StartTime and EndTime are needed, the first before the second")
    periods = {int(query["MetricStat"]["Period"]) for query in queries if "MetricStat" in query}
    if len(periods) != 1:
        raise MathError("the local twin computes expressions over metrics that all have one period")
    (period,) = periods
    span = range(math.floor(start / period), math.ceil(end / period))
    series = alarm_metrics.series_of(queries, span)
    return [
        {
            "Id": query["Id"],
            "Label": query.get("Label") or query["Id"],
            "Timestamps": [_metrics._ts_iso(index * period) for index in sorted(series[query["Id"]])],
            "Values": [series[query["Id"]][index] for index in sorted(series[query["Id"]])],
            "StatusCode": "Complete",
        }
        for query in queries
        if query.get("ReturnData", True)
    ]
