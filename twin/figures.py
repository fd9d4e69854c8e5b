"""Figures of a pipeline that CloudWatch holds, as `twin.toml` names them: in all, and for each of its stages.

    [figures]
    namespace = "Delivery"
    [figures.dimensions]                      # of every metric here
    Pipeline = "app"
    [[figures.total]]                         # one number; `per` divides it by another
    title = "failed, share"
    metric = "Failures"
    statistic = "Sum"                         # or Average, SampleCount
    per = {metric = "Deployments", statistic = "SampleCount"}
    [figures.by]                              # one row for each value of this dimension
    dimension = "Stage"
    columns = [{title = "working", metric = "StageSeconds", statistic = "Average"}]

A figure covers the last two weeks; a unit of `s` or `%` only says how it is written.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from twin.server_process import TwinError

_DAYS = 14  # as long as the twin's CloudWatch keeps data
_PERIOD_SECONDS = 3600
_QUERIES = 500  # per call
_STATISTICS = ("Sum", "SampleCount", "Average")


@dataclass(frozen=True)
class Figure:
    """One figure; `value` is None where CloudWatch holds nothing."""

    title: str
    value: float | None
    unit: str = ""

    def __str__(self) -> str:
        """Write the value for people."""
        if self.value is None:
            return "-"
        match self.unit:
            case "s":
                return _duration(self.value)
            case "%":
                return f"{self.value:.0%}"
            case _:
                return f"{self.value:g}"


@dataclass(frozen=True)
class Figures:
    """All figures: those of the whole, and those by the value of a dimension."""

    totals: list[Figure]
    rows: dict[str, list[Figure]]
    by: str = ""


def show(console: Console, figures: Figures, order: Iterable[str]) -> None:
    """Print the figures: totals as lines, then a table with a row for each name of `order` that has any."""
    for each in figures.totals:
        console.print(f"{each.title}: {each}", highlight=False, markup=False)
    rows = [name for name in order if name in figures.rows]
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for name in (figures.by, *(each.title for each in figures.rows[rows[0]])):
        table.add_column(name.lower(), justify="left" if name == figures.by else "right")
    for name in rows:
        table.add_row(name, *map(str, figures.rows[name]))
    console.print(table)


def read(cloudwatch: Any, settings: Mapping[str, Any]) -> Figures:
    """Ask CloudWatch for the figures of `[figures]`; raises `TwinError` for a key that is wrong."""
    if not settings:
        return Figures([], {})
    namespace, every = _need(settings, "namespace"), dict(settings.get("dimensions", {}))
    by = settings.get("by", {})
    rows: list[tuple[str, dict[str, str]]] = []
    if by:
        name = _need(by, "dimension", "by.")
        metrics = {_need(column, "metric", "by.columns.") for column in by.get("columns", [])}
        values = _values(cloudwatch, namespace, metrics, every, name)
        rows = [(value, {**every, name: value}) for value in values]
    wanted = [(each, every) for each in settings.get("total", [])]
    wanted += [(column, dimensions) for _, dimensions in rows for column in by.get("columns", [])]
    sums = _sums(cloudwatch, namespace, [(part, where) for each, where in wanted for part in _parts(each)])
    figures = [_figure(each, where, sums) for each, where in wanted]
    totals, rest = figures[: len(settings.get("total", []))], figures[len(settings.get("total", [])) :]
    width = len(by.get("columns", []))
    return Figures(
        totals,
        {value: rest[position * width : (position + 1) * width] for position, (value, _) in enumerate(rows)},
        by.get("dimension", ""),
    )


def _need(table: Mapping[str, Any], key: str, place: str = "") -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise TwinError(f"twin.toml: figures.{place}{key} must be a text")
    return value


def _parts(wanted: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [wanted, *([wanted["per"]] if "per" in wanted else [])]


def _values(
    cloudwatch: Any, namespace: str, metrics: Iterable[str], every: Mapping[str, str], name: str
) -> list[str]:
    """Return the values of a dimension, in the order in which CloudWatch lists them first."""
    dimensions = [{"Name": key, "Value": value} for key, value in every.items()]
    found: dict[str, None] = {}
    for metric in sorted(metrics):
        pages = cloudwatch.get_paginator("list_metrics").paginate(
            Namespace=namespace, MetricName=metric, Dimensions=[*dimensions, {"Name": name}]
        )
        for each in (each for page in pages for each in page["Metrics"]):
            found |= {d["Value"]: None for d in each["Dimensions"] if d["Name"] == name}
    return list(found)


_Key = tuple[str, tuple[tuple[str, str], ...]]


def _key(metric: str, dimensions: Mapping[str, str]) -> _Key:
    return metric, tuple(sorted(dimensions.items()))


def _sums(
    cloudwatch: Any, namespace: str, wanted: Iterable[tuple[Mapping[str, Any], Mapping[str, str]]]
) -> dict[_Key, dict[str, float]]:
    """Return sum and number of samples of each metric over the whole time."""
    keys = list(dict.fromkeys(_key(_need(part, "metric"), where) for part, where in wanted))
    queries = [
        {
            "Id": f"q{position}_{statistic.lower()}",
            "MetricStat": {
                "Metric": {
                    "Namespace": namespace,
                    "MetricName": metric,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions],
                },
                "Period": _PERIOD_SECONDS,
                "Stat": statistic,
            },
        }
        for position, (metric, dimensions) in enumerate(keys)
        for statistic in ("Sum", "SampleCount")
    ]
    now = datetime.now(UTC)
    span = {"StartTime": now - timedelta(days=_DAYS), "EndTime": now + timedelta(hours=1)}
    found: dict[_Key, dict[str, float]] = {key: {"Sum": 0.0, "SampleCount": 0.0} for key in keys}
    for first in range(0, len(queries), _QUERIES):
        pages = cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries[first : first + _QUERIES], **span
        )
        for result in (result for page in pages for result in page["MetricDataResults"]):
            position, _, statistic = result["Id"].removeprefix("q").partition("_")
            which = "Sum" if statistic == "sum" else "SampleCount"
            found[keys[int(position)]][which] += sum(result["Values"])
    return found


def _figure(
    wanted: Mapping[str, Any], where: Mapping[str, str], sums: Mapping[_Key, Mapping[str, float]]
) -> Figure:
    values = [_statistic(part, sums[_key(part["metric"], where)]) for part in _parts(wanted)]
    value = values[0]
    if len(values) > 1:
        value = None if value is None or not values[1] else value / values[1]
    return Figure(_need(wanted, "title"), value, wanted.get("unit", ""))


def _statistic(part: Mapping[str, Any], of: Mapping[str, float]) -> float | None:
    name = part.get("statistic", "Sum")
    if name not in _STATISTICS:
        raise TwinError(
            f"twin.toml: figures: statistic {name!r} of {part['metric']} is none of {', '.join(_STATISTICS)}"
        )
    if not of["SampleCount"]:
        return None
    return of["Sum"] / of["SampleCount"] if name == "Average" else of[name]


def _duration(seconds: float) -> str:
    """Write a duration with two units at most: 12.3 s, 4 min 5 s, 3 h 20 min, 2 d 5 h."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, small, small_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // small} {small_name}"
    return f"{whole} s"
