"""What starts the pipeline by itself: pushes that pass the settings' filters."""

from __future__ import annotations

from aws_cdk import aws_codepipeline as codepipeline

from stages.settings import SourceSettings
from vision_platform.resources import cfn_resource


def filter_pushes(pipeline: codepipeline.Pipeline, source: SourceSettings, *, action: str) -> None:
    """Let pushes to the source of the action named `action` start the pipeline as the settings say.

    The action must not look for changes by itself. An S3 source has no filters: it always does.
    """
    if source.kind != "connection":
        return
    filters = source.triggers
    paths = None
    if filters.include_paths or filters.exclude_paths:
        paths = codepipeline.CfnPipeline.GitFilePathFilterCriteriaProperty(
            includes=list(filters.include_paths) or None, excludes=list(filters.exclude_paths) or None
        )
    push = codepipeline.CfnPipeline.GitPushFilterProperty(
        branches=codepipeline.CfnPipeline.GitBranchFilterCriteriaProperty(
            includes=list(filters.branches) or [source.branch]
        ),
        file_paths=paths,
    )
    cfn_resource(pipeline, codepipeline.CfnPipeline).triggers = [
        codepipeline.CfnPipeline.PipelineTriggerDeclarationProperty(
            provider_type="CodeStarSourceConnection",
            git_configuration=codepipeline.CfnPipeline.GitConfigurationProperty(
                source_action_name=action, push=[push]
            ),
        )
    ]
