"""Training: the functions, jobs and workflow that turn a dataset into a model that is promoted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aws_cdk import CfnOutput, Stack, aws_logs
from constructs import Construct

from stages.data import DataStack
from stages.promotion import PromotionStack
from stages.settings import EnvironmentSettings
from stages.training_checks import check_training
from stages.training_functions import TrainingFunctions
from stages.training_parts import REPOSITORY, job_settings, registry_account, tuning_settings
from vision_platform import logs
from vision_platform import training_parts as parts
from vision_platform.aftermath import Aftermath
from vision_platform.encryption import PlatformKey
from vision_platform.event_bus import PlatformBus
from vision_platform.identities import Identities
from vision_platform.job_roles import JobRole
from vision_platform.model_code import TrainingSource, allow_pulling
from vision_platform.model_lines import ModelLines
from vision_platform.network import Placement
from vision_platform.permissions import PlatformRole
from vision_platform.training_workflow import TrainingWorkflow, WorkflowResources


class TrainingStack(Stack):
    """Composes the training workflow and grants its parts what they need of each other."""

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
        promotion: PromotionStack,
        owns_account: bool,
        **kwargs: Any,
    ) -> None:
        check_training(environment)
        super().__init__(scope, id, **kwargs)
        self._environment, self._key, self._placement = environment, key, placement
        lake, source = data.lake, TrainingSource(self, "ModelSource", model=project_root / "model")
        functions = TrainingFunctions(
            self,
            project_root=project_root,
            environment=environment,
            lines=lines,
            key=key,
            identities=identities,
            placement=placement,
            data=data,
        )

        # All jobs of an account log to one group of their kind: the account's first environment owns it.
        self.job_logs = [
            self._sagemaker_log(f"{kind}Log", kind)
            for kind in ("TrainingJobs", "ProcessingJobs")
            if owns_account
        ]
        training = self._job_role("TrainingJob", identities.training_job, self.job_logs[:1], "TrainingJobs")
        training.allow_reading(lake.artifacts, "prepared/", "checkpoints/")
        training.allow_writing(lake.artifacts, "models/", "checkpoints/")
        source.allow_reading(training.role)
        allow_pulling(
            training.role,
            f"arn:aws:ecr:{self.region}:{registry_account(environment.region)}:repository/{REPOSITORY}",
        )

        evaluation = self._job_role(
            "EvaluationJob", identities.evaluation_job, self.job_logs[1:], "ProcessingJobs"
        )
        evaluation.allow_reading(lake.artifacts, "prepared/", "models/")
        evaluation.allow_writing(lake.artifacts, "evaluations/")
        promotion.image.allow_pulling(evaluation.role)
        if promotion.source is not None:
            # The champion may be another environment's model: it is evaluated beside ours.
            promotion.source.allow_models(evaluation.role)

        workflow_parts = parts.TrainingParts(
            prefix=lines.prefix,
            datasets_bucket=lake.datasets.bucket_name,
            artifacts_bucket=lake.artifacts.bucket_name,
            table=data.lineage.name,
            bus=bus.name,
            functions=parts.TrainingFunctions(
                plan_dataset=functions.plan_dataset.arn,
                preprocess=functions.preprocess.arn,
                collect_dataset=functions.collect_dataset.arn,
                select_model=functions.select_model.arn,
                gate=promotion.gate.arn,
            ),
            promotion=promotion.workflow.arn,
            promotion_timeout_seconds=promotion.workflow.timeout_seconds,
            preprocessing_concurrency=environment.preprocessing.concurrency,
            prepared_days=environment.retention.intermediate_days,
            jobs=job_settings(environment, source=source.uri, serving_image=promotion.image.uri),
            tuning=tuning_settings(environment),
            identity=parts.JobIdentity(
                training_role=training.role.role_arn,
                evaluation_role=evaluation.role.role_arn,
                key=key.arn,
                vpc_config=placement.as_sagemaker() if placement else None,
            ),
        )
        resources = WorkflowResources(
            lines=lines,
            table=data.lineage,
            bus=bus,
            artifacts=lake.artifacts,
            functions=[*functions.by_name.values(), promotion.gate],
            job_roles=[training.role, evaluation.role],
            promotion=promotion.workflow,
        )
        self.workflow = TrainingWorkflow(
            self,
            "Workflow",
            role=identities.workflow,
            parts=workflow_parts,
            resources=resources,
            key=key,
            log_retention_days=environment.retention.log_days,
        )
        self._start(data)
        self.aftermath = Aftermath(
            self,
            "Aftermath",
            role=identities.aftermath,
            parts=workflow_parts,
            resources=resources,
            training=self.workflow,
            key=key,
            log_retention_days=environment.retention.log_days,
        )
        self.functions = functions.by_name
        self.state_machine_arn = CfnOutput(self, "StateMachineArn", value=self.workflow.arn)

    def _start(self, data: DataStack) -> None:
        """What starts training of itself: a dataset, and by settings a schedule and drift."""
        training = self._environment.training
        self.workflow.start_on_arrival(data.lake.datasets)
        if training.schedule is not None:
            self.workflow.start_on_schedule(training.schedule)
        if training.on_drift:
            self.workflow.start_on_drift()

    def _job_role(
        self, id: str, role: PlatformRole, log_groups: Sequence[aws_logs.LogGroup], log_group_name: str
    ) -> JobRole:
        return JobRole(
            self,
            id,
            role=role,
            log_groups=log_groups,
            log_group_name=log_group_name,
            key=self._key,
            placement=self._placement,
        )

    def _sagemaker_log(self, id: str, name: str) -> aws_logs.LogGroup:
        """SageMaker would make this group itself: without a key, and forever."""
        return logs.log_group(
            self,
            id,
            key=self._key.key,
            retention_days=self._environment.retention.log_days,
            name=f"/aws/sagemaker/{name}",
        )
