"""Settings of training that do not go together are named before anything is deployed."""

from __future__ import annotations

from typing import Any

import pytest

from stages.settings import EnvironmentSettings, SettingsError
from stages.training_checks import check_training


def environment(**groups: Any) -> EnvironmentSettings:
    return EnvironmentSettings.model_validate(
        {"name": "dev", "account": "222222222222", "region": "us-east-1", **groups}
    )


def faults(**groups: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        check_training(environment(**groups))
    return str(caught.value)


def test_the_defaults_go_together() -> None:
    check_training(environment())


def test_gpus_go_with_gpu_images() -> None:
    gpu = {"instance_type": "ml.g5.xlarge", "image_tag": "2.13.0-cu133-amzn2023-sagemaker"}
    check_training(environment(training=gpu))


@pytest.mark.parametrize(
    ("instance", "tag"),
    [
        ("ml.g5.xlarge", "2.13.0-cpu-amzn2023-sagemaker"),
        ("ml.p3.2xlarge", "2.13-cpu-amzn2023-sagemaker"),
        ("ml.c7i.xlarge", "2.13.0-cu133-amzn2023-sagemaker"),
    ],
)
def test_an_image_for_other_hardware_is_refused_by_both_keys(instance: str, tag: str) -> None:
    said = faults(training={"instance_type": instance, "image_tag": tag})

    assert "environments.dev.training.image_tag" in said
    assert "environments.dev.training.instance_type" in said
    assert (instance in said, tag in said) == (True, True)


def test_awss_own_chips_are_refused() -> None:
    assert "chips" in faults(training={"instance_type": "ml.trn1.2xlarge"})


def test_an_image_that_aws_has_not_is_refused_with_those_that_it_has() -> None:
    said = faults(training={"image_tag": "9.9.9-cpu-amzn2023-sagemaker"})

    assert "2.13.0-cpu-amzn2023-sagemaker" in said
    assert "stages/training_checks.py" in said


def test_a_job_that_may_cost_too_much_is_refused() -> None:
    said = faults(training={"max_runtime_seconds": 36_000, "instance_count": 30}, tuning={"max_jobs": 2})

    assert "environments.dev.training.max_cost_usd: a training job of 30 x ml.c7i.xlarge" in said
    assert "66.00 USD, more than 50.00" in said


def test_tuning_that_may_cost_too_much_is_refused_even_when_it_is_off() -> None:
    said = faults(tuning={"max_jobs": 750, "max_parallel_jobs": 100, "max_runtime_seconds": 2_000_000})

    assert "tuning with 750 trials" in said


def test_what_has_no_price_is_refused_with_the_cure() -> None:
    assert "planning/prices.py" in faults(training={"instance_type": "ml.c9z.xlarge"})
