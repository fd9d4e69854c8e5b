"""The functions behind the API: what each is told, how much it may use, and what it may call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stages.data import DataStack
from stages.hosted_models import allow_asking
from stages.settings import EnvironmentSettings
from stages.settings_api import ApiSettings
from stages.streaming import StreamingStack
from vision_platform import data_lake
from vision_platform.encryption import PlatformKey
from vision_platform.functions import FunctionProps, PlatformFunction
from vision_platform.model_code import read_model_spec
from vision_platform.model_lines import CHAMPION, SMOKE, ModelLines
from vision_platform.network import Placement
from vision_platform.permissions import PlatformRole

# What it does takes no CPU to speak of, and is asked for far less often than predictions.
_REQUESTS_MEMORY_MB = 512
_SECONDS_PER_HOUR = 3600
# Of the adapter's time, for everything but the wait for an answer.
_RESERVE_SECONDS = 6
_MEBIBYTE = 1024 * 1024
_UPLOADS = "uploads/"


def allowed_origins(api: ApiSettings) -> dict[str, str]:
    """The variable by which a function behind the API knows which browsers may read its answers."""
    return {"ALLOWED_ORIGINS": " ".join(api.allowed_origins)} if api.allowed_origins else {}


@dataclass(frozen=True, kw_only=True)
class InferenceFunctions:
    """Makes the functions in the stack `scope`."""

    scope: Construct
    project_root: Path
    environment: EnvironmentSettings
    lines: ModelLines
    key: PlatformKey
    placement: Placement | None
    data: DataStack

    def predict(self, role: PlatformRole) -> PlatformFunction:
        """The adapter: asks the endpoints, records predictions, remembers answers."""
        environment, lines = self.environment, self.lines
        made = self._function(
            "Predict",
            "Answers images with predictions",
            role,
            memory_mb=environment.api.memory_mb,
            variables={
                "CHAMPION_ENDPOINT": lines.endpoint(CHAMPION),
                "SMOKE_ENDPOINT": lines.endpoint(SMOKE),
                "IDEMPOTENCY_TABLE": self.data.idempotency.name,
                "IDEMPOTENCY_SECONDS": str(environment.api.idempotency_hours * _SECONDS_PER_HOUR),
                "PREDICTION_RETENTION_DAYS": str(environment.retention.prediction_days),
                "LOW_CONFIDENCE": str(environment.quality.low_confidence),
                "METRICS_PERIOD_SECONDS": str(environment.quality.period_seconds),
            },
        )
        allow_asking(
            made,
            environment=environment,
            lines=lines,
            data=self.data,
            key=self.key,
            wait_seconds=max(1, environment.api.timeout_seconds - _RESERVE_SECONDS),
        )
        self.data.lineage.allow_actions(made.role, ["dynamodb:PutItem"])
        self.data.idempotency.allow_actions(
            made.role,
            [f"dynamodb:{each}" for each in ("GetItem", "PutItem", "UpdateItem", "DeleteItem")],
        )
        return made

    def requests(self, role: PlatformRole, streaming: StreamingStack) -> PlatformFunction:
        """What is asked around predictions: uploads, what is answered later, the model, the document."""
        made = self._function(
            "Requests",
            "Answers what is asked around predictions",
            role,
            memory_mb=_REQUESTS_MEMORY_MB,
            variables={
                "API_AUTH": self.environment.api.auth,
                "UPLOAD_MAX_BYTES": str(self.environment.streaming.max_image_mb * _MEBIBYTE),
            },
        )
        # Grants come after the function: from it on they stand in its stack, which may know the stream.
        function = cast("lambda_.Function", made.function)
        for name, value in streaming.allow_submitting(made.role).items():
            function.add_environment(name, value)
        self.data.lineage.allow_actions(made.role, ["dynamodb:GetItem"])
        # Who signs a form must be allowed what the form does.
        data_lake.allow_writing(
            made.role,
            self.data.lake.uploads,
            [_UPLOADS],
            because="Uploads are keyed by prediction; the prefix says how they came in",
        )
        return made

    def _function(
        self, id: str, description: str, role: PlatformRole, *, memory_mb: int, variables: dict[str, str]
    ) -> PlatformFunction:
        api, name = self.environment.api, id.lower()
        return PlatformFunction(
            self.scope,
            id,
            props=FunctionProps(
                source=self.project_root / "lambda_src",
                folder=name,
                description=description,
                environment={
                    **variables,
                    **allowed_origins(api),
                    "LINEAGE_TABLE": self.data.lineage.name,
                    "MODEL_SPEC": read_model_spec(self.project_root / "model"),
                    "POWERTOOLS_SERVICE_NAME": name,
                    "POWERTOOLS_METRICS_NAMESPACE": "Vision",
                },
                memory_mb=memory_mb,
                timeout_seconds=api.timeout_seconds,
                log_retention_days=self.environment.retention.log_days,
                reserved_concurrency=api.reserved_concurrency or None,
            ),
            key=self.key,
            placement=self.placement,
            role=role,
        )
