"""What one training run can cost at most, from its limits: every instance, for as long as it may run."""

from __future__ import annotations

from planning.prices import hourly_usd

_SECONDS_AN_HOUR = 3600


def most_of_training(instance_type: str, *, instances: int, seconds: int) -> float:
    """US dollars of a training job that runs until its limit, on demand: spot instances never cost more.

    Raises planning.prices.UnknownPrice.
    """
    return hourly_usd(instance_type) * instances * seconds / _SECONDS_AN_HOUR


def most_of_tuning(
    instance_type: str, *, instances: int, trial_seconds: int, trials: int, side_by_side: int, seconds: int
) -> float:
    """US dollars of a tuning job: all trials until their limit, or all places in use until the job's own.

    Raises planning.prices.UnknownPrice.
    """
    trial = most_of_training(instance_type, instances=instances, seconds=trial_seconds)
    # The job's end stops its trials.
    place = most_of_training(instance_type, instances=instances, seconds=seconds)
    return min(trial * trials, place * side_by_side)
