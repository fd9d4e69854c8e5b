"""What a request for a tuning job must hold: AWS's own rules, and what the twin refuses by name."""

import math

from twin.json_service import ServiceError
from twin.services.sagemaker.records import Record
from twin.services.sagemaker.refusal import refuse, refuse_members, require_members
from twin.services.sagemaker.toolkit import decoded
from twin.services.sagemaker.tuning_space import Choice, Space
from twin.services.sagemaker.tuning_trials import objective_of

_EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
_MOST_PARENTS = 5
_MOST_RESOURCE = 20_000


def _invalid(text: str) -> ServiceError:
    return ServiceError("ValidationException", text)


def check(request: Record) -> None:
    """Raise `ServiceError` for what AWS or the twin does not take."""
    refuse_members(request, ["TrainingJobDefinitions"])
    refuse_members(request, ["Autotune"])
    require_members(request, ["TrainingJobDefinition"])
    definition, config = request["TrainingJobDefinition"], request["HyperParameterTuningJobConfig"]
    refuse_members(
        definition,
        ["HyperParameterTuningResourceConfig", "HyperParameterRanges", "TuningObjective", "RetryStrategy"],
        "TrainingJobDefinition",
    )
    require_members(config, ["HyperParameterTuningJobObjective"], "HyperParameterTuningJobConfig")
    criteria = config.get("TuningJobCompletionCriteria", {})
    if criteria.get("ConvergenceDetected", {}).get("CompleteOnConvergence") == "Enabled":
        raise refuse("TuningJobCompletionCriteria.ConvergenceDetected")
    metric, _ = objective_of(request)
    defined = [one["Name"] for one in definition["AlgorithmSpecification"].get("MetricDefinitions", [])]
    if metric not in defined:
        raise _invalid(
            f"The objective metric {metric!r} is not among the MetricDefinitions of the training job "
            f"definition ({', '.join(defined) or 'none'})."
        )
    limits = config["ResourceLimits"]
    if not (limits.get("MaxNumberOfTrainingJobs") or limits.get("MaxRuntimeInSeconds")) and (
        config["Strategy"] != "Grid"
    ):
        raise _invalid("ResourceLimits must have MaxNumberOfTrainingJobs or MaxRuntimeInSeconds.")
    _check_strategy(request)


def _check_strategy(request: Record) -> None:
    config = request["HyperParameterTuningJobConfig"]
    if config.get("StrategyConfig") and config["Strategy"] != "Hyperband":
        raise _invalid("StrategyConfig is for the strategy Hyperband.")
    if config["Strategy"] == "Hyperband":
        if config.get("TrainingJobEarlyStoppingType", "Off") != "Off":
            raise _invalid(
                "TrainingJobEarlyStoppingType must be Off with Hyperband, which has its own stopping."
            )
        hyperband_resources(request)


def hyperband_resources(request: Record) -> tuple[int, int]:
    """Return the fewest and the most resources of Hyperband's trials; raises `ServiceError`."""
    config = request["HyperParameterTuningJobConfig"]
    given = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    static = request["TrainingJobDefinition"].get("StaticHyperParameters", {})
    most = given.get("MaxResource")
    if most is None:
        named = (decoded(static[name]) for name in _EPOCHS if name in static)
        most = next((value for value in named if isinstance(value, int)), None)
    if most is None:
        raise _invalid(
            "Hyperband needs HyperbandStrategyConfig.MaxResource, or one of the static hyperparameters "
            f"{', '.join(_EPOCHS)}."
        )
    least = given.get("MinResource", 1)
    if not 1 <= least < most <= _MOST_RESOURCE:
        raise _invalid(
            f"Hyperband needs 1 <= MinResource < MaxResource <= {_MOST_RESOURCE}, not {least} and {most}."
        )
    return least, most


def complete_grid(config: Record, space: Space) -> None:
    """Set the number of trials of a grid search, or raise `ServiceError` where it is given and differs."""
    if config["Strategy"] != "Grid":
        return
    choices = [parameter for parameter in space.parameters if isinstance(parameter, Choice)]
    if len(choices) < len(space.parameters):
        raise _invalid("The strategy Grid takes categorical ranges only.")
    count = math.prod(len(choice.values) for choice in choices)
    limits = config["ResourceLimits"]
    if limits.get("MaxNumberOfTrainingJobs", count) != count:
        raise _invalid(
            f"MaxNumberOfTrainingJobs must be {count}, the number of combinations, or be left out with Grid."
        )
    limits["MaxNumberOfTrainingJobs"] = count


def check_warm_start(request: Record, space: Space, parents: list[Record]) -> None:
    """Raise `ServiceError` for parents that a tuning job cannot learn from."""
    warm, definition = request["WarmStartConfig"], request["TrainingJobDefinition"]
    if len(parents) > _MOST_PARENTS:
        raise _invalid(f"A warm start has at most {_MOST_PARENTS} parents.")
    if request["HyperParameterTuningJobConfig"]["Strategy"] not in ("Bayesian", "Random"):
        raise refuse("WarmStartConfig with the strategies Grid and Hyperband")
    for parent in parents:
        name = parent["HyperParameterTuningJobName"]
        status = parent["HyperParameterTuningJobStatus"]
        if status not in ("Completed", "Stopped", "Failed"):
            raise _invalid(f"The parent {name} is in status {status}: it must have ended.")
        if objective_of(parent) != objective_of(request):
            raise _invalid(f"The parent {name} has another objective.")
        before = parent["TrainingJobDefinition"]
        if warm["WarmStartType"] == "IdenticalDataAndAlgorithm":
            image, data = _identity(definition), _identity(before)
            if image != data:
                raise _invalid(
                    f"The parent {name} has another training image or other input data: "
                    "IdenticalDataAndAlgorithm needs the same, TransferLearning does not."
                )
        elif not _parameter_names(parent) & {parameter.name for parameter in space.parameters}:
            raise _invalid(f"The parent {name} has tuned none of these hyperparameters.")


def _identity(definition: Record) -> tuple[object, object]:
    return definition["AlgorithmSpecification"].get("TrainingImage"), definition.get("InputDataConfig")


def _parameter_names(record: Record) -> set[str]:
    ranges = record["HyperParameterTuningJobConfig"].get("ParameterRanges", {})
    return {one["Name"] for kind in ranges.values() for one in kind}
