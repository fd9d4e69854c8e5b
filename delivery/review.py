"""What stands before an environment that asks for approval: a dossier, a confirmation of risks, a yes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from aws_cdk import Duration, Stack, aws_logs, pipelines
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from delivery import build
from delivery.smoke import EXECUTION_ID, REPORT_PREFIX
from delivery.stage_rules import Said, StageRule
from stages.platform_stage import dossier_step_role_name
from stages.settings import EnvironmentSettings, PlatformSettings
from vision_platform.data_lake import allow_reading, allow_writing
from vision_platform.dossier_access import dossier_role_name, lookup_role_arn
from vision_platform.encryption import PlatformKey
from vision_platform.permissions import PlatformRole, allow, service_principal

DOSSIER_PREFIX = "dossier"
_ASSEMBLY = "build/assembly"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The stages before one environment, the dossier's step, and the role that it runs as."""

    review: str
    confirm: str
    approve: str
    dossier: pipelines.CodeBuildStep
    role: PlatformRole

    @property
    def rules(self) -> dict[str, StageRule]:
        """The confirmation is asked for only when the dossier names something to confirm."""
        nothing = Said(stage=self.review, action=self.dossier.id, variable="DOSSIER_RISK", value="none")
        return {self.confirm: StageRule(skipped_if=nothing)}


def dossier_gate(
    scope: Construct,
    environment: EnvironmentSettings,
    *,
    settings: PlatformSettings,
    before: str | None,
    source: pipelines.IFileSetProducer,
    assembly: pipelines.IFileSetProducer,
    reports: s3.IBucket,
    artifacts: s3.IBucket,
    key: PlatformKey,
    log_group: aws_logs.ILogGroup,
) -> Gate:
    """The gate before `environment`; `before` is the environment whose smoke report the approver reads."""
    several = sum(each.approval for each in settings.environments) > 1
    suffix = environment.name.capitalize() if several else ""
    pipeline = f"{settings.name}-delivery"
    roles = {
        "LOOKUP_ROLE_ARN": lookup_role_arn(environment.account, environment.region),
        "DOSSIER_ROLE_ARN": f"arn:aws:iam::{environment.account}:role/"
        + dossier_role_name(f"{settings.name}-{environment.name}"),
    }
    role = PlatformRole(
        scope,
        f"{environment.name.capitalize()}DossierRole",
        role_name=dossier_step_role_name(settings.name, environment.name),
        description=f"Writes the dossier for the approval of {environment.name}",
        assumed_by=service_principal("codebuild.amazonaws.com"),
    )
    allow(role, ["sts:AssumeRole"], list(roles.values()))
    allow(
        role,
        [
            "codepipeline:GetPipeline",
            "codepipeline:GetPipelineExecution",
            "codepipeline:ListActionExecutions",
            "codepipeline:ListPipelineExecutions",
        ],
        [Stack.of(scope).format_arn(service="codepipeline", resource=pipeline)],
    )
    because = "Reports are keyed by pipeline execution, which does not exist yet"
    allow_reading(role, reports, [f"{REPORT_PREFIX}/", f"{DOSSIER_PREFIX}/"], because=because)
    allow_writing(role, reports, [f"{DOSSIER_PREFIX}/"], because=because)
    key.allow_use(role)
    dossier = pipelines.CodeBuildStep(
        "Dossier",
        input=source,
        additional_inputs={_ASSEMBLY: assembly},
        role=cast("iam.IRole", role),
        commands=[
            "python3 ops/set_up.py dev",
            ".venv/bin/python -m delivery.dossier",
            # What the next stages ask for: the variables that this step exports.
            ". build/dossier/variables.sh",
        ],
        env={
            "PIPELINE_NAME": pipeline,
            "PIPELINE_EXECUTION_ID": EXECUTION_ID,
            "ENVIRONMENT": environment.name,
            "TARGET_ACCOUNT": environment.account,
            "TARGET_REGIONS": ",".join(environment.regions),
            "ASSEMBLY": _ASSEMBLY,
            "REPORTS_BUCKET": reports.bucket_name,
            **roles,
            **({"BEFORE": before} if before else {}),
        },
        build_environment=codebuild.BuildEnvironment(build_image=build.image()),
        partial_build_spec=build.with_python(),
        logging=codebuild.LoggingOptions(cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=log_group)),
        cache=build.cache(artifacts),
        timeout=Duration.minutes(30),
    )
    for exported in ("DOSSIER_URL", "DOSSIER_SUMMARY", "DOSSIER_RISK", "DOSSIER_RISKS"):
        dossier.exported_variable(exported)
    return Gate(
        review=f"Review{suffix}",
        confirm=f"Confirm{suffix}",
        approve=f"Approve{suffix}",
        dossier=dossier,
        role=role,
    )


def add_gate(
    pipeline: pipelines.CodePipeline,
    gate: Gate,
    environment: EnvironmentSettings,
    *,
    commit: str,
    reports: s3.IBucket,
    topic: sns.ITopic,
) -> None:
    """Add the gate's stages to the pipeline. `commit` is the pipeline variable that says what is delivered.

    The approval is a stage of its own: inside the environment's stage, a no would roll back what runs, and a
    rollback would wait for an approval.
    """
    region = Stack.of(pipeline).region
    page = (
        f"https://{region}.console.aws.amazon.com/s3/object/{reports.bucket_name}?region={region}"
        f"&prefix={DOSSIER_PREFIX}/{EXECUTION_ID}/{environment.name}/index.html"
    )
    said = gate.dossier.exported_variable
    pipeline.add_wave(gate.review, post=[gate.dossier])
    risks = pipelines.ManualApprovalStep(
        "ConfirmRisks",
        comment=f"The way to {environment.name} waits for a confirmation of: {said('DOSSIER_RISKS')}",
        review_url=page,
        notification_topic=topic,
    )
    pipeline.add_wave(gate.confirm, pre=[risks])
    promote = pipelines.ManualApprovalStep(
        "Promote",
        comment=f"{environment.name} waits for approval of {commit}. {said('DOSSIER_SUMMARY')}",
        review_url=page,
        notification_topic=topic,
    )
    pipeline.add_wave(gate.approve, pre=[promote])
