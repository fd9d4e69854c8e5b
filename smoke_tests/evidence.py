"""Everything a smoke run saw, gathered while it ran, for the reports to tell."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from smoke_tests.bad_inputs import Refusal
from smoke_tests.cost import Cost, Rates
from smoke_tests.endpoints import EndpointState
from smoke_tests.lineage import Link
from smoke_tests.logs import FoundLog
from smoke_tests.metrics import FoundMetric
from smoke_tests.predictions import Latency, Prediction
from smoke_tests.sdk import DirectAnswer, ModelPackage, TrainingJob
from smoke_tests.traces import Trace
from smoke_tests.training import Execution, Outcome


class ClassQuality(BaseModel):
    """Quality of the model on one class of the holdout."""

    model_config = ConfigDict(frozen=True)

    precision: float
    recall: float
    f1: float
    support: int


class ModelLatency(BaseModel):
    """Milliseconds per image inside the evaluation job, without network."""

    model_config = ConfigDict(frozen=True)

    p50: float
    p95: float


class Evaluation(BaseModel):
    """The evaluation of this run's model on the holdout, as its job wrote it."""

    model_config = ConfigDict(frozen=True)

    count: Annotated[int, Field(ge=1)]
    accuracy: Annotated[float, Field(ge=0, le=1)]
    per_class: dict[str, ClassQuality] = Field(default_factory=dict[str, ClassQuality])
    confusion_matrix: list[list[int]] = Field(default_factory=list[list[int]])  # [truth][answer]
    latency_ms: ModelLatency | None = None


@dataclass
class Evidence:
    """Filled in step by step; what a step did not reach stays empty."""

    classes: list[str] = field(default_factory=list[str])
    train_images: int = 0
    holdout_images: int = 0
    execution: Execution | None = None
    outcome: Outcome | None = None
    evaluation: Evaluation | None = None
    predictions: list[Prediction] = field(default_factory=list[Prediction])
    latency: Latency | None = None
    refusals: dict[str, Refusal] = field(default_factory=dict[str, Refusal])
    lineage: list[Link] = field(default_factory=list[Link])
    champion_before: EndpointState | None = None
    # By check; steps that run side by side fill them in.
    logs: dict[str, FoundLog] = field(default_factory=dict[str, FoundLog])
    metrics: dict[str, list[FoundMetric]] = field(default_factory=dict[str, list[FoundMetric]])
    trace: Trace | None = None
    job: TrainingJob | None = None
    package: ModelPackage | None = None
    direct: DirectAnswer | None = None
    rates: Rates | None = None
    endpoint_since: float | None = None  # seconds since the run began
    cost: Cost | None = None
