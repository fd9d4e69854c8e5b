"""The functions of the training workflow: what each is told, how much it gets, and what it may touch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from constructs import Construct

from stages.data import DataStack
from stages.settings import EnvironmentSettings
from vision_platform import data_lake
from vision_platform.encryption import PlatformKey
from vision_platform.functions import FunctionProps, PlatformFunction
from vision_platform.identities import Identities
from vision_platform.model_code import read_model_spec
from vision_platform.model_lines import ModelLines
from vision_platform.network import Placement
from vision_platform.permissions import PlatformRole, allow
from vision_platform.training_workflow import tuning_arn

_BY_KEY = "Objects are keyed by dataset and run, which nobody knows at deployment; the prefix says which kind"
# One vCPU is 1769 MB; a manifest of half a million images needs more memory than that.
_ONE_VCPU_MB, _LARGE_MB, _SMALL_MB = 1769, 3008, 256
_LONGEST_SECONDS = 900


class TrainingFunctions:
    """Builds them in `scope`, in the order in which the workflow calls them."""

    def __init__(
        self,
        scope: Construct,
        *,
        project_root: Path,
        environment: EnvironmentSettings,
        lines: ModelLines,
        key: PlatformKey,
        identities: Identities,
        placement: Placement | None,
        data: DataStack,
    ) -> None:
        self._scope, self._root, self._environment = scope, project_root, environment
        self._key, self._placement, self._data = key, placement, data
        self._spec = read_model_spec(project_root / "model")
        self.plan_dataset = self._plan(identities.plan_dataset)
        self.preprocess = self._preprocess(identities.preprocess)
        self.collect_dataset = self._collect(identities.collect_dataset)
        self.select_model = self._select(identities.select_model, lines)

    @property
    def by_name(self) -> dict[str, PlatformFunction]:
        """All of them, as alarms and people call them."""
        return {
            "plan-dataset": self.plan_dataset,
            "preprocess": self.preprocess,
            "collect-dataset": self.collect_dataset,
            "select-model": self.select_model,
        }

    def _plan(self, role: PlatformRole) -> PlatformFunction:
        preprocessing, lake = self._environment.preprocessing, self._data.lake
        function = self._function(
            "PlanDataset",
            "plan_dataset",
            "Plans the shards of a dataset",
            {
                **self._common(),
                "LINEAGE_TABLE": self._data.lineage.name,
                "SHARD_IMAGES": str(preprocessing.shard_images),
                "SHARDS_PER_BATCH": str(preprocessing.shards_per_batch),
                "REDACTION": preprocessing.redaction,
            },
            role=role,
            memory_mb=_LARGE_MB,
        )
        data_lake.allow_reading(role, lake.datasets, ["datasets/", "smoke/"], because=_BY_KEY)
        data_lake.allow_writing(role, lake.artifacts, ["prepared/"], because=_BY_KEY)
        self._data.lineage.allow_actions(role, ["dynamodb:GetItem"])
        return function

    def _preprocess(self, role: PlatformRole) -> PlatformFunction:
        environment, lake = self._environment, self._data.lake
        preprocessing = environment.preprocessing
        function = self._function(
            "Preprocess",
            "preprocess",
            "Checks the images of a few shards and writes these",
            {
                **self._common(),
                "INTERMEDIATE_DAYS": str(environment.retention.intermediate_days),
                "REDACTION": preprocessing.redaction,
            },
            role=role,
            memory_mb=preprocessing.memory_mb,
            # The Map starts so many at once: fewer places would throttle it.
            concurrency=preprocessing.concurrency if environment.training.reserved_concurrency else 0,
        )
        data_lake.allow_reading(role, lake.datasets, ["datasets/", "smoke/"], because=_BY_KEY)
        data_lake.allow_reading(role, lake.artifacts, ["prepared/"], because=_BY_KEY)
        data_lake.allow_writing(role, lake.artifacts, ["prepared/"], because=_BY_KEY)
        if preprocessing.redaction == "rekognition":
            allow(
                role,
                ["rekognition:DetectFaces", "rekognition:DetectText"],
                ["*"],
                because="Rekognition: DetectFaces and DetectText work on the image that comes with the call",
            )
        return function

    def _collect(self, role: PlatformRole) -> PlatformFunction:
        preprocessing, lake = self._environment.preprocessing, self._data.lake
        function = self._function(
            "CollectDataset",
            "collect_dataset",
            "Checks a prepared dataset as a whole",
            {
                **self._common(),
                "LINEAGE_TABLE": self._data.lineage.name,
                "MAX_REJECTED_SHARE": str(preprocessing.max_rejected_share),
                "QUARANTINE_SAMPLES": str(preprocessing.quarantine_samples),
            },
            role=role,
            memory_mb=_ONE_VCPU_MB,
        )
        # Samples of rejected images are copied from where they came from.
        data_lake.allow_reading(role, lake.datasets, ["datasets/", "smoke/"], because=_BY_KEY)
        data_lake.allow_reading(role, lake.artifacts, ["prepared/"], because=_BY_KEY)
        data_lake.allow_writing(role, lake.artifacts, ["prepared/", "quarantine/"], because=_BY_KEY)
        self._data.lineage.allow_actions(role, ["dynamodb:GetItem", "dynamodb:PutItem"])
        return function

    def _select(self, role: PlatformRole, lines: ModelLines) -> PlatformFunction:
        tuning = self._environment.tuning
        function = self._function(
            "SelectModel",
            "select_model",
            "Selects the best model of a tuning job",
            {"OBJECTIVE": tuning.objective, "DIRECTION": tuning.direction},
            role=role,
            memory_mb=_SMALL_MB,
            timeout_seconds=60,
        )
        allow(
            role,
            ["sagemaker:ListTrainingJobsForHyperParameterTuningJob", "sagemaker:DescribeTrainingJob"],
            [tuning_arn(self._scope, lines)],
            because="Tuning jobs and their trials are named after runs that are yet to come; the pattern "
            "admits this environment's names only",
            by_name=True,
        )
        return function

    def _common(self) -> dict[str, str]:
        return {"ARTIFACTS_BUCKET": self._data.lake.artifacts.bucket_name, "MODEL_SPEC": self._spec}

    def _function(
        self,
        id: str,
        folder: str,
        description: str,
        variables: Mapping[str, str],
        *,
        role: PlatformRole,
        memory_mb: int,
        timeout_seconds: int = _LONGEST_SECONDS,
        concurrency: int | None = None,
    ) -> PlatformFunction:
        environment = self._environment
        reserved = environment.training.reserved_concurrency if concurrency is None else concurrency
        return PlatformFunction(
            self._scope,
            id,
            props=FunctionProps(
                source=self._root / "lambda_src",
                folder=folder,
                description=description,
                environment={**variables, "POWERTOOLS_SERVICE_NAME": folder},
                memory_mb=memory_mb,
                timeout_seconds=timeout_seconds,
                log_retention_days=environment.retention.log_days,
                reserved_concurrency=reserved or None,
            ),
            key=self._key,
            placement=self._placement,
            role=role,
        )
