"""The smoke step: after an environment is deployed, prove that it works, and keep the report."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import cast

from aws_cdk import Duration, aws_logs, pipelines
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from delivery import build
from stages.platform_stage import PlatformStage
from stages.settings import SmokeSettings
from vision_platform.data_lake import allow_writing
from vision_platform.encryption import PlatformKey
from vision_platform.permissions import PlatformRole, allow, service_principal

REPORT_PREFIX = "smoke"
REPORT_VARIABLE = "SMOKE_REPORT"
EXECUTION_ID = "#{codepipeline.PipelineExecutionId}"
# What set-up, clean-up and the report may take beside the test's own time.
_MINUTES_AROUND = 15


@dataclass(frozen=True, kw_only=True)
class SmokeStep:
    """A smoke step, and the role in the tooling account that its project runs as."""

    step: pipelines.CodeBuildStep
    role: PlatformRole


def smoke_step(
    scope: Construct,
    stage: PlatformStage,
    *,
    role_name: str,
    budget: SmokeSettings,
    source: pipelines.IFileSetProducer,
    reports: s3.IBucket,
    artifacts: s3.IBucket,
    key: PlatformKey,
    log_group: aws_logs.ILogGroup,
) -> SmokeStep:
    """The step that runs the smoke tests in `stage`'s account, by the one role there that it may assume."""
    place = stage.label
    smoke_role_arn = stage.smoke_variables["SMOKE_ROLE_ARN"]
    role = PlatformRole(
        scope,
        f"{place.title().replace('-', '')}SmokeRole",
        role_name=role_name,
        description=f"Runs the smoke tests of {place}",
        assumed_by=service_principal("codebuild.amazonaws.com"),
    )
    allow(role, ["sts:AssumeRole"], [smoke_role_arn])
    allow_writing(
        role,
        reports,
        [f"{REPORT_PREFIX}/"],
        because="Reports are keyed by pipeline execution, which does not exist yet",
    )
    key.allow_use(role)
    step = pipelines.CodeBuildStep(
        "Smoke",
        input=source,
        role=cast("iam.IRole", role),
        commands=[
            # Known before anything has run, so that a failed test's report is linked as well.
            f'export SMOKE_REPORT="s3://$REPORTS_BUCKET/{REPORT_PREFIX}/$PIPELINE_EXECUTION_ID/$ENVIRONMENT/index.html"',
            "python3 ops/set_up.py dev",
            ".venv/bin/python -m smoke_tests",
        ],
        env={
            **stage.smoke_variables,
            "SMOKE_TIMEOUT_SECONDS": str(budget.timeout_seconds),
            "SMOKE_MAX_COST_USD": f"{budget.max_cost_usd:g}",
            "SMOKE_IMAGES": str(budget.images),
            "REPORTS_BUCKET": reports.bucket_name,
            "PIPELINE_EXECUTION_ID": EXECUTION_ID,
        },
        env_from_cfn_outputs=stage.smoke_outputs,
        build_environment=codebuild.BuildEnvironment(build_image=build.image()),
        partial_build_spec=build.with_python(
            reports={f"smoke-{place}": {"files": ["build/smoke/junit.xml"], "file-format": "JUNITXML"}},
        ),
        logging=codebuild.LoggingOptions(cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=log_group)),
        # Filled by the build step; a smoke step reads it (see least_privilege.py).
        cache=build.cache(artifacts),
        timeout=Duration.minutes(ceil(budget.timeout_seconds / 60) + _MINUTES_AROUND),
    )
    # People look for the report of an environment without an approval, too.
    step.exported_variable(REPORT_VARIABLE)
    return SmokeStep(step=step, role=role)
