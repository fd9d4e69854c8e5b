"""Inference: the API, the function behind it, and the way in for smoke tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from stages.data import DataStack
from stages.feedback import feedback_function
from stages.promotion import PromotionStack
from stages.settings import EnvironmentSettings
from stages.training import TrainingStack
from vision_platform.encryption import PlatformKey
from vision_platform.functions import FunctionProps, PlatformFunction
from vision_platform.identities import Identities
from vision_platform.model_code import read_model_spec
from vision_platform.model_lines import CHAMPION, SMOKE, ModelLines
from vision_platform.network import Placement
from vision_platform.permissions import allow
from vision_platform.prediction_api import ApiLimits, PredictionApi
from vision_platform.smoke_access import SmokeAccess
from vision_platform.web_acl import ApiFirewall


class InferenceStack(Stack):
    """Composes the prediction API and grants its function what it calls."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        project_root: Path,
        environment: EnvironmentSettings,
        lines: ModelLines,
        key: PlatformKey,
        identities: Identities,
        placement: Placement | None,
        data: DataStack,
        promotion: PromotionStack,
        training: TrainingStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self.predict = PlatformFunction(
            self,
            "Predict",
            props=FunctionProps(
                source=project_root / "lambda_src",
                folder="predict",
                description="Answers an image with a prediction",
                environment={
                    "CHAMPION_ENDPOINT": lines.endpoint(CHAMPION),
                    "SMOKE_ENDPOINT": lines.endpoint(SMOKE),
                    "LINEAGE_TABLE": data.lineage.name,
                    "PREDICTION_RETENTION_DAYS": str(environment.retention.prediction_days),
                    "MODEL_SPEC": read_model_spec(project_root / "model"),
                    "LOW_CONFIDENCE": str(environment.quality.low_confidence),
                    "METRICS_PERIOD_SECONDS": str(environment.quality.period_seconds),
                    "POWERTOOLS_SERVICE_NAME": "predict",
                    "POWERTOOLS_METRICS_NAMESPACE": "Vision",
                },
                memory_mb=environment.api.memory_mb,
                timeout_seconds=environment.api.timeout_seconds,
                log_retention_days=environment.retention.log_days,
                reserved_concurrency=environment.api.reserved_concurrency or None,
            ),
            key=key,
            placement=placement,
            role=identities.predict,
        )
        allow(
            self.predict.role,
            ["sagemaker:InvokeEndpoint"],
            [lines.arn(self, "endpoint", lines.endpoint(line)) for line in lines.names],
        )
        data.lineage.allow_actions(self.predict.role, ["dynamodb:PutItem"])

        self.feedback = feedback_function(
            self,
            "Feedback",
            project_root=project_root,
            environment=environment,
            key=key,
            role=identities.feedback,
            placement=placement,
            feedback=data.feedback,
            lineage=data.lineage,
        )

        self.api = PredictionApi(
            self,
            "Predictions",
            name=lines.prefix,
            handler=self.predict.function,
            limits=ApiLimits(rate_per_second=environment.api.rate_per_second, burst=environment.api.burst),
            key=key,
            log_retention_days=environment.retention.log_days,
        )

        if environment.safeguards.web_acl:
            ApiFirewall(
                self,
                "Firewall",
                name=lines.prefix,
                stage_arn=self.api.stage_arn,
                requests_per_five_minutes=environment.api.requests_per_address,
                key=key.key,
                log_retention_days=environment.retention.log_days,
            )
        else:
            self.api.acknowledge_no_firewall()

        smoke = SmokeAccess(self, "Smoke", role=identities.smoke, lines=lines)
        smoke.allow_workflow(training.workflow.arn, training.workflow.execution_arn)
        smoke.allow_following(promotion.workflow.arn, promotion.workflow.execution_arn)
        smoke.allow_data(data.lake.datasets, data.lake.artifacts, key)
        smoke.allow_lineage(data.lineage)
        smoke.allow_api(self.api.smoke_arn)
        smoke.allow_watching(
            self.predict.log_group.log_group_arn,
            training.workflow.log_group.log_group_arn,
            job_log_arns=[group.log_group_arn for group in training.job_logs],
        )
        self.api_url = CfnOutput(self, "ApiUrl", value=self.api.url)
        self.feedback_name = CfnOutput(
            self, "FeedbackFunctionName", value=self.feedback.function.function_name
        )
        self.predict_log = CfnOutput(self, "PredictLogGroup", value=self.predict.log_group.log_group_name)
