"""A dashboard is drawn from what CloudWatch says of it: widgets, metrics, metric math, alarms."""

import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import DEV, Twin
from twin.console import charts, dashboards, page

NAMESPACE = "Shop"
WIDGETS: list[dict[str, Any]] = [
    {
        "type": "metric",
        "width": 12,
        "height": 6,
        "properties": {
            "title": "Orders <and> failures",
            "stat": "Sum",
            "period": 60,
            "metrics": [
                [NAMESPACE, "Orders", "Store", "north", {"id": "all", "label": "orders"}],
                [".", "Failures", ".", ".", {"id": "bad", "visible": False}],
                [{"expression": "100 * bad / all", "label": "failed, %", "yAxis": "right"}],
            ],
            "annotations": {"horizontal": [{"label": "most", "value": 6}]},
            "yAxis": {"left": {"label": "orders & failures"}, "right": {"label": "%"}},
        },
    },
    {
        "type": "metric",
        "x": 12,
        "width": 6,
        "properties": {"view": "singleValue", "metrics": [[NAMESPACE, "Orders", "Store", "south"]]},
    },
    {"type": "alarm", "properties": {"alarms": [f"arn:aws:cloudwatch:us-east-1:{DEV}:alarm:too-many"]}},
    {"type": "text", "properties": {"markdown": "Call <us>"}},
]


@pytest.fixture(scope="module")
def cloudwatch(twin: Twin) -> Any:
    """A dashboard with three minutes of figures behind it."""
    client = twin.client("cloudwatch", DEV)
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    north = [{"Name": "Store", "Value": "north"}]
    for back, orders, failures in ((3, 4, 1), (2, 8, 2), (1, 2, 0)):
        for name, value in (("Orders", orders), ("Failures", failures)):
            client.put_metric_data(
                Namespace=NAMESPACE,
                MetricData=[
                    {
                        "MetricName": name,
                        "Dimensions": north,
                        "Value": value,
                        "Timestamp": minute - timedelta(minutes=back),
                    }
                ],
            )
    client.put_metric_alarm(
        AlarmName="too-many",
        Namespace=NAMESPACE,
        MetricName="Orders",
        Dimensions=north,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1000,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    client.set_alarm_state(AlarmName="too-many", StateValue="OK", StateReason="test")
    client.put_dashboard(DashboardName="shop", DashboardBody=json.dumps({"widgets": WIDGETS}))
    return client


def read(cloudwatch: Any, **options: Any) -> list[dashboards.Panel]:
    now = datetime.now(UTC)
    return dashboards.read(cloudwatch, "shop", now - timedelta(minutes=10), now, **options)


def test_widgets_show_the_figures_of_their_metrics(cloudwatch: Any) -> None:
    graph, number, alarm, text = read(cloudwatch)
    assert [line.label for line in graph.lines] == ["orders", "failed, %"]
    assert [value for _, value in graph.lines[0].points] == [4, 8, 2]
    assert [value for _, value in graph.lines[1].points] == [25, 25, 0]
    assert (graph.lines[1].right, graph.marks) == (True, (("most", 6.0),))
    assert (number.kind, number.lines[0].points) == ("number", ()), "another store's figures are not shown"
    assert alarm.alarms == (dashboards.Alarm("too-many", "OK"),)
    assert (text.kind, text.text) == ("text", "Call <us>")


def test_a_longer_period_adds_up(cloudwatch: Any) -> None:
    graph, *_ = read(cloudwatch, period=3600)
    assert sum(value for _, value in graph.lines[0].points) == 14


def test_page_holds_everything_and_escapes_it(cloudwatch: Any) -> None:
    now = datetime.now(UTC)
    shown = page.render("shop", read(cloudwatch), now - timedelta(minutes=10), now, place="here")
    assert "Orders &lt;and&gt; failures" in shown and "Call &lt;us&gt;" in shown
    assert len(re.findall("<polyline", shown)) == 2
    assert ">orders &amp; failures</text>" in shown and ">%</text>" in shown
    times = re.findall(r'class="time" x="([\d.]+)" y="\d+">(\d\d:\d\d:\d\d)<', shown)
    assert times[-1][1] == now.strftime("%H:%M:%S")
    # Half of a label is 24 px wide: none is cut off on the right, and none runs into the next.
    places = [float(x) for x, _ in times]
    assert places[-1] + 24 <= 12 * 40
    assert all(right - left >= 48 for left, right in itertools.pairwise(places))
    assert "too-many: OK" in shown
    assert "<script" not in shown and "http" not in shown


def test_a_graph_without_figures_says_so() -> None:
    now = datetime.now(UTC)
    empty = dashboards.Panel("graph", "Empty", 0, 0, 6, 6, lines=(dashboards.Line("a", ()),))
    assert "no data" in charts.draw(empty, now - timedelta(hours=1), now, 200, 100)


@pytest.mark.parametrize(
    ("value", "words"), [(0.25, "0.25"), (12300, "12.3k"), (4e6, "4M"), (2.5e9, "2.5G"), (0, "0")]
)
def test_values_are_short(value: float, words: str) -> None:
    assert charts.short(value) == words


def test_unknown_dashboard_is_named_with_those_that_exist(cloudwatch: Any) -> None:
    now = datetime.now(UTC)
    with pytest.raises(dashboards.DashboardError, match=r"no dashboard 'ship' \(there are: .*shop"):
        dashboards.read(cloudwatch, "ship", now - timedelta(minutes=1), now)


@pytest.mark.parametrize(
    ("expression", "words"), [("ghost * 2", "which is no id"), ("SEARCH(a)", "uses SEARCH")]
)
def test_expressions_that_cannot_be_are_refused(cloudwatch: Any, expression: str, words: str) -> None:
    now = datetime.now(UTC)
    metric = {"Namespace": NAMESPACE, "MetricName": "Orders", "Dimensions": []}
    with pytest.raises(ClientError, match=words):
        cloudwatch.get_metric_data(
            MetricDataQueries=[
                {"Id": "a", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}},
                {"Id": "b", "Expression": expression},
            ],
            StartTime=now - timedelta(minutes=1),
            EndTime=now,
        )
