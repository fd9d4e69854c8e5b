"""The delivery pipeline: a commit is built once, then deployed and proved in one place after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aws_cdk import CfnOutput, Duration, Environment, Stack, pipelines
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_codepipeline as codepipeline
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from delivery import build
from delivery.change_sets import deploy_without_change_sets
from delivery.compliance import acknowledge_pipeline
from delivery.least_privilege import narrow
from delivery.notifications import DeliveryNotifications
from delivery.replication import replication_stacks
from delivery.review import DOSSIER_PREFIX, Gate, add_gate, dossier_gate
from delivery.smoke import REPORT_PREFIX, SmokeStep, smoke_step
from delivery.stage_rules import RETRY, ROLLBACK, StageRule, apply_stage_rules
from delivery.storage import DeliveryStorage
from delivery.toolchain import locked_version
from delivery.triggers import filter_pushes
from stages.platform_stage import PlatformStage, smoke_step_role_name
from stages.settings import EnvironmentSettings, PlatformSettings, SourceSettings
from vision_platform import logs
from vision_platform.delivery_metrics import DeliveryMetrics, DeliveryMetricsProps
from vision_platform.encryption import PlatformKey

# The action that brings the commit, which triggers name.
_SOURCE = "Source"


class DeliveryStack(Stack):
    """Source, build, self-mutation, assets; then the environments in their order, with their gates."""

    def __init__(
        self, scope: Construct, id: str, *, settings: PlatformSettings, project_root: Path, **kwargs: Any
    ) -> None:
        super().__init__(
            scope,
            id,
            stack_name=f"{settings.name}-delivery",
            env=Environment(account=settings.tooling.account, region=settings.tooling.region),
            description=f"Delivers the platform {settings.name}",
            tags={"platform": settings.name, "environment": "delivery"},
            **kwargs,
        )
        self._settings, self._root = settings, project_root
        self._name = f"{settings.name}-delivery"
        self._key = PlatformKey(self, "Encryption", alias=f"alias/{settings.name}-delivery")
        self._storage = DeliveryStorage(self, "Storage", key=self._key, retention=settings.retention)
        self._log = logs.log_group(
            self, "BuildLog", key=self._key.key, retention_days=settings.retention.log_days
        )
        self._elsewhere = replication_stacks(scope, settings)
        self._notifications = DeliveryNotifications(
            self,
            "Notifications",
            pipeline_name=self._name,
            emails=settings.delivery.emails,
            reports=self._storage.reports,
            report_prefixes=[REPORT_PREFIX, DOSSIER_PREFIX],
            key=self._key,
        )
        self._source = self._source_step(settings.source)
        self._synth = self._synth_step()
        self.pipeline = self._pipeline()
        self._smoke: list[SmokeStep] = []
        self._gates: list[Gate] = []
        before = None
        for environment in settings.environments:
            self._deliver_to(environment, before)
            before = environment.name
        self.pipeline.build_pipeline()
        CfnOutput(self, "ReportsBucketName", value=self._storage.reports.bucket_name)
        self._complete()

    def _complete(self) -> None:
        """What can be said of the pipeline only when all its stages, projects and roles are there."""
        settings, pipeline = self._settings, self.pipeline.pipeline
        self._allow_connection(settings.source)
        self._measure()
        for stack in self._elsewhere.values():
            self.add_stack_dependency(stack)
        build.build_images_on_x86(self.pipeline)
        build.publish_by_manifest(self.pipeline)
        filter_pushes(pipeline, settings.source, action=_SOURCE)
        unattended = [each.name.capitalize() for each in settings.environments if not each.approval]
        deploy_without_change_sets(pipeline, unattended)
        apply_stage_rules(
            pipeline, self._stage_rules(), approval_timeout_hours=settings.delivery.approval_timeout_hours
        )
        artifacts = [self._storage.artifacts, *[stack.bucket for stack in self._elsewhere.values()]]
        narrow(
            self,
            smoke_roles=[each.role for each in self._smoke],
            readers=[each.role for each in self._gates],
            artifacts=[bucket.bucket_arn for bucket in artifacts],
            keys_elsewhere=[stack.key.arn for stack in self._elsewhere.values()],
        )
        acknowledge_pipeline(self.pipeline, [stack.bucket for stack in self._elsewhere.values()])

    def _measure(self) -> None:
        """Production is where somebody has to approve; where nobody has, it is the last environment."""
        environments = self._settings.environments
        production = [each for each in environments if each.approval] or environments[-1:]
        DeliveryMetrics(
            self,
            "Metrics",
            props=DeliveryMetricsProps(
                pipeline_name=self._name,
                production_stages=[each.name.capitalize() for each in production],
                source=self._root / "lambda_src",
                log_retention_days=self._settings.retention.log_days,
                alerts=self._notifications.topic,
            ),
            key=self._key,
        )

    def _stage_rules(self) -> dict[str, StageRule]:
        # Publishing fails when a registry or a bucket does; a smoke test that fails tells of the software.
        rules = {"Assets": StageRule(on_failure=RETRY)}
        for environment in self._settings.environments:
            if environment.approval:
                rules[environment.name.capitalize()] = StageRule(on_failure=ROLLBACK)
        for gate in self._gates:
            rules |= gate.rules
        return rules

    def _source_step(self, source: SourceSettings) -> pipelines.CodePipelineSource:
        if source.kind == "s3":
            bucket = s3.Bucket.from_bucket_name(self, "SourceBucket", str(source.bucket))
            return pipelines.CodePipelineSource.s3(bucket, str(source.key), action_name=_SOURCE)
        return pipelines.CodePipelineSource.connection(
            str(source.repository),
            source.branch,
            action_name=_SOURCE,
            connection_arn=str(source.connection_arn),
            # The pipeline's triggers do it, which know of paths as well.
            trigger_on_push=False,
        )

    def _commit(self) -> str:
        """What is being delivered, as a pipeline variable: a git commit, or the version of the zip in S3."""
        kind = self._settings.source.kind
        return self._source.source_attribute("VersionId" if kind == "s3" else "CommitId")

    def _allow_connection(self, source: SourceSettings) -> None:
        """The CDK grants the action by the service's old name; connections made now ask for the new one."""
        if source.connection_arn:
            self.pipeline.pipeline.role.add_to_principal_policy(
                iam.PolicyStatement(
                    actions=["codeconnections:UseConnection"], resources=[source.connection_arn]
                )
            )

    def _synth_step(self) -> pipelines.CodeBuildStep:
        return pipelines.CodeBuildStep(
            "Synth",
            input=self._source,
            commands=["make verify"],
            # Linters, tests and synthesis run at once.
            build_environment=codebuild.BuildEnvironment(compute_type=codebuild.ComputeType.MEDIUM),
            primary_output_directory="cdk.out",
            partial_build_spec=build.with_python(),
            cache=build.cache(self._storage.artifacts),
            timeout=Duration.minutes(60),
        )

    def _pipeline(self) -> pipelines.CodePipeline:
        return pipelines.CodePipeline(
            self,
            "Pipeline",
            pipeline_name=self._name,
            pipeline_type=codepipeline.PipelineType.V2,
            # Two commits never deploy at once, and none overtakes one that waits for its approval.
            execution_mode=codepipeline.ExecutionMode.QUEUED,
            synth=self._synth,
            **self._artifact_buckets(),
            cross_account_keys=True,
            use_pipeline_role_for_actions=True,
            # Where nobody looks at them they are taken out again below.
            use_change_sets=True,
            publish_assets_in_parallel=False,
            self_mutation=True,
            cli_version=locked_version(self._root, "aws-cdk"),
            cdk_assets_cli_version=locked_version(self._root, "cdk-assets"),
            code_build_defaults=build.options(self._log),
            self_mutation_code_build_defaults=build.within(minutes=45),
            asset_publishing_code_build_defaults=build.within(minutes=30),
        )

    def _artifact_buckets(self) -> dict[str, Any]:
        """The bucket of the pipeline's region, and those of other regions where environments are."""
        own = self._storage.artifacts
        if not self._elsewhere:
            return {"artifact_bucket": own}
        others = {region: stack.bucket for region, stack in self._elsewhere.items()}
        return {"cross_region_replication_buckets": {self.region: own, **others}}

    def _deliver_to(self, environment: EnvironmentSettings, before: str | None) -> None:
        """Add an environment: its gate, where it has one, and its regions side by side."""
        if environment.approval:
            gate = dossier_gate(
                self,
                environment,
                settings=self._settings,
                before=before,
                source=self._source,
                assembly=self._synth,
                reports=self._storage.reports,
                artifacts=self._storage.artifacts,
                key=self._key,
                log_group=self._log,
            )
            add_gate(
                self.pipeline,
                gate,
                environment,
                commit=self._commit(),
                reports=self._storage.reports,
                topic=self._notifications.topic,
            )
            self._gates.append(gate)
        wave = self.pipeline.add_wave(environment.name.capitalize())
        for region in environment.regions:
            stage = self._stage(environment, region)
            smoke = smoke_step(
                self,
                stage,
                role_name=smoke_step_role_name(self._settings.name, stage.label),
                budget=environment.smoke,
                source=self._source,
                reports=self._storage.reports,
                artifacts=self._storage.artifacts,
                key=self._key,
                log_group=self._log,
            )
            wave.add_stage(stage, post=[smoke.step])
            self._smoke.append(smoke)

    def _stage(self, environment: EnvironmentSettings, region: str) -> PlatformStage:
        name = environment.name.capitalize()
        return PlatformStage(
            self,
            # A further region must not rename what is at home: logical ids hold the stage's.
            name if region == environment.region else f"{name}-{region}",
            platform=self._settings.name,
            environment=environment,
            region=region,
            tooling=self._settings.tooling,
            project_root=self._root,
            owns_account=self._is_first_in_its_place(environment, region),
            environments=self._settings.environments,
        )

    def _is_first_in_its_place(self, environment: EnvironmentSettings, region: str) -> bool:
        """Whether no environment before this one is in the same account and region."""
        there = [
            each.name
            for each in self._settings.environments
            if each.account == environment.account and region in each.regions
        ]
        return there[0] == environment.name
