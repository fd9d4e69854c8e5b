"""What a model must reach, as the function gets it in the variable GATE_SETTINGS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vision_runtime import environment

VARIABLE = "GATE_SETTINGS"

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class Thresholds(BaseModel):
    """The settings' group `gate`, whole: a field more or less is a fault of the deployment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_accuracy: Share
    min_class_recall: Share
    max_calibration_error: Share
    max_latency_p95_ms: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None
    champion_metric: Literal["accuracy", "macro_f1"]
    max_regression: Share
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)]


def read_thresholds(variables: Mapping[str, str]) -> Thresholds:
    """The thresholds in GATE_SETTINGS. Raises ConfigurationError naming the variable and each wrong field."""
    try:
        return Thresholds.model_validate_json(environment.text(variables, VARIABLE))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'it'}: {fault['msg']}" for fault in error.errors()]
        raise environment.ConfigurationError(
            f"the environment variable {VARIABLE} is not usable: {'; '.join(faults)}"
        ) from error
