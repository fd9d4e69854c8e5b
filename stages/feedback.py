"""The feedback function: what it is told, what it may touch, and the schedule of its sweep."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stages.inference_functions import allowed_origins
from stages.settings import EnvironmentSettings
from vision_platform.encryption import PlatformKey
from vision_platform.feedback_table import FeedbackTable
from vision_platform.feedback_watching import SWEEP_MINUTES
from vision_platform.functions import FunctionProps, PlatformFunction
from vision_platform.lineage import LineageTable
from vision_platform.model_code import read_model_spec
from vision_platform.network import Placement
from vision_platform.permissions import PlatformRole, allow

# The sweep's time; a request is answered within API Gateway's 29 s, or the gateway gives up.
_TIMEOUT_SECONDS = 300


def feedback_function(
    scope: Construct,
    id: str,
    *,
    project_root: Path,
    environment: EnvironmentSettings,
    key: PlatformKey,
    role: PlatformRole,
    placement: Placement | None,
    feedback: FeedbackTable,
    lineage: LineageTable,
) -> PlatformFunction:
    """The function in `scope`, with its grants and its schedule; who calls it by the API grants that."""
    quality, api = environment.quality, environment.api
    function = PlatformFunction(
        scope,
        id,
        props=FunctionProps(
            source=project_root / "lambda_src",
            folder="feedback",
            description="Takes labels for predictions and measures models by them",
            environment={
                "FEEDBACK_TABLE": feedback.name,
                **allowed_origins(api),
                "LINEAGE_TABLE": lineage.name,
                "MODEL_SPEC": read_model_spec(project_root / "model"),
                "LABEL_WAIT_DAYS": str(quality.label_wait_days),
                "ACCURACY_DAYS": str(quality.accuracy_days),
                "ACCURACY_CONFIDENCE": str(quality.accuracy_confidence),
                "POWERTOOLS_SERVICE_NAME": "feedback",
                "POWERTOOLS_METRICS_NAMESPACE": "Vision",
            },
            memory_mb=512,
            timeout_seconds=_TIMEOUT_SECONDS,
            log_retention_days=environment.retention.log_days,
            # Where the API reserves nothing, the account's quota is too small to give any away.
            reserved_concurrency=quality.label_concurrency if api.reserved_concurrency else None,
        ),
        key=key,
        placement=placement,
        role=role,
    )
    feedback.allow_actions(
        role, ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"]
    )
    feedback.allow_finding_pending(role)
    lineage.allow_actions(role, ["dynamodb:BatchGetItem", "dynamodb:GetItem"])
    allow(
        role,
        ["cloudwatch:GetMetricData"],
        ["*"],
        because="CloudWatch: metrics are read from the account as a whole",
    )
    events.Rule(
        function,
        "Sweep",
        description="Joins labels with predictions that came after them, and publishes accuracy",
        schedule=events.Schedule.rate(Duration.minutes(SWEEP_MINUTES)),
        targets=[
            cast(
                "events.IRuleTarget",
                targets.LambdaFunction(
                    function.function, dead_letter_queue=cast("sqs.IQueue", function.failures)
                ),
            )
        ],
    )
    return function
