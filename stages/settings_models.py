"""Settings of how models are made, judged and promoted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from stages.settings_fields import Group, InstanceType

Share = Annotated[float, Field(ge=0, le=1)]
# As script mode passes them: `--learning-rate 0.002`.
ParameterName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
Schedule = Annotated[str, Field(pattern=r"^(rate|cron)\([^()]+\)$")]


class PreprocessingSettings(Group):
    """How a dataset becomes shards: their size, how many are made at once, and what is left out."""

    # Preprocessing tolerates this share of unreadable training images and reports them; more stop the run.
    max_rejected_share: Share = 0.01
    shard_images: Annotated[int, Field(ge=10, le=10_000)] = 1000
    shards_per_batch: Annotated[int, Field(ge=1, le=50)] = 1
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 40
    memory_mb: Annotated[int, Field(ge=512, le=10240)] = 1769
    # Rejected images are copied for people to look at: so many of each kind of fault.
    quarantine_samples: Annotated[int, Field(ge=0, le=1000)] = 20
    # Metadata is always removed. A detector also blurs faces and text; what it cannot examine is rejected.
    redaction: Literal["none", "rekognition"] = "none"


class TrainingSettings(Group):
    """Training and evaluation: hardware, image, limits, triggers and the model code's own parameters."""

    instance_type: InstanceType = "ml.c7i.xlarge"
    instance_count: Annotated[int, Field(ge=1, le=64)] = 1
    volume_gb: Annotated[int, Field(ge=5, le=16384)] = 30
    max_runtime_seconds: Annotated[int, Field(ge=60, le=432000)] = 3600
    # Managed spot instances, with checkpoints to go on from; `max_wait_seconds` includes waiting for them.
    spot: bool = False
    max_wait_seconds: Annotated[int, Field(ge=60, le=432000)] = 7200
    # What one run's training or tuning may cost at most; synthesis fails when the limits allow more.
    max_cost_usd: Annotated[float, Field(gt=0)] = 50.0
    # AWS's PyTorch image for SageMaker, named by its tag in AWS's `pytorch` repository.
    image_tag: Annotated[str, Field(pattern=r"^\d+\.\d+[\w.-]*-sagemaker$")] = "2.13.0-cpu-amzn2023-sagemaker"
    # Goes to the training program as it stands; the model's own code knows the names.
    hyperparameters: dict[ParameterName, str | int | float] = Field(default_factory=dict)
    # Trains the champion's newest dataset again at these times (UTC), as EventBridge writes schedules.
    schedule: Schedule | None = None
    # A drift event on the platform's bus trains the champion's newest dataset again.
    on_drift: bool = True
    # Of each function of the workflow, as `api.reserved_concurrency`.
    reserved_concurrency: Annotated[int, Field(ge=0)] = 5
    evaluation_instance_type: InstanceType = "ml.c7i.large"
    evaluation_max_runtime_seconds: Annotated[int, Field(ge=60, le=86400)] = 1800

    @field_validator("hyperparameters")
    @classmethod
    def _leaves_script_mode_alone(cls, value: dict[str, Any]) -> dict[str, Any]:
        reserved = sorted(name for name in value if name.startswith("sagemaker_"))
        if reserved:
            raise ValueError(f"{', '.join(reserved)} belong to script mode; take them out")
        return value

    @model_validator(mode="after")
    def _waits_at_least_as_long_as_it_runs(self) -> TrainingSettings:
        if self.spot and self.max_wait_seconds < self.max_runtime_seconds:
            raise ValueError(
                f"max_wait_seconds ({self.max_wait_seconds}) includes the running time: "
                f"give at least max_runtime_seconds ({self.max_runtime_seconds})"
            )
        return self


class RangeSettings(Group):
    """Where tuning looks for one hyperparameter: from `min` to `max`, or among `values`."""

    kind: Literal["continuous", "integer", "categorical"]
    min: float | None = None
    max: float | None = None
    scale: Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"] = "Auto"
    values: Annotated[tuple[str, ...], Field(max_length=30)] = ()

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> RangeSettings:
        if self.kind == "categorical":
            if not self.values or self.min is not None or self.max is not None:
                raise ValueError("kind 'categorical' takes values, and neither min nor max")
            return self
        if self.min is None or self.max is None or self.values:
            raise ValueError(f"kind '{self.kind}' takes min and max, and no values")
        if self.min >= self.max:
            raise ValueError(f"min ({self.min:g}) must be less than max ({self.max:g})")
        if self.kind == "integer" and (self.min % 1 or self.max % 1):
            raise ValueError("kind 'integer' takes whole numbers for min and max")
        if self.scale == "Logarithmic" and self.min <= 0:
            raise ValueError("scale 'Logarithmic' needs a min above 0")
        if self.scale == "ReverseLogarithmic" and not 0 <= self.min < self.max < 1:
            raise ValueError("scale 'ReverseLogarithmic' needs min and max from 0 to below 1")
        return self


def _default_ranges() -> dict[str, RangeSettings]:
    return {
        "learning-rate": RangeSettings(kind="continuous", min=0.0005, max=0.02, scale="Logarithmic"),
        "batch-size": RangeSettings(kind="categorical", values=("32", "64", "128")),
    }


class TuningSettings(Group):
    """Hyperparameter tuning by SageMaker; a run tunes when this is enabled, or when it is asked to."""

    enabled: bool = False
    strategy: Literal["Random", "Bayesian", "Hyperband"] = "Bayesian"
    # A metric that the training program prints; never one of the holdout.
    objective: Literal["validation:accuracy", "validation:loss", "train:accuracy", "train:loss"] = (
        "validation:accuracy"
    )
    direction: Literal["Maximize", "Minimize"] = "Maximize"
    max_jobs: Annotated[int, Field(ge=1, le=750)] = 12
    max_parallel_jobs: Annotated[int, Field(ge=1, le=100)] = 2
    max_runtime_seconds: Annotated[int, Field(ge=120, le=2_592_000)] = 36_000
    early_stopping: bool = True
    # Begins with what the line's last tuning learned.
    warm_start: bool = False
    ranges: Annotated[dict[ParameterName, RangeSettings], Field(min_length=1, max_length=30)] = Field(
        default_factory=_default_ranges
    )
    # Hyperband gives each trial between so many and so many units (epochs) of training.
    hyperband_min_resource: Annotated[int, Field(ge=1)] = 1
    hyperband_max_resource: Annotated[int, Field(ge=2)] = 9

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> TuningSettings:
        if self.max_parallel_jobs > self.max_jobs:
            raise ValueError(
                f"max_parallel_jobs ({self.max_parallel_jobs}) is more than max_jobs ({self.max_jobs})"
            )
        wanted = "Minimize" if self.objective.endswith("loss") else "Maximize"
        if self.direction != wanted:
            raise ValueError(f"objective '{self.objective}' needs direction '{wanted}'")
        if self.strategy == "Hyperband" and self.hyperband_min_resource >= self.hyperband_max_resource:
            raise ValueError("hyperband_min_resource must be less than hyperband_max_resource")
        return self


class GateSettings(Group):
    """What a model must reach on the frozen holdout before it is registered."""

    min_accuracy: Annotated[float, Field(gt=0, le=1)] = 0.95
    min_class_recall: Share = 0.5
    max_calibration_error: Share = 0.2
    max_latency_p95_ms: Annotated[float, Field(gt=0)] | None = None
    # Against the champion on the same holdout: with this confidence not worse by more than the margin.
    champion_metric: Literal["accuracy", "macro_f1"] = "accuracy"
    max_regression: Share = 0.02
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95


class QualitySettings(Group):
    """What takes a new model back while it is rolled out, and what its labels must say in the long run."""

    # An answer with less confidence than this counts as uncertain.
    low_confidence: Annotated[float, Field(gt=0, lt=1)] = 0.5
    # From this share of uncertain answers on, the model is taken back.
    low_confidence_percent: Annotated[float, Field(gt=0, le=100)] = 20.0
    error_percent: Annotated[float, Field(gt=0, le=100)] = 1.0
    latency_ms: Annotated[int, Field(ge=1)] = 500
    # CloudWatch looks at metrics of high resolution every 10 or 30 seconds, at others every minute.
    period_seconds: Literal[10, 30, 60, 120, 300] = 60
    # People are called when the accuracy by labels is surely below this: none switches that off.
    min_accuracy: Annotated[float, Field(gt=0, lt=1)] | None = 0.9
    # With fewer labels nobody is called.
    min_labels: Annotated[int, Field(ge=1)] = 200
    # Over the answers of so many days, today included.
    accuracy_days: Annotated[int, Field(ge=1, le=90)] = 7
    accuracy_confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    # A label whose prediction has not come by then is given up, and counted as such.
    label_wait_days: Annotated[int, Field(ge=1, le=365)] = 14
    # Labels taken at once; reserved for the function where api.reserved_concurrency reserves anything.
    label_concurrency: Annotated[int, Field(ge=1)] = 10
