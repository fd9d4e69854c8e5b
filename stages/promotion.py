"""Promotion: the image that serves models, who endpoints run as, and the workflow that changes both."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from stages.data import DataStack
from stages.hosting_plan import check_model_input, hosting_plan
from stages.settings import EnvironmentSettings
from vision_platform import asynchronous_results, data_lake, logs
from vision_platform.asynchronous_results import InferenceTopics
from vision_platform.encryption import PlatformKey
from vision_platform.event_bus import PlatformBus
from vision_platform.functions import FunctionProps, PlatformFunction
from vision_platform.guardrails import guardrail_alarms
from vision_platform.identities import Identities
from vision_platform.job_roles import JobRole
from vision_platform.model_code import ServingImage
from vision_platform.model_functions import FunctionSize, ServedModels
from vision_platform.model_lines import CHAMPION, ModelLines
from vision_platform.network import Placement
from vision_platform.package_sharing import ModelReader, ModelSource, share_models
from vision_platform.permissions import PlatformRole
from vision_platform.promotion_plan import Asynchronous, HostingPlan, ModelFunctions, MultiModel
from vision_platform.promotion_workflow import PromotionResources, PromotionWorkflow

_BY_RUN = "Evaluations are keyed by run, which nobody knows at deployment; the prefix says which kind"


class PromotionStack(Stack):
    """Composes the promotion workflow and grants its parts what they need of each other."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        project_root: Path,
        environment: EnvironmentSettings,
        lines: ModelLines,
        key: PlatformKey,
        bus: PlatformBus,
        identities: Identities,
        placement: Placement | None,
        data: DataStack,
        source: ModelSource | None,
        readers: Sequence[ModelReader],
        **kwargs: Any,
    ) -> None:
        """`source` is where models may come from besides our own training; `readers` promote ours.

        Raises ModelSpecError when an image for the model is more than the hosting mode takes.
        """
        super().__init__(scope, id, **kwargs)
        check_model_input(project_root, environment.hosting)
        self._environment, self._lines, self._key, self._placement = environment, lines, key, placement
        self.source = source
        self.image = ServingImage(self, "Serving", model=project_root / "model")
        self.gate = self._gate(project_root, identities.gate)
        data_lake.allow_reading(self.gate.role, data.lake.artifacts, ["evaluations/"], because=_BY_RUN)
        # Either endpoints run as the hosting role, or functions do.
        on_functions = environment.hosting.on_functions
        self.models = self._models(project_root, identities.hosting, data) if on_functions else None
        endpoints = None if on_functions else self._endpoints(identities.hosting, data)
        if source is not None:
            source.allow_models(identities.hosting)
            source.allow_evaluations(self.gate.role)
        share_models(
            readers,
            group=data.model_groups[CHAMPION],
            artifacts=data.lake.artifacts,
            key=key,
            packages=lines.arn(data, "model-package", f"{lines.endpoint(CHAMPION)}/*"),
            region=environment.region,
        )
        alarms = guardrail_alarms(lines)
        self.workflow = PromotionWorkflow(
            self,
            "Workflow",
            role=identities.promotion,
            plan=self._plan(endpoints, alarms, data),
            resources=PromotionResources(
                lines=lines,
                table=data.lineage,
                bus=bus,
                gate=self.gate,
                hosting=identities.hosting,
                source=source,
                alarms=alarms,
            ),
            key=key,
            log_retention_days=environment.retention.log_days,
        )
        self.state_machine_arn = CfnOutput(self, "PromotionMachineArn", value=self.workflow.arn)

    def _gate(self, project_root: Path, role: PlatformRole) -> PlatformFunction:
        environment = self._environment
        return PlatformFunction(
            self,
            "Gate",
            props=FunctionProps(
                source=project_root / "lambda_src",
                folder="gate",
                description="Decides whether an evaluated model is good enough",
                environment={
                    "GATE_SETTINGS": environment.gate.model_dump_json(),
                    "POWERTOOLS_SERVICE_NAME": "gate",
                },
                memory_mb=256,
                timeout_seconds=30,
                log_retention_days=environment.retention.log_days,
                reserved_concurrency=environment.training.reserved_concurrency or None,
            ),
            key=self._key,
            placement=self._placement,
            role=role,
        )

    def _models(self, project_root: Path, role: PlatformRole, data: DataStack) -> ServedModels:
        hosting = self._environment.hosting
        return ServedModels(
            self,
            "Models",
            project_root=project_root,
            lines=self._lines,
            folder=data.models_folder,
            role=role,
            artifacts=data.lake.artifacts,
            size=FunctionSize(
                memory_mb=hosting.lambda_memory_mb, reserved_concurrency=hosting.lambda_reserved_concurrency
            ),
            key=self._key,
            placement=self._placement,
            log_retention_days=self._environment.retention.log_days,
        )

    def _endpoints(self, role: PlatformRole, data: DataStack) -> JobRole:
        """Who endpoints run as. SageMaker would make their log groups itself: without a key, and forever."""
        hosting = JobRole(
            self,
            "Hosting",
            role=role,
            log_groups=[
                logs.log_group(
                    self,
                    f"{line.capitalize()}EndpointLog",
                    key=self._key.key,
                    retention_days=self._environment.retention.log_days,
                    name=f"/aws/sagemaker/Endpoints/{self._lines.endpoint(line)}",
                )
                for line in self._lines.names
            ],
            log_group_name="Endpoints",
            key=self._key,
            placement=self._placement,
        )
        hosting.allow_reading(data.lake.artifacts, "models/")
        self.image.allow_pulling(hosting.role)
        return hosting

    def _plan(self, hosting: JobRole | None, alarms: Sequence[str], data: DataStack) -> HostingPlan:
        settings = self._environment.hosting
        return hosting_plan(
            settings,
            image=self.image.uri if hosting else "",
            role=hosting.role.role_arn if hosting else "",
            key=self._key.arn,
            vpc_config=self._placement.as_sagemaker() if self._placement else None,
            alarms=alarms,
            asynchronous=self._asynchronous(hosting.role, data)
            if hosting and settings.mode == "asynchronous"
            else None,
            multi_model=self._multi_model(data) if settings.mode == "multi-model" else None,
            functions=ModelFunctions(folder=data.models_folder) if settings.on_functions else None,
        )

    def _multi_model(self, data: DataStack) -> MultiModel:
        settings = self._environment.hosting
        made_of = (self.image.digest, settings.instance_type, str(settings.instance_count))
        return MultiModel(
            folder=data.models_folder,
            fleet=f"fleet-{hashlib.sha256(' '.join(made_of).encode()).hexdigest()[:8]}",
        )

    def _asynchronous(self, hosting: PlatformRole, data: DataStack) -> Asynchronous:
        settings, bucket = self._environment.hosting, data.lake.artifacts
        topics = InferenceTopics(self, "Inference", key=self._key)
        topics.allow_publishing(hosting)
        asynchronous_results.allow_working(hosting, bucket, self._lines)
        return Asynchronous(
            folder=asynchronous_results.folder_of(bucket),
            success_topic=topics.success,
            error_topic=topics.error,
            concurrency_per_instance=settings.concurrent_requests_per_instance,
            backlog_per_instance=settings.target_backlog_per_instance,
            to_zero=settings.scale_to_zero,
        )
