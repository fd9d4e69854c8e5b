"""Figures that CloudWatch holds, asked for as `twin.toml` names them."""

import time
import uuid
from typing import Any

import pytest
from rich.console import Console

from tests.twin.conftest import Twin
from twin import figures
from twin.server_process import TwinError


@pytest.fixture
def namespace() -> str:
    return f"Delivery-{uuid.uuid4().hex[:8]}"


def settings(chosen: str, **changes: Any) -> dict[str, Any]:
    return {
        "namespace": chosen,
        "dimensions": {"Pipeline": "app"},
        "total": [
            {"title": "deployments", "metric": "Deployments", "statistic": "Sum"},
            {"title": "lead time", "metric": "LeadTime", "statistic": "Average", "unit": "s"},
            {
                "title": "failed",
                "metric": "Failures",
                "statistic": "Sum",
                "per": {"metric": "Deployments", "statistic": "SampleCount"},
                "unit": "%",
            },
        ],
        "by": {
            "dimension": "Stage",
            "columns": [{"title": "working", "metric": "Working", "statistic": "Average", "unit": "s"}],
        },
        **changes,
    }


def put(twin: Twin, namespace: str, metric: str, *values: float, pipeline: str = "app", **more: str) -> None:
    dimensions = [{"Name": name, "Value": value} for name, value in {"Pipeline": pipeline, **more}.items()]
    twin.client("cloudwatch").put_metric_data(
        Namespace=namespace,
        MetricData=[
            # Spread over a day: every period counts, and an average is that of all values.
            {
                "MetricName": metric,
                "Dimensions": dimensions,
                "Value": value,
                "Timestamp": time.time() - 7200 * position,
            }
            for position, value in enumerate(values)
        ],
    )


def test_figures_cover_all_periods_and_only_their_dimensions(twin: Twin, namespace: str) -> None:
    put(twin, namespace, "Deployments", 1, 0, 1, 1)
    put(twin, namespace, "Failures", 0, 1, 0, 0)
    put(twin, namespace, "LeadTime", 60, 60, 60, 7000)
    put(twin, namespace, "Deployments", 5, pipeline="another")
    put(twin, namespace, "Working", 10, 20, Stage="Prod")
    put(twin, namespace, "Working", 3, Stage="Build")
    found = figures.read(twin.client("cloudwatch"), settings(namespace))
    assert [figure.value for figure in found.totals] == [3, 1795, 0.25]
    assert {stage: [figure.value for figure in row] for stage, row in found.rows.items()} == {
        "Prod": [15],
        "Build": [3],
    }
    console = Console(record=True, width=80)
    figures.show(console, found, ["Source", "Build", "Prod"])
    assert [line.split() for line in console.export_text().splitlines()] == [
        ["deployments:", "3"],
        ["lead", "time:", "29", "min", "55", "s"],
        ["failed:", "25%"],
        ["stage", "working"],
        ["Build", "3.0", "s"],
        ["Prod", "15.0", "s"],
    ]


def test_where_nothing_was_measured_nothing_is_made_up(twin: Twin, namespace: str) -> None:
    found = figures.read(twin.client("cloudwatch"), settings(namespace))
    assert [str(figure) for figure in found.totals] == ["-", "-", "-"]
    assert found.rows == {}


def test_project_without_figures_has_none() -> None:
    assert figures.read(None, {}) == figures.Figures([], {})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"namespace": ""}, "figures.namespace"),
        ({"total": [{"title": "x", "metric": "M", "statistic": "p90"}]}, "'p90' of M"),
        ({"total": [{"title": "x"}]}, "figures.metric"),
        ({"by": {"columns": []}}, "figures.by.dimension"),
    ],
)
def test_wrong_entry_is_named(twin: Twin, namespace: str, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(TwinError, match=named):
        figures.read(twin.client("cloudwatch"), settings(namespace, **changes))


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (9.96, "10.0 s"),
        (100, "1 min 40 s"),
        (3599.6, "1 h 0 min"),
        (90061, "1 d 1 h"),
        (0, "0.0 s"),
    ],
)
def test_durations_are_written_for_people(seconds: float, written: str) -> None:
    assert str(figures.Figure("", seconds, "s")) == written
