"""What the training workflow asks of SageMaker: training, tuning and processing jobs, and model packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vision_platform.instances import volume_key
from vision_platform.training_parts import JobIdentity, JobSettings, Range, TuningSettings

_NUMBER = r"([0-9.eE+-]+)"
_METRICS = {
    "train:loss": f"train_loss={_NUMBER}",
    "train:accuracy": f"train_accuracy={_NUMBER}",
    "validation:loss": f"validation_loss={_NUMBER}",
    "validation:accuracy": f"validation_accuracy={_NUMBER}",
}
_INSIDE = "/opt/ml/processing"
_CHECKPOINTS = "/opt/ml/checkpoints"
# The validation split is a channel of its own, where the dataset has one.
_CHANNELS = (
    "{% ($channel := function($name, $uri) { {'ChannelName': $name, 'InputMode': 'FastFile', 'DataSource': "
    "{'S3DataSource': {'S3DataType': 'S3Prefix', 'S3Uri': $uri, 'S3DataDistributionType': "
    "'FullyReplicated'}}} }; $append([$channel('train', $prepared.train_uri)], "
    "$prepared.validation_uri = '' ? [] : [$channel('validation', $prepared.validation_uri)])) %}"
)


def script_mode(settings: JobSettings) -> dict[str, str]:
    """Hyperparameters of a run that sets none of its own: the model's, and what script mode needs."""
    several = {"sagemaker_torch_distributed_enabled": "true"} if settings.training_instance_count > 1 else {}
    return {
        **settings.hyperparameters,
        **several,
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": settings.training_source,
    }


def training_job(settings: JobSettings, identity: JobIdentity) -> dict[str, Any]:
    """CreateTrainingJob in script mode: AWS's PyTorch image runs the team's train.py."""
    return {
        "TrainingJobName": "{% $job %}",
        **_training(settings, identity),
        "AlgorithmSpecification": {
            "TrainingImage": settings.training_image,
            "TrainingInputMode": "FastFile",
            "MetricDefinitions": _metric_definitions(),
        },
        "HyperParameters": "{% $merge([$defaults, $overrides, {'checkpoints': '" + _CHECKPOINTS + "'}]) %}",
        # All attempts of a run go on from the same checkpoints.
        "CheckpointConfig": {
            "S3Uri": "{% $artifacts & 'checkpoints/' & $line & '/' & $run_id & '/' %}",
            "LocalPath": _CHECKPOINTS,
        },
    }


def tuning_job(
    settings: JobSettings, identity: JobIdentity, tuning: TuningSettings, *, warm_start: bool
) -> dict[str, Any]:
    """CreateHyperParameterTuningJob: the same training with other hyperparameters in each trial."""
    searched = [each.name for each in tuning.ranges]
    # A hyperparameter is either searched or set: what a person sets is not searched by accident either.
    fixed = (
        "{% $sift($merge([$defaults, $overrides]), function($value, $name) { $not($name in $searched) }) %}"
    )
    request: dict[str, Any] = {
        "HyperParameterTuningJobName": "{% $tuning_name %}",
        "HyperParameterTuningJobConfig": {
            "Strategy": tuning.strategy,
            **_strategy_config(tuning),
            "HyperParameterTuningJobObjective": {"Type": tuning.direction, "MetricName": tuning.objective},
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": tuning.max_jobs,
                "MaxParallelTrainingJobs": tuning.max_parallel_jobs,
                "MaxRuntimeInSeconds": tuning.max_runtime_seconds,
            },
            "ParameterRanges": _ranges(tuning.ranges),
            # Hyperband stops trials by itself and refuses a second way.
            "TrainingJobEarlyStoppingType": "Auto"
            if tuning.early_stopping and tuning.strategy != "Hyperband"
            else "Off",
        },
        "TrainingJobDefinition": {
            **_training(settings, identity),
            "StaticHyperParameters": fixed.replace("$searched", _listed(searched)),
            "AlgorithmSpecification": {
                "TrainingImage": settings.training_image,
                "TrainingInputMode": "FastFile",
                "MetricDefinitions": _metric_definitions(),
            },
        },
    }
    if warm_start:
        request["WarmStartConfig"] = {
            "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "{% $parent %}"}],
            # The dataset may be another version, which the other type forbids.
            "WarmStartType": "TransferLearning",
        }
    return request


def _training(settings: JobSettings, identity: JobIdentity) -> dict[str, Any]:
    """What a training job and a tuning job's trials have in common."""
    waiting = {"MaxWaitTimeInSeconds": settings.max_wait_seconds} if settings.spot else {}
    return {
        "RoleArn": identity.training_role,
        "InputDataConfig": _CHANNELS,
        "OutputDataConfig": {
            "S3OutputPath": "{% $artifacts & 'models/' & $line & '/' %}",
            "KmsKeyId": identity.key,
        },
        "ResourceConfig": {
            "InstanceType": settings.training_instance_type,
            "InstanceCount": settings.training_instance_count,
            "VolumeSizeInGB": settings.volume_gb,
            **volume_key(settings.training_instance_type, identity.key, "VolumeKmsKeyId"),
        },
        "EnableManagedSpotTraining": settings.spot,
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.max_runtime_seconds, **waiting},
        "EnableInterContainerTrafficEncryption": True,
        **({"VpcConfig": identity.vpc_config} if identity.vpc_config else {}),
    }


def _metric_definitions() -> list[dict[str, str]]:
    return [{"Name": name, "Regex": regex} for name, regex in _METRICS.items()]


def _strategy_config(tuning: TuningSettings) -> dict[str, Any]:
    if tuning.strategy != "Hyperband":
        return {}
    resources = {"MinResource": tuning.hyperband_min_resource, "MaxResource": tuning.hyperband_max_resource}
    return {"StrategyConfig": {"HyperbandStrategyConfig": resources}}


def _ranges(ranges: tuple[Range, ...] | Any) -> dict[str, Any]:
    return {
        "ContinuousParameterRanges": [_bounds(each, repr) for each in ranges if each.kind == "continuous"],
        "IntegerParameterRanges": [
            _bounds(each, lambda value: str(int(value))) for each in ranges if each.kind == "integer"
        ],
        "CategoricalParameterRanges": [
            {"Name": each.name, "Values": list(each.values)} for each in ranges if each.kind == "categorical"
        ],
    }


def _bounds(range: Range, text: Any) -> dict[str, str]:
    return {
        "Name": range.name,
        "MinValue": text(range.min),
        "MaxValue": text(range.max),
        "ScalingType": range.scale,
    }


def _listed(names: list[str]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


def evaluation_arguments() -> str:
    """The arguments of evaluate.py (JSONata): with the champion beside the new model, where there is one."""
    return (
        f"{{% $append(['--model', '{_INSIDE}/input/model', '--holdout', '{_INSIDE}/input/holdout', "
        f"'--output', '{_INSIDE}/output', '--run', $run_id], $champion.model_package_arn = '' ? [] : "
        f"['--champion', '{_INSIDE}/input/champion', '--champion-version', $champion.model_package_arn]) %}}"
    )


def evaluation_job(settings: JobSettings, identity: JobIdentity) -> dict[str, Any]:
    """CreateProcessingJob: the serving image measures the new model, and the champion, on the holdout."""
    inputs = (
        "{% ($input := function($name, $uri) { {'InputName': $name, 'S3Input': {'S3Uri': $uri, 'LocalPath': '"
        + _INSIDE
        + "/input/' & $name, 'S3DataType': 'S3Prefix', 'S3InputMode': 'File', 'S3DataDistributionType': "
        "'FullyReplicated', 'S3CompressionType': 'None'}} }; $append([$input('model', $training.model_uri), "
        "$input('holdout', $prepared.holdout_uri)], $champion.model_uri = '' ? [] : "
        "[$input('champion', $champion.model_uri)])) %}"
    )
    return {
        "ProcessingJobName": "{% $job %}",
        "RoleArn": identity.evaluation_role,
        "AppSpecification": {
            "ImageUri": settings.serving_image,
            "ContainerEntrypoint": ["python", "evaluate.py"],
            "ContainerArguments": "{% $evaluation_arguments %}",
        },
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {
            "KmsKeyId": identity.key,
            "Outputs": [
                {
                    "OutputName": "evaluation",
                    "S3Output": {
                        "S3Uri": "{% $evaluations %}",
                        "LocalPath": f"{_INSIDE}/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ],
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceType": settings.evaluation_instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": settings.volume_gb,
                **volume_key(settings.evaluation_instance_type, identity.key, "VolumeKmsKeyId"),
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.evaluation_max_runtime_seconds},
        # The job needs its inputs and nothing else; SageMaker itself moves them in and out.
        "NetworkConfig": {
            "EnableNetworkIsolation": True,
            **({"VpcConfig": identity.vpc_config} if identity.vpc_config else {}),
        },
    }


def model_package(settings: JobSettings) -> dict[str, Any]:
    """CreateModelPackage: the model enters the registry with its evaluation, approved by the gate."""
    # SageMaker admits few signs in these values.
    metadata: Mapping[str, str] = {
        "run_id": "{% $run_id %}",
        "line": "{% $line %}",
        "dataset": "{% $replace($dataset, '#', ' ') %}",
        "accuracy": "{% $string($gate.metrics.accuracy) %}",
        "baseline_uri": "{% $evaluations & '/baseline.json' %}",
        "report_uri": "{% $evaluations & '/report.html' %}",
    }
    return {
        "ModelPackageGroupName": "{% $endpoint %}",
        "ModelPackageDescription": "{% 'Run ' & $run_id %}",
        "ModelApprovalStatus": "Approved",
        # The registry answers a repeated request with the package that the first one made.
        "ClientToken": "{% $run_id %}",
        "InferenceSpecification": {
            "Containers": [{"Image": settings.serving_image, "ModelDataUrl": "{% $training.model_uri %}"}],
            "SupportedContentTypes": ["application/octet-stream"],
            "SupportedResponseMIMETypes": ["application/json"],
            "SupportedRealtimeInferenceInstanceTypes": [settings.hosting_instance_type],
        },
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {
                    "ContentType": "application/json",
                    "S3Uri": "{% $evaluations & '/evaluation.json' %}",
                }
            }
        },
        "CustomerMetadataProperties": metadata,
    }
