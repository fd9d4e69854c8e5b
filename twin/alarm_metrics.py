"""What an alarm looks at: a metric's statistic per period, or metric math over several of them."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from twin import glue, metric_math
from twin.metric_math import Evaluation, MathError, Series

_metrics = glue.internal("services.cloudwatch")
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
_SHORT_PERIODS = (10, 20, 30)
_MINUTE = 60
# Data may be published late: points as old as this before the window are still passed by, not stopped at.
_DISORDER_SECONDS = 3600
_METRIC_MEMBERS = (
    "MetricName",
    "Namespace",
    "Statistic",
    "ExtendedStatistic",
    "Dimensions",
    "Unit",
    "Period",
)


def check_period(period: int) -> None:
    """Raise `ValueError` for a period that CloudWatch does not evaluate alarms in."""
    if period not in _SHORT_PERIODS and (period < _MINUTE or period % _MINUTE):
        raise ValueError(f"Period must be 10, 20, 30 or a multiple of 60, not {period}")


def set_math(alarm: dict[str, Any], queries: list[dict[str, Any]]) -> None:
    """Let an alarm's record look at metric math; raises `ValueError` for what is wrong with it."""
    typed = [_typed(query) for query in queries]
    check_math(typed)
    for member in _METRIC_MEMBERS:
        alarm.pop(member, None)
    alarm["Metrics"] = typed


def _typed(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return a query with numbers and truths as such: templates may have them as text."""
    made = dict(query)
    if "ReturnData" in made:
        made["ReturnData"] = str(made["ReturnData"]).lower() == "true"
    if "Period" in made:
        made["Period"] = int(made["Period"])
    if "MetricStat" in made:
        made["MetricStat"] = {**made["MetricStat"], "Period": int(made["MetricStat"]["Period"])}
    return made


def check_math(queries: list[dict[str, Any]]) -> None:
    """Raise `ValueError` naming what CloudWatch or the twin does not take of an alarm's `Metrics`."""
    ids = [str(query.get("Id", "")) for query in queries]
    for query, name in zip(queries, ids, strict=True):
        if not _ID.fullmatch(name):
            raise MathError(f"Metrics: the id {name!r} must begin with a lower-case letter")
        if ("Expression" in query) == ("MetricStat" in query):
            raise MathError(f"Metrics: {name} must have either an Expression or a MetricStat")
    if len(set(ids)) < len(ids):
        raise MathError("Metrics: every id must be unique")
    returned = [query for query in queries if query.get("ReturnData", True)]
    if len(returned) != 1:
        raise MathError(f"Metrics: exactly one query must return data (ReturnData), not {len(returned)}")
    for query in queries:
        if "Expression" in query:
            missing = metric_math.names(metric_math.parse(query["Expression"])) - set(ids)
            if missing:
                raise MathError(f"Metrics: {query['Id']} uses {', '.join(sorted(missing))}, which is no id")
    period_of(queries)
    _evaluate(queries, range(1))  # finds circles, and expressions that give no single time series


def period_of(queries: list[dict[str, Any]]) -> int:
    """Return the period that all metrics of an alarm share, in seconds; raises `ValueError`."""
    periods = {int(query["MetricStat"]["Period"]) for query in queries if "MetricStat" in query}
    if len(periods) != 1:
        raise MathError("Metrics: the local twin evaluates alarms whose metrics all have one period")
    (period,) = periods
    check_period(period)
    return period


def period_values(alarm: Mapping[str, Any], now: float) -> list[float | None]:
    """Return what an alarm judges of its last periods, the newest last, None where there is no data.

    A metric's running period counts as soon as it has data, so that an alarm follows within seconds. Metric
    math is judged on whole periods: a ratio over a part of one says little.
    """
    wanted = int(alarm["EvaluationPeriods"])
    if "Metrics" in alarm:
        current = math.floor(now / period_of(alarm["Metrics"]))
        periods = range(current - wanted, current)
        series = _evaluate(alarm["Metrics"], periods)
        return [series.get(period) for period in periods]
    period = int(alarm["Period"])
    current = math.floor(now / period)
    name = str(alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average")
    series = _statistics(alarm, period, name, range(current - wanted, current + 1), alarm.get("Unit"))
    newest = current if current in series else current - 1
    return [series.get(index) for index in range(newest - wanted + 1, newest + 1)]


def _evaluate(queries: list[dict[str, Any]], periods: range) -> Series:
    """Return the series of the one query that returns data."""
    wanted = next(query["Id"] for query in queries if query.get("ReturnData", True))
    return series_of(queries, periods)[wanted]


def series_of(queries: list[dict[str, Any]], periods: range) -> dict[str, Series]:
    """Return the series of every query by its id; raises `MathError` for what metric math cannot do."""
    values: dict[str, Series] = {}
    plain = [query["Id"] for query in queries if "MetricStat" in query]
    for query in queries:
        if "MetricStat" in query:
            stat = query["MetricStat"]
            unit = stat.get("Unit")
            values[query["Id"]] = _statistics(stat["Metric"], stat["Period"], stat["Stat"], periods, unit)
    waiting = {
        query["Id"]: metric_math.parse(query["Expression"]) for query in queries if "Expression" in query
    }
    while waiting:
        ready = [name for name, tree in waiting.items() if metric_math.names(tree) <= values.keys()]
        if not ready:
            known = {*values, *waiting}
            for name, tree in waiting.items():
                if missing := metric_math.names(tree) - known:
                    raise MathError(f"Metrics: {name} uses {', '.join(sorted(missing))}, which is no id")
            raise MathError(f"Metrics: {', '.join(sorted(waiting))} use each other in a circle")
        for name in ready:
            values[name] = Evaluation(values, plain, periods).series(waiting.pop(name))
    return values


def _statistics(
    metric: Mapping[str, Any], period: int, statistic: str, periods: range, unit: str | None
) -> Series:
    """Return a metric's statistic in every one of `periods` that has data."""
    by_period: dict[int, list[Any]] = {}
    for point in _recent(metric, periods.start * period):
        index = math.floor(point["Timestamp"] / period)
        if index in periods and unit in (None, point.get("Unit")):
            by_period.setdefault(index, []).append(point)
    found = {
        index: _metrics._stat_value(_metrics._calc_stats(points), statistic, points)
        for index, points in by_period.items()
    }
    return {index: value for index, value in found.items() if value is not None}


def _recent(metric: Mapping[str, Any], since: float) -> Iterator[dict[str, Any]]:
    dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions") or []}
    key = (metric["Namespace"], metric["MetricName"], _metrics._dims_key(dimensions))
    for point in reversed(_metrics._metrics.get(key) or []):
        if point["Timestamp"] >= since:
            yield point
        elif point["Timestamp"] < since - _DISORDER_SECONDS:
            return
