"""Monitoring: what is measured, from where on it is too much, and who is told."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from stages.inference import InferenceStack
from stages.promotion import PromotionStack
from stages.settings import EnvironmentSettings
from stages.streaming import StreamingStack
from stages.streaming_objectives import stream_objectives
from stages.training import TrainingStack
from vision_platform.announcements import ModelAnnouncements
from vision_platform.encryption import PlatformKey
from vision_platform.event_bus import PlatformBus
from vision_platform.feedback_watching import accuracy_alarm, feedback_graphs
from vision_platform.guardrails import guardrail_graphs, guardrails
from vision_platform.model_lines import ModelLines
from vision_platform.monitoring import Alarms, AlertTopic, Graph, Objective, PlatformDashboard


class MonitoringStack(Stack):
    """Alarms on the settings' objectives, and the dashboard."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: EnvironmentSettings,
        lines: ModelLines,
        key: PlatformKey,
        bus: PlatformBus,
        promotion: PromotionStack,
        training: TrainingStack,
        streaming: StreamingStack,
        inference: InferenceStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        goals, quality = environment.monitoring, environment.quality
        period = Duration.minutes(goals.period_minutes)
        api, machine = inference.api.api, training.workflow.machine
        promotions = promotion.workflow.machine
        topic = AlertTopic(self, "Alerts", key=key.key, emails=goals.emails)
        ModelAnnouncements(
            self,
            "Announcements",
            bus=bus,
            topic=topic.topic,
            environment=environment.name,
            runbook_url=goals.runbook_url,
        )
        functions = {
            "predict": inference.predict,
            "consume": streaming.consume,
            "feedback": inference.feedback,
            "gate": promotion.gate,
        } | training.functions
        if promotion.models is not None:
            functions |= {f"{line}-model": model for line, model in promotion.models.functions.items()}
        guards = guardrails(
            lines,
            on_functions=environment.hosting.on_functions,
            low_confidence=quality.low_confidence,
            low_confidence_percent=quality.low_confidence_percent,
            error_percent=quality.error_percent,
            latency_ms=quality.latency_ms,
            period_seconds=quality.period_seconds,
        )
        stream_goals = stream_objectives(
            streaming.stream, streaming.consume, environment.streaming, period=period
        )
        by_labels = (
            [
                accuracy_alarm(
                    min_accuracy=quality.min_accuracy,
                    min_labels=quality.min_labels,
                    days=quality.accuracy_days,
                    confidence=quality.accuracy_confidence,
                )
            ]
            if quality.min_accuracy is not None
            else []
        )
        objectives = [
            *guards,
            *stream_goals,
            *by_labels,
            Objective(
                name="api-5xx",
                # The average of a count of ones and zeros is the share of failed requests.
                metric=api.metric_server_error(period=period, statistic=cloudwatch.Stats.AVERAGE),
                threshold=goals.api_5xx_percent / 100,
                periods=goals.evaluation_periods,
                says="The prediction API fails requests: see the predict function's log and the endpoint.",
            ),
            Objective(
                name="api-latency-p99",
                metric=api.metric_latency(period=period, statistic="p99"),
                threshold=goals.api_p99_latency_ms,
                periods=goals.evaluation_periods,
                says="Predictions are slow: look at the endpoint's ModelLatency, then at its instance count.",
            ),
            Objective(
                name="training-failed",
                metric=machine.metric_failed(period=period),
                threshold=goals.failed_trainings,
                says="A training run failed: its record in the lineage table names the error and the cause.",
            ),
            Objective(
                name="training-timed-out",
                metric=machine.metric_timed_out(period=period),
                threshold=goals.failed_trainings,
                says="A training run took longer than all its steps together may.",
            ),
            Objective(
                name="promotion-failed",
                metric=promotions.metric_failed(period=period),
                threshold=goals.failed_trainings,
                says="A model was not promoted, or was taken back: its deployment's record in the lineage "
                "table names the error and the cause.",
            ),
            Objective(
                name="promotion-timed-out",
                metric=promotions.metric_timed_out(period=period),
                threshold=goals.failed_trainings,
                says="A promotion took longer than its deployment may: look at the endpoint and its events.",
            ),
            Objective(
                name="aftermath-failed",
                metric=training.aftermath.machine.metric_failed(period=period),
                threshold=1,
                says="What a stopped training run left could not be cleared up: see the execution's history.",
            ),
            *[
                Objective(
                    name=f"{name}-errors",
                    metric=function.function.metric_errors(period=period),
                    threshold=goals.function_errors,
                    says=f"The {name} function raises errors: its log names them by request id.",
                )
                for name, function in functions.items()
            ],
            *[
                Objective(
                    name=f"{name}-kept",
                    metric=function.failures.metric_approximate_number_of_messages_visible(
                        period=period, statistic=cloudwatch.Stats.MAXIMUM
                    ),
                    threshold=1,
                    says=f"Calls of the {name} function failed thrice and wait in its queue: see its log.",
                )
                for name, function in functions.items()
            ],
        ]
        alarms = Alarms(
            self,
            "Alarms",
            prefix=lines.prefix,
            topic=topic.topic,
            objectives=objectives,
            runbook_url=goals.runbook_url,
        )
        PlatformDashboard(
            self,
            "Overview",
            name=lines.prefix,
            alarms=alarms.alarms,
            graphs=[
                Graph(
                    title="Requests",
                    metrics=[
                        api.metric_count(label="all"),
                        api.metric_client_error(label="refused (4xx)"),
                        api.metric_server_error(label="failed (5xx)"),
                    ],
                    unit="requests",
                ),
                Graph(
                    title="Latency of the API",
                    metrics=[
                        api.metric_latency(statistic=each, label=each) for each in ("p50", "p95", "p99")
                    ],
                    unit="ms",
                    limit=goals.api_p99_latency_ms,
                ),
                Graph(
                    title="Burst path",
                    metrics=[each.metric for each in stream_goals[1:]],
                    unit="calls, batches, records",
                    right=[stream_goals[0].metric],
                    right_unit="ms",
                ),
                _of_workflow("Training", machine),
                _of_workflow("Promotion", promotions),
                *guardrail_graphs(guards, on_functions=environment.hosting.on_functions),
                *feedback_graphs(),
            ],
        )


def _of_workflow(title: str, machine: stepfunctions.StateMachine) -> Graph:
    ended = [machine.metric_succeeded(label="succeeded"), machine.metric_failed(label="failed")]
    return Graph(title=title, metrics=ended, unit="executions")
