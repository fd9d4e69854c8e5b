"""The dashboard of the delivery: DORA's four figures, their course, and where the time of a delivery goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

_DAY = 24 * 3600
_WIDTH = 24  # of CloudWatch's grid


class DeliveryDashboard(Construct):
    """One page, written as the document that CloudWatch takes: the CDK's widgets cost a call each."""

    def __init__(self, scope: Construct, id: str, *, name: str, namespace: str, pipeline: str) -> None:
        super().__init__(scope, id)
        self._namespace, self._pipeline = namespace, pipeline
        self._region = Stack.of(self).region
        body = {
            # Four weeks: fewer deployments than that say little.
            "start": "-P28D",
            "periodOverride": "inherit",
            "widgets": [
                *self._row(0, 4, self._four_figures()),
                *self._row(4, 7, self._course()),
                *self._row(11, 8, self._stages()),
            ],
        }
        cloudwatch.CfnDashboard(
            self,
            "Dashboard",
            dashboard_name=name,
            dashboard_body=Stack.of(self).to_json_string(body),
        )

    def _row(self, y: int, height: int, widgets: list[dict[str, Any]]) -> list[dict[str, Any]]:
        width = _WIDTH // len(widgets)
        return [
            {
                "type": "metric",
                "x": position * width,
                "y": y,
                "width": width,
                "height": height,
                "properties": {"region": self._region, **widget},
            }
            for position, widget in enumerate(widgets)
        ]

    def _four_figures(self) -> list[dict[str, Any]]:
        """Each over the whole time that the dashboard shows."""
        number = {"view": "singleValue", "setPeriodToTimeRange": True}
        return [
            {
                **number,
                "title": "Deployments to production",
                "metrics": [self._metric("Deployments", "Sum", label="succeeded")],
            },
            {
                **number,
                "title": "Lead time of a change (s)",
                "metrics": [
                    self._metric("LeadTimeSeconds", "p50", label="half of them within"),
                    self._metric("LeadTimeSeconds", "p90", label="nine of ten within"),
                ],
            },
            {**number, "title": "Changes that failed in production (%)", "metrics": self._failure_rate()},
            {
                **number,
                "title": "Time to restore (s)",
                "metrics": [
                    self._metric("RestoreSeconds", "Average", label="on average"),
                    self._metric("RestoreSeconds", "Maximum", label="at worst"),
                ],
            },
        ]

    def _course(self) -> list[dict[str, Any]]:
        """The same by day."""
        line = {"view": "timeSeries", "period": _DAY}
        return [
            {
                **line,
                "title": "Deployments by day",
                "metrics": [
                    self._metric("Deployments", "Sum", label="succeeded"),
                    self._metric("DeploymentFailures", "Sum", label="failed"),
                ],
            },
            {
                **line,
                "title": "Lead time (s)",
                "metrics": [self._metric("LeadTimeSeconds", each, label=each) for each in ("p50", "p90")],
            },
            {
                **line,
                "title": "Time to restore (s)",
                "metrics": [self._metric("RestoreSeconds", "Maximum", label="at worst")],
            },
        ]

    def _stages(self) -> list[dict[str, Any]]:
        """All stages that there are: a new environment appears without a change here."""
        return [
            {
                "view": "timeSeries",
                "period": _DAY,
                "title": title,
                "metrics": [[{"expression": self._by_stage(metric), "id": "stages", "label": ""}]],
            }
            for title, metric in (
                ("Stages: working (s)", "StageSeconds"),
                ("Stages: waiting for a turn or a person (s)", "QueueSeconds"),
            )
        ]

    def _failure_rate(self) -> list[list[Any]]:
        """Failures in a hundred deployments; the number of samples counts those that failed, too."""
        hidden = {"visible": False}
        return [
            [{"expression": "100 * failures / deployments", "label": "of all deployments", "id": "rate"}],
            self._metric("DeploymentFailures", "Sum", id="failures", **hidden),
            self._metric("Deployments", "SampleCount", id="deployments", **hidden),
        ]

    def _metric(self, metric: str, statistic: str, **options: Any) -> list[Any]:
        rendering: Mapping[str, Any] = {"stat": statistic, **options}
        return [self._namespace, metric, "Pipeline", self._pipeline, dict(rendering)]

    def _by_stage(self, metric: str) -> str:
        wanted = f'{{{self._namespace},Pipeline,Stage}} MetricName="{metric}" Pipeline="{self._pipeline}"'
        return f"SEARCH('{wanted}', 'Average', {_DAY})"
