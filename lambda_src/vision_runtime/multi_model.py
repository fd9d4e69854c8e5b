"""Asks a multi-model endpoint: which model of its line answers stands in the lineage table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vision_runtime import environment
from vision_runtime.targets import LineTargets

TABLE = "LINEAGE_TABLE"


@dataclass(frozen=True)
class MultiModelRuntime:
    """Stands for a client of SageMaker's runtime; endpoints are called `<platform>-<environment>-<line>`."""

    runtime: Any
    targets: LineTargets

    @classmethod
    def of(cls, variables: Mapping[str, str], make: Callable[[str], Any]) -> MultiModelRuntime:
        """Raises ConfigurationError naming the variable."""
        table = environment.text(variables, TABLE)
        return cls(make("sagemaker-runtime"), LineTargets(make("dynamodb"), table))

    def invoke_endpoint(self, *, EndpointName: str, **request: Any) -> dict[str, Any]:
        """InvokeEndpoint of the line's model. Raises Problem (503) while the line has none."""
        target = self.targets.of(EndpointName).choose()
        return self.runtime.invoke_endpoint(
            EndpointName=EndpointName,
            TargetModel=target.model,
            CustomAttributes=json.dumps(target.origin, separators=(",", ":")),
            **request,
        )
