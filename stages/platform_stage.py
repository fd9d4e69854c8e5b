"""One environment of the platform: its seven stacks, in the order in which they depend on each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aws_cdk import CfnOutput, Environment, Stage
from constructs import Construct

from stages.capacity_checks import check_capacity
from stages.data import DataStack
from stages.foundation import FoundationStack
from stages.inference import InferenceStack
from stages.model_exchange import reader_prefix, readers_of, regional_label, source_of
from stages.monitoring import MonitoringStack
from stages.promotion import PromotionStack
from stages.settings import EnvironmentSettings, PlaceSettings
from stages.smoke_prices import smoke_prices
from stages.streaming import StreamingStack
from stages.training import TrainingStack
from vision_platform.model_lines import SMOKE, ModelLines
from vision_platform.smoke_access import smoke_role_name


def smoke_step_role_name(platform: str, label: str) -> str:
    """The role of the pipeline's smoke step, in the tooling account; both sides must know it beforehand.

    `label` is the environment as `PlatformStage.label` calls it.
    """
    return f"{platform}-delivery-{label}-smoke"


def dossier_step_role_name(platform: str, environment: str) -> str:
    """The role of the pipeline's dossier step before an environment, in the tooling account."""
    return f"{platform}-delivery-{environment}-dossier"


class PlatformStage(Stage):
    """The platform in one account and region; Foundation and Data hold what must not be lost."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        platform: str,
        environment: EnvironmentSettings,
        tooling: PlaceSettings,
        project_root: Path,
        region: str | None = None,
        owns_account: bool = True,
        environments: Sequence[EnvironmentSettings] = (),
    ) -> None:
        """`region` is one of the environment's; without it, the environment's home.

        `environments` are all of the platform's, of which one may promote another's models.
        `owns_account` says whether the log groups that SageMaker's jobs share, one for an account and region,
        belong to this environment: to the first of several in one place.
        """
        regions, self.label = environment.regions, regional_label(environment, region or environment.region)
        at_home = region in (None, environment.region)
        environment = environment.in_region(region or environment.region)
        place = Environment(account=environment.account, region=environment.region)
        check_capacity(environment)
        super().__init__(scope, id, env=place)
        self._set_zones(environment)
        prefix = f"{platform}-{environment.name}"
        source = source_of(platform, environment, environment.region, environments)
        smoke_role = smoke_role_name(f"{platform}-{self.label}")
        lines = ModelLines(prefix=prefix)

        def named(stack: str, *, stateful: bool = False) -> dict[str, Any]:
            return {
                "stack_name": f"{prefix}-{stack}",
                "description": f"Vision platform, {environment.name}: {stack}",
                "termination_protection": stateful and environment.protected,
                "tags": {"platform": platform, "environment": environment.name},
            }

        foundation = FoundationStack(
            self,
            "Foundation",
            prefix=prefix,
            environment=environment,
            tooling=tooling,
            smoke_role=smoke_role,
            smoke_step_role=smoke_step_role_name(platform, self.label),
            reader_prefix=reader_prefix(platform, self.label, environment),
            **named("foundation", stateful=True),
        )
        if environment.approval and at_home:
            foundation.allow_dossier(
                prefix, regions, tooling.account, dossier_step_role_name(platform, environment.name)
            )
        data = DataStack(
            self,
            "Data",
            environment=environment,
            lines=lines,
            key=foundation.key,
            **named("data", stateful=True),
        )
        promotion = PromotionStack(
            self,
            "Promotion",
            project_root=project_root,
            environment=environment,
            lines=lines,
            key=foundation.key,
            bus=foundation.bus,
            identities=foundation.identities,
            placement=foundation.placement,
            data=data,
            source=source,
            readers=readers_of(platform, environment, environment.region, environments),
            **named("promotion"),
        )
        training = TrainingStack(
            self,
            "Training",
            project_root=project_root,
            environment=environment,
            lines=lines,
            key=foundation.key,
            bus=foundation.bus,
            identities=foundation.identities,
            placement=foundation.placement,
            data=data,
            promotion=promotion,
            owns_account=owns_account,
            **named("training"),
        )
        streaming = StreamingStack(
            self,
            "Streaming",
            project_root=project_root,
            environment=environment,
            lines=lines,
            key=foundation.key,
            identities=foundation.identities,
            placement=foundation.placement,
            data=data,
            **named("streaming"),
        )
        # One after the other, as all stacks: a change set is reviewed, and rolled back, by itself.
        streaming.add_stack_dependency(training)
        inference = InferenceStack(
            self,
            "Inference",
            project_root=project_root,
            environment=environment,
            lines=lines,
            key=foundation.key,
            identities=foundation.identities,
            placement=foundation.placement,
            data=data,
            promotion=promotion,
            training=training,
            streaming=streaming,
            **named("inference"),
        )
        MonitoringStack(
            self,
            "Monitoring",
            environment=environment,
            lines=lines,
            key=foundation.key,
            bus=foundation.bus,
            promotion=promotion,
            training=training,
            streaming=streaming,
            inference=inference,
            **named("monitoring"),
        )
        self.smoke_outputs: dict[str, CfnOutput] = {
            "API_URL": inference.api_url,
            "STATE_MACHINE_ARN": training.state_machine_arn,
            "PROMOTION_MACHINE_ARN": promotion.state_machine_arn,
            "DATASETS_BUCKET": data.datasets_bucket,
            "ARTIFACTS_BUCKET": data.artifacts_bucket,
            "UPLOADS_BUCKET": data.uploads_bucket,
            "LINEAGE_TABLE": data.lineage_table,
            "PREDICT_LOG_GROUP": inference.predict_log,
        }
        self.smoke_variables = {
            "ENVIRONMENT": self.label,
            "SMOKE_ROLE_ARN": f"arn:aws:iam::{environment.account}:role/{smoke_role}",
            "SMOKE_ENDPOINT_NAME": lines.endpoint(SMOKE),
            "SMOKE_MODEL_PACKAGE_GROUP": lines.endpoint(SMOKE),
            "WORKFLOW_LOG_GROUP": training.workflow.log_group_name,
            "TRAINING_INSTANCE_TYPE": environment.training.instance_type,
            **smoke_prices(environment),
        }
        if environment.hosting.on_functions:
            self.smoke_variables["SMOKE_MODEL_FUNCTION"] = lines.function(SMOKE)

    def _set_zones(self, environment: EnvironmentSettings) -> None:
        """Answer the CDK's question for zones, for which the CLI would look them up and synthesize again."""
        self.node.set_context(
            f"availability-zones:account={environment.account}:region={environment.region}",
            [f"{environment.region}{letter}" for letter in environment.network.zones],
        )
