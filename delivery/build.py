"""How the pipeline builds: the image, the versions, the caches and the logs of its CodeBuild projects."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from aws_cdk import App, Duration, aws_logs, pipelines
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_s3 as s3

from delivery.storage import CACHE_PREFIX
from vision_platform.resources import cfn_resource

# The version that this repository is tested with; `make setup` brings everything else, Node included.
_PYTHON_VERSION = "3.11"
# What the CDK's own steps run on, which install the CLI and the asset publisher by npm.
_NODE_VERSION = "22"
# What set-up makes, and the marks by which it knows that it is done.
_CACHE_PATHS = [
    ".venv/**/*",
    "build/envs/**/*",
    "build/stamps/**/*",
    "node_modules/**/*",
]
_CACHE_NAMESPACE = "set-up"
_PUBLISHERS = ("FileAsset", "DockerAsset")
_PUBLISH = re.compile(r'(?P<start>cdk-assets --path "[^"]+" --verbose publish) (?P<asset>"[^"]+")')


def image() -> codebuild.IBuildImage:
    """The build image of every project but one: Graviton does the same for less."""
    return codebuild.LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0


def options(log_group: aws_logs.ILogGroup) -> pipelines.CodeBuildOptions:
    """What all projects have in common."""
    return pipelines.CodeBuildOptions(
        build_environment=codebuild.BuildEnvironment(
            build_image=image(), compute_type=codebuild.ComputeType.SMALL, privileged=False
        ),
        logging=codebuild.LoggingOptions(cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=log_group)),
        partial_build_spec=codebuild.BuildSpec.from_object(
            {"phases": {"install": {"runtime-versions": {"nodejs": _NODE_VERSION}}}}
        ),
        timeout=Duration.hours(1),
    )


def within(minutes: int) -> pipelines.CodeBuildOptions:
    """A time limit for one kind of project."""
    return pipelines.CodeBuildOptions(timeout=Duration.minutes(minutes))


def build_images_on_x86(pipeline: pipelines.CodePipeline) -> None:
    """Let the project that builds container images run on x86, as the images do.

    The serving image runs in processing jobs too, which have no Graviton. The CDK has one set of defaults for
    the projects that publish files and those that build images. To be called when the pipeline is complete.
    """
    x86 = codebuild.LinuxBuildImage.AMAZON_LINUX_2023_5
    for project in pipeline.node.find_all():
        if isinstance(project, codebuild.Project) and project.node.id == "DockerAsset":
            template = cfn_resource(project, codebuild.CfnProject)
            template.add_property_override("Environment.Type", x86.type)
            template.add_property_override("Environment.Image", x86.image_id)


def publish_by_manifest(pipeline: pipelines.CodePipeline) -> None:
    """Let one start of the publisher take all assets of a manifest, where the CDK starts it for each.

    Each start loads the tool anew, also where every asset has been published before. The CDK writes these
    build specifications into the assembly, as they may outgrow a template: that is where they are changed. To
    be called when the pipeline is complete.
    """
    assembly = Path(cast("App", pipeline.node.root).outdir)
    for project in pipeline.node.find_all():
        if isinstance(project, codebuild.Project) and project.node.id in _PUBLISHERS:
            source = cast(
                "codebuild.CfnProject.SourceProperty", cfn_resource(project, codebuild.CfnProject).source
            )
            path = assembly / str(source.build_spec)
            specification = json.loads(path.read_text())
            build = specification["phases"]["build"]
            build["commands"] = _joined(build["commands"])
            path.write_text(json.dumps(specification, indent=2))


def _joined(commands: Sequence[str]) -> list[str]:
    """The same, with one command for all assets of a manifest. Raises ValueError for any other command."""
    assets: dict[str, list[str]] = {}
    for command in commands:
        found = _PUBLISH.fullmatch(command)
        if found is None:
            raise ValueError(f"the CDK publishes in another way than before: {command}")
        assets.setdefault(found["start"], []).append(found["asset"])
    return [f"{start} {' '.join(some)}" for start, some in assets.items()]


def with_python(**extra: Any) -> codebuild.BuildSpec:
    """A build specification that chooses Python's version and keeps what set-up has installed."""
    return codebuild.BuildSpec.from_object(
        {
            "phases": {"install": {"runtime-versions": {"python": _PYTHON_VERSION}}},
            "cache": {"paths": _CACHE_PATHS},
            **extra,
        }
    )


def cache(bucket: s3.IBucket) -> codebuild.Cache:
    """The cache that outlives a build host, and that all projects share: set-up makes the same in each."""
    return codebuild.Cache.bucket(bucket, prefix=CACHE_PREFIX, cache_namespace=_CACHE_NAMESPACE)
