"""What training settings must agree on before anything is deployed: image and hardware, limits and money."""

from __future__ import annotations

import re

from planning.prices import UnknownPrice
from planning.run_cost import most_of_training, most_of_tuning
from stages.settings import EnvironmentSettings, SettingsError

# Tags of AWS's PyTorch training images for SageMaker (repository `pytorch`), as AWS's release notes of the
# 2.13 line name them (https://aws.github.io/deep-learning-containers). Synthesis asks no registry.
IMAGE_TAGS = tuple(
    f"{version}-{kind}-amzn2023-sagemaker" for version in ("2.13.0", "2.13") for kind in ("cpu", "cu133")
)
_GPU_IMAGE = re.compile(r"-(?:gpu|cu\d+)-")
_GPU_INSTANCE = re.compile(r"^ml\.(?:g\d|gr\d|p\d)")
# AWS's own chips, which PyTorch's plain images cannot use.
_OTHER_CHIP = re.compile(r"^ml\.(?:trn|inf)\d")


def check_training(environment: EnvironmentSettings) -> None:
    """Raises SettingsError that names the settings which do not go together, and the cure."""
    faults = [*_image_faults(environment), *_cost_faults(environment)]
    if faults:
        raise SettingsError("\n".join(faults))


def _image_faults(environment: EnvironmentSettings) -> list[str]:
    training = environment.training
    here, instance, tag = f"environments.{environment.name}", training.instance_type, training.image_tag
    if tag not in IMAGE_TAGS:
        return [
            f"{here}.training.image_tag: AWS has no image '{tag}' that this version knows of (it knows "
            f"{', '.join(IMAGE_TAGS)}); choose one, or add a newer one to stages/training_checks.py"
        ]
    if _OTHER_CHIP.match(instance):
        return [
            f"{here}.training.instance_type: {instance} has chips that the image {tag} "
            f"({here}.training.image_tag) cannot use: choose an instance with CPUs, or with NVIDIA's GPUs"
        ]
    wants_gpu, has_gpu = bool(_GPU_IMAGE.search(tag)), bool(_GPU_INSTANCE.match(instance))
    if wants_gpu == has_gpu:
        return []
    image, hardware = ("GPUs", "none") if wants_gpu else ("CPUs", "GPUs that it would leave idle")
    return [
        f"{here}.training.image_tag: {tag} is for {image}, and {instance} "
        f"({here}.training.instance_type) has {hardware}: change one of the two"
    ]


def _cost_faults(environment: EnvironmentSettings) -> list[str]:
    training, tuning = environment.training, environment.tuning
    here = f"environments.{environment.name}"
    try:
        job = most_of_training(
            training.instance_type, instances=training.instance_count, seconds=training.max_runtime_seconds
        )
        search = most_of_tuning(
            training.instance_type,
            instances=training.instance_count,
            trial_seconds=training.max_runtime_seconds,
            trials=tuning.max_jobs,
            side_by_side=tuning.max_parallel_jobs,
            seconds=tuning.max_runtime_seconds,
        )
    except UnknownPrice as gap:
        return [f"{here}.training.instance_type: {gap}"]
    limit = training.max_cost_usd
    faults = list[str]()
    if job > limit:
        faults.append(
            f"{here}.training.max_cost_usd: a training job of {training.instance_count} x "
            f"{training.instance_type} for max_runtime_seconds ({training.max_runtime_seconds}) costs up to "
            f"{job:.2f} USD, more than {limit:.2f}: raise the limit, or shorten or shrink the job"
        )
    # A run tunes when it is asked to, whatever tuning.enabled says.
    if search > limit:
        faults.append(
            f"{here}.training.max_cost_usd: tuning with {tuning.max_jobs} trials on "
            f"{training.instance_count} x {training.instance_type} costs up to {search:.2f} USD, more than "
            f"{limit:.2f}: raise the limit, or lower tuning.max_jobs, tuning.max_runtime_seconds or "
            "training.max_runtime_seconds"
        )
    return faults
