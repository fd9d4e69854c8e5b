"""The pipeline's acknowledged findings: what CodePipeline and the CDK's own steps need, and why."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_s3 as s3
from aws_cdk import pipelines

from vision_platform.compliance import acknowledge


def acknowledge_pipeline(pipeline: pipelines.CodePipeline, elsewhere: Sequence[s3.IBucket] = ()) -> None:
    """What the CDK's pipeline brings along. `elsewhere` are artifact buckets in other regions.

    Their policies cannot name the pipeline's roles, which are made after them.
    """
    acknowledge(
        pipeline,
        "CodeBuildProjectSourceRepoUrl",
        reason="Builds get their source from CodePipeline, as an encrypted artifact; they hold no access to "
        "a git host, for which the rule wants OAuth",
    )
    for bucket in elsewhere:
        acknowledge(
            pipeline,
            f"AwsSolutions-IAM5[Resource::{bucket.bucket_arn}/*]",
            reason="CodePipeline names its artifacts itself; the bucket holds nothing but artifacts",
        )
