"""Inference: the API, the functions behind it, and the way in for smoke tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from stages.data import DataStack
from stages.feedback import feedback_function
from stages.inference_functions import InferenceFunctions
from stages.promotion import PromotionStack
from stages.settings import EnvironmentSettings
from stages.streaming import StreamingStack
from stages.training import TrainingStack
from vision_platform.api_document import KEY
from vision_platform.api_keys import ApiKeys, UsageLimits
from vision_platform.encryption import PlatformKey
from vision_platform.identities import Identities
from vision_platform.model_lines import SMOKE, ModelLines
from vision_platform.network import Placement
from vision_platform.prediction_api import ApiAccess, ApiLimits, PredictionApi
from vision_platform.smoke_access import SmokeAccess
from vision_platform.web_acl import ApiFirewall

_AROUND_PREDICTIONS = (
    "submitPrediction",
    "getPrediction",
    "createUpload",
    "getModel",
    "getOpenapi",
    "submitPredictionSmoke",
    "getPredictionSmoke",
)


class InferenceStack(Stack):
    """Composes the prediction API and grants smoke tests their way in."""

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
        streaming: StreamingStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        functions = InferenceFunctions(
            scope=self,
            project_root=project_root,
            environment=environment,
            lines=lines,
            key=key,
            placement=placement,
            data=data,
        )
        self.predict = functions.predict(identities.predict)
        self.requests = functions.requests(identities.requests, streaming)
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
            document=project_root / "lambda_src" / "requests" / "openapi.yaml",
            functions={
                "predict": self.predict.function,
                "predictSmoke": self.predict.function,
                "sendFeedback": self.feedback.function,
                **dict.fromkeys(_AROUND_PREDICTIONS, self.requests.function),
            },
            preflight=self.requests.function,
            access=ApiAccess(auth=environment.api.auth, allowed_origins=environment.api.allowed_origins),
            limits=ApiLimits(rate_per_second=environment.api.rate_per_second, burst=environment.api.burst),
            key=key,
            log_retention_days=environment.retention.log_days,
        )

        if environment.api.auth == KEY:
            plan = environment.api.usage_plan
            ApiKeys(
                self,
                "Keys",
                name=lines.prefix,
                api=self.api.api,
                limits=UsageLimits(
                    rate_per_second=plan.rate_per_second,
                    burst=plan.burst,
                    quota=plan.quota,
                    period=plan.quota_period,
                ),
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
        smoke.allow_submissions(data.lake.uploads)
        if promotion.models is not None:
            smoke.allow_function(lines.function_arn(self, SMOKE))
        smoke.allow_lineage(data.lineage)
        smoke.allow_api(self.api.smoke_arns)
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
