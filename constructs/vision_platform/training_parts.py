"""What the training workflow is made of: functions, jobs, limits and names, as its states need them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """Hardware, limits and code of the training and evaluation jobs."""

    training_image: str
    training_source: str
    hyperparameters: Mapping[str, str]
    training_instance_type: str
    training_instance_count: int
    spot: bool
    max_wait_seconds: int
    volume_gb: int
    max_runtime_seconds: int
    evaluation_instance_type: str
    evaluation_max_runtime_seconds: int
    serving_image: str
    hosting_instance_type: str

    @property
    def longest_training_seconds(self) -> int:
        """How long a training job may take, waiting for spot instances included."""
        return self.max_wait_seconds if self.spot else self.max_runtime_seconds


@dataclass(frozen=True, kw_only=True)
class JobIdentity:
    """Who the jobs run as, with what key, and where in a network (SageMaker's VpcConfig)."""

    training_role: str
    evaluation_role: str
    key: str
    vpc_config: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Range:
    """Where tuning looks for one hyperparameter: bounds, or values for a categorical one."""

    name: str
    kind: Literal["continuous", "integer", "categorical"]
    min: float | None
    max: float | None
    scale: str
    values: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """How tuning searches, for what, and how much of it is allowed."""

    enabled: bool
    strategy: str
    objective: str
    direction: str
    max_jobs: int
    max_parallel_jobs: int
    max_runtime_seconds: int
    early_stopping: bool
    warm_start: bool
    ranges: Sequence[Range]
    hyperband_min_resource: int
    hyperband_max_resource: int


@dataclass(frozen=True, kw_only=True)
class TrainingFunctions:
    """The ARNs of the workflow's functions."""

    plan_dataset: str
    preprocess: str
    collect_dataset: str
    select_model: str
    gate: str


@dataclass(frozen=True, kw_only=True)
class TrainingParts:
    """What the states name; strings may be tokens."""

    prefix: str
    datasets_bucket: str
    artifacts_bucket: str
    table: str
    bus: str
    functions: TrainingFunctions
    promotion: str
    promotion_timeout_seconds: int
    preprocessing_concurrency: int
    # For so long what was prepared is sure to be there still.
    prepared_days: int
    jobs: JobSettings
    tuning: TuningSettings
    identity: JobIdentity


# Of 32 characters, which SageMaker allows, so many are left at least to tell tuning jobs apart.
_ROOM_FOR_RUN = 11
LONGEST_TUNING_NAME = 32


def tuning_prefix(prefix: str) -> str:
    """What the names of an environment's tuning jobs begin with: its prefix, or a mark if that is long."""
    if len(prefix) + 1 + _ROOM_FOR_RUN <= LONGEST_TUNING_NAME:
        return f"{prefix}-"
    return f"{hashlib.sha256(prefix.encode()).hexdigest()[:4]}-"
