"""The settings of one environment as the training workflow needs them."""

from __future__ import annotations

from aws_cdk.region_info import RegionInfo

from stages.settings import EnvironmentSettings
from vision_platform.training_parts import JobSettings, Range, TuningSettings

# AWS's repository of PyTorch images for training.
REPOSITORY = "pytorch"


def registry_account(region: str) -> str:
    """AWS keeps its deep learning images in accounts of its own, one per group of regions."""
    return RegionInfo.get(region).dlc_repository_account or "763104351884"


def job_settings(environment: EnvironmentSettings, *, source: str, serving_image: str) -> JobSettings:
    """Hardware, limits and code of the jobs; `source` is the model code's archive (s3://...)."""
    training, region = environment.training, environment.region
    return JobSettings(
        training_image=f"{registry_account(region)}.dkr.ecr.{region}.amazonaws.com/"
        f"{REPOSITORY}:{training.image_tag}",
        training_source=source,
        hyperparameters={name: str(value) for name, value in training.hyperparameters.items()},
        training_instance_type=training.instance_type,
        training_instance_count=training.instance_count,
        spot=training.spot,
        max_wait_seconds=training.max_wait_seconds,
        volume_gb=training.volume_gb,
        max_runtime_seconds=training.max_runtime_seconds,
        evaluation_instance_type=training.evaluation_instance_type,
        evaluation_max_runtime_seconds=training.evaluation_max_runtime_seconds,
        serving_image=serving_image,
        hosting_instance_type=environment.hosting.instance_type,
    )


def tuning_settings(environment: EnvironmentSettings) -> TuningSettings:
    """How tuning searches, for what, and how much of it is allowed."""
    tuning = environment.tuning
    return TuningSettings(
        enabled=tuning.enabled,
        strategy=tuning.strategy,
        objective=tuning.objective,
        direction=tuning.direction,
        max_jobs=tuning.max_jobs,
        max_parallel_jobs=tuning.max_parallel_jobs,
        max_runtime_seconds=tuning.max_runtime_seconds,
        early_stopping=tuning.early_stopping,
        warm_start=tuning.warm_start,
        ranges=tuple(
            Range(
                name=name,
                kind=each.kind,
                min=each.min,
                max=each.max,
                scale=each.scale,
                values=each.values,
            )
            for name, each in tuning.ranges.items()
        ),
        hyperband_min_resource=tuning.hyperband_min_resource,
        hyperband_max_resource=tuning.hyperband_max_resource,
    )
