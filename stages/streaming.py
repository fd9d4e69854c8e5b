"""The burst path: images wait as claim checks in a stream; their results are found by id and in the lake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from stages.data import DataStack
from stages.hosted_models import allow_asking
from stages.settings import EnvironmentSettings
from vision_platform import data_lake
from vision_platform.claim_stream import ClaimStream
from vision_platform.encryption import PlatformKey
from vision_platform.functions import FunctionProps, PlatformFunction
from vision_platform.identities import Identities
from vision_platform.model_code import read_model_spec
from vision_platform.model_lines import CHAMPION, SMOKE, ModelLines
from vision_platform.network import Placement
from vision_platform.permissions import PlatformRole
from vision_platform.results_archive import Buffering, ResultsArchive
from vision_platform.stream_source import Reading, StreamSource
from vision_platform.uploads_arrival import UploadsArrival

UPLOADED, SUBMITTED, SMOKE_IMAGES = "uploads/", "submitted/", "smoke/"
# Within the margin that the consumer keeps for one micro-batch.
_ANSWER_SECONDS = 15
_BY_ID = "Images are keyed by prediction; the prefix says how they came in"


class StreamingStack(Stack):
    """Composes stream, consumer and archive, and grants the consumer what it calls."""

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
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        settings, retention = environment.streaming, environment.retention
        self._data, self._result_days = data, retention.result_days
        self.stream = ClaimStream(
            self,
            "Claims",
            key=key.key,
            shards=settings.shards,
            retention_hours=settings.retention_hours,
        )
        self.archive = ResultsArchive(
            self,
            "Archive",
            name=lines.prefix,
            bucket=data.lake.artifacts,
            role=identities.results_delivery,
            key=key,
            buffering=Buffering(megabytes=settings.buffer_mb, seconds=settings.buffer_seconds),
            log_retention_days=retention.log_days,
        )
        self.consume = PlatformFunction(
            self,
            "Consume",
            props=FunctionProps(
                source=project_root / "lambda_src",
                folder="consume",
                description="Answers images of the burst path",
                environment={
                    "CHAMPION_ENDPOINT": lines.endpoint(CHAMPION),
                    "SMOKE_ENDPOINT": lines.endpoint(SMOKE),
                    "UPLOADS_BUCKET": data.lake.uploads.bucket_name,
                    "RESULTS_TABLE": data.results.name,
                    "LINEAGE_TABLE": data.lineage.name,
                    "DELIVERY_STREAM": self.archive.name,
                    "PREDICTION_RETENTION_DAYS": str(retention.prediction_days),
                    "RESULT_RETENTION_DAYS": str(retention.result_days),
                    "MODEL_SPEC": read_model_spec(project_root / "model"),
                    "MICRO_BATCH": str(settings.micro_batch),
                    "MAX_IMAGE_MB": str(settings.max_image_mb),
                    "LONGEST_PAUSE_SECONDS": str(settings.longest_pause_seconds),
                    "LOW_CONFIDENCE": str(environment.quality.low_confidence),
                    "METRICS_PERIOD_SECONDS": str(environment.quality.period_seconds),
                    "POWERTOOLS_SERVICE_NAME": "consume",
                    "POWERTOOLS_METRICS_NAMESPACE": "Vision",
                },
                memory_mb=settings.memory_mb,
                timeout_seconds=settings.timeout_seconds,
                log_retention_days=retention.log_days,
                reserved_concurrency=settings.reserved_concurrency or None,
            ),
            key=key,
            placement=placement,
            role=identities.consume,
        )
        allow_asking(
            self.consume,
            environment=environment,
            lines=lines,
            data=data,
            key=key,
            wait_seconds=_ANSWER_SECONDS,
        )
        self._allow_consuming(self.consume.role)
        StreamSource(
            self,
            "Source",
            stream=self.stream,
            function=self.consume,
            reading=Reading(
                batch_size=settings.batch_size,
                batching_window_seconds=settings.batching_window_seconds,
                parallelization_factor=settings.parallelization_factor,
                max_attempts=settings.max_attempts,
                max_age_seconds=settings.max_age_hours * 3600,
            ),
        )
        UploadsArrival(
            self,
            "Uploads",
            bucket=data.lake.uploads,
            prefix=UPLOADED,
            stream=self.stream,
            failures=self.consume.failures,
            key=key,
        )
        self.stream_name_output = CfnOutput(self, "StreamName", value=self.stream.name)
        self.failures_output = CfnOutput(self, "FailuresQueue", value=self.consume.failures.queue_url)
        self.consume_log = CfnOutput(self, "ConsumeLogGroup", value=self.consume.log_group.log_group_name)

    def allow_submitting(self, role: PlatformRole) -> dict[str, str]:
        """Let `role` hand images in and ask for results; returns the environment that its function needs."""
        lake = self._data.lake
        data_lake.allow_writing(role, lake.uploads, [SUBMITTED, SMOKE_IMAGES], because=_BY_ID)
        self.stream.allow_putting(role)
        self._data.results.allow_actions(
            role, ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"]
        )
        return {
            "STREAM_NAME": self.stream.name,
            "UPLOADS_BUCKET": lake.uploads.bucket_name,
            "RESULTS_TABLE": self._data.results.name,
            "RESULT_RETENTION_DAYS": str(self._result_days),
        }

    def _allow_consuming(self, role: PlatformRole) -> None:
        images = [UPLOADED, SUBMITTED, SMOKE_IMAGES]
        data_lake.allow_reading(role, self._data.lake.uploads, images, because=_BY_ID)
        self._data.results.allow_actions(
            role, ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"]
        )
        self._data.lineage.allow_actions(role, ["dynamodb:PutItem"])
        self.archive.allow_delivering(role)
