"""Reads a CloudWatch dashboard: its widgets, and the figures that they show, by CloudWatch's own API."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_PERIOD = 300  # seconds, where neither the widget nor its metric says one
_STATISTIC = "Average"
_QUERIES = 500  # GetMetricData takes no more in a call
_ALARMS = 100  # nor DescribeAlarms


class DashboardError(Exception):
    """The dashboard cannot be shown; the message says why."""


@dataclass(frozen=True)
class Line:
    """One series: points are (seconds since 1970, value), oldest first; `right` is its axis."""

    label: str
    points: tuple[tuple[float, float], ...]
    right: bool = False


@dataclass(frozen=True)
class Alarm:
    """An alarm of an alarm widget, with its state."""

    name: str
    state: str


@dataclass(frozen=True)
class Panel:
    """A widget with its figures; the place is in the dashboard's grid, which is 24 columns wide."""

    kind: str
    title: str
    x: int
    y: int
    width: int
    height: int
    lines: tuple[Line, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    text: str = ""
    marks: tuple[tuple[str, float], ...] = ()
    units: tuple[str, str] = ("", "")  # what the axes on the left and on the right count


@dataclass(frozen=True)
class _Query:
    """One entry of a widget's `metrics`."""

    id: str
    label: str
    request: dict[str, Any]
    right: bool
    visible: bool


def read(
    cloudwatch: Any, name: str, start: datetime, end: datetime, *, period: int | None = None
) -> list[Panel]:
    """Return the panels of dashboard `name`, with figures from `start` to `end`.

    `period` (seconds) replaces the widgets' own. Raises `DashboardError`, and botocore's errors.
    """
    try:
        body = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
    except cloudwatch.exceptions.ResourceNotFound:
        known = [each["DashboardName"] for each in cloudwatch.list_dashboards()["DashboardEntries"]]
        raise DashboardError(
            f"there is no dashboard {name!r} (there are: {', '.join(sorted(known)) or 'none'})"
        ) from None
    span = {"StartTime": start, "EndTime": end}
    return [_panel(cloudwatch, widget, span, period) for widget in body.get("widgets", [])]


def _panel(cloudwatch: Any, widget: Mapping[str, Any], span: dict[str, Any], period: int | None) -> Panel:
    properties = widget.get("properties", {})
    kind = widget["type"]
    place = (widget.get("x", 0), widget.get("y", 0), widget.get("width", 6), widget.get("height", 6))
    title = properties.get("title", "")
    match kind:
        case "text":
            return Panel(kind, title, *place, text=properties.get("markdown", ""))
        case "alarm":
            names = [arn.rpartition(":")[2] for arn in properties.get("alarms", [])]
            return Panel(kind, title, *place, alarms=tuple(_alarms(cloudwatch, names)))
        case "metric":
            queries = _queries(properties, period)
            number = properties.get("view") == "singleValue"
            return Panel(
                "number" if number else "graph",
                title,
                *place,
                lines=tuple(_lines(cloudwatch, queries, span)),
                marks=tuple(
                    (each.get("label", ""), float(each["value"]))
                    for each in properties.get("annotations", {}).get("horizontal", [])
                    if "value" in each
                ),
                units=(_unit(properties, "left"), _unit(properties, "right")),
            )
        case _:
            return Panel("text", title, *place, text=f"widgets of type {kind!r} are not drawn")


def _unit(properties: Mapping[str, Any], side: str) -> str:
    return str(properties.get("yAxis", {}).get(side, {}).get("label", ""))


def _alarms(cloudwatch: Any, names: list[str]) -> Iterator[Alarm]:
    states: dict[str, str] = {}
    for first in range(0, len(names), _ALARMS):
        found = cloudwatch.describe_alarms(
            AlarmNames=names[first : first + _ALARMS], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        for alarm in [*found.get("MetricAlarms", []), *found.get("CompositeAlarms", [])]:
            states[alarm["AlarmName"]] = alarm["StateValue"]
    yield from (Alarm(name, states.get(name, "gone")) for name in names)


def _queries(properties: Mapping[str, Any], period: int | None) -> list[_Query]:
    """Return what the widget asks for; `.` and `...` in a metric repeat the one before it."""
    made: list[_Query] = []
    before: list[str] = []
    for number, entry in enumerate(properties.get("metrics", [])):
        options: dict[str, Any] = entry[-1] if isinstance(entry[-1], dict) else {}
        parts = [each for each in entry if not isinstance(each, dict)]
        seconds = period or int(options.get("period") or properties.get("period") or _PERIOD)
        if "expression" in options:
            request: dict[str, Any] = {"Expression": options["expression"]}
            label = options.get("label", options["expression"])
        else:
            before = _written_out(parts, before)
            request = _metric(before, seconds, options.get("stat") or properties.get("stat") or _STATISTIC)
            label = options.get("label", before[1])
        made.append(
            _Query(
                id=options.get("id") or f"q{number}",
                label=label,
                request=request,
                right=options.get("yAxis") == "right",
                visible=options.get("visible", True) is not False,
            )
        )
    return made


def _written_out(parts: list[str], before: list[str]) -> list[str]:
    found: list[str] = []
    for part in parts:
        if part == "...":
            # All that the one before has, up to what follows the dots here.
            found += before[len(found) : len(before) - (len(parts) - parts.index("...") - 1)]
        elif part == ".":
            found.append(before[len(found)])
        else:
            found.append(part)
    return found


def _metric(parts: list[str], period: int, statistic: str) -> dict[str, Any]:
    namespace, name, *rest = parts
    dimensions = [{"Name": key, "Value": value} for key, value in zip(rest[::2], rest[1::2], strict=True)]
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}
    return {"MetricStat": {"Metric": metric, "Period": period, "Stat": statistic}}


def _lines(cloudwatch: Any, queries: Iterable[_Query], span: dict[str, Any]) -> Iterator[Line]:
    wanted = list(queries)
    asked = [{"Id": each.id, "ReturnData": each.visible, **each.request} for each in wanted]
    points: dict[str, dict[float, float]] = {}
    for first in range(0, len(asked), _QUERIES):
        pages = cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=asked[first : first + _QUERIES], ScanBy="TimestampAscending", **span
        )
        for result in (result for page in pages for result in page["MetricDataResults"]):
            series = points.setdefault(result["Id"], {})
            for time, value in zip(result["Timestamps"], result["Values"], strict=True):
                series[time.timestamp()] = float(value)
    for each in wanted:
        if each.visible:
            yield Line(each.label, tuple(sorted(points.get(each.id, {}).items())), each.right)
