"""Asks a multi-model endpoint: which model of its line answers stands in the lineage table."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vision_runtime import environment
from vision_runtime.problem import Problem

TABLE = "LINEAGE_TABLE"
# A promotion's steps take minutes: so much later than its item every function turns.
FRESH_SECONDS = 5.0
_RETRY_ABSENT_SECONDS = 60


@dataclass(frozen=True)
class TargetModel:
    """A model by its place below the endpoint's folder, and where it comes from."""

    model: str
    package: str
    run_id: str
    dataset: str

    @property
    def origin(self) -> str:
        """What the model's answers are to name, as the serving program takes it."""
        told = {
            "model_version": self.package,
            "model_run": self.run_id,
            "model_dataset": self.dataset,
        }
        return json.dumps(told, separators=(",", ":"))


@dataclass(frozen=True)
class Targets:
    """The model of a line, and the one before it, which has the rest of the requests during a promotion."""

    newest: TargetModel
    before: TargetModel | None
    share_percent: float

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Targets:
        """What the promotion workflow has written."""

        def one(prefix: str) -> TargetModel:
            names = ("model", "package", "run_id", "dataset")
            return TargetModel(*(item.get(prefix + name, {}).get("S", "") for name in names))

        before = one("previous_")
        return cls(one(""), before if before.model else None, float(item["share"]["N"]))

    def choose(self) -> TargetModel:
        """The model that has the next request."""
        if self.before is None or random.random() * 100 < self.share_percent:  # noqa: S311 - a share of requests
            return self.newest
        return self.before


@dataclass
class MultiModelRuntime:
    """Stands for a client of SageMaker's runtime; endpoints are called `<platform>-<environment>-<line>`."""

    runtime: Any
    dynamodb: Any
    table: str
    _known: dict[str, tuple[float, Targets]] = field(default_factory=dict[str, tuple[float, Targets]])

    @classmethod
    def of(cls, variables: Mapping[str, str], make: Callable[[str], Any]) -> MultiModelRuntime:
        """Raises ConfigurationError naming the variable."""
        return cls(make("sagemaker-runtime"), make("dynamodb"), environment.text(variables, TABLE))

    def invoke_endpoint(self, *, EndpointName: str, **request: Any) -> dict[str, Any]:
        """InvokeEndpoint of the line's model. Raises Problem (503) while the line has none."""
        target = self._targets(EndpointName).choose()
        return self.runtime.invoke_endpoint(
            EndpointName=EndpointName,
            TargetModel=target.model,
            CustomAttributes=target.origin,
            **request,
        )

    def _targets(self, endpoint: str) -> Targets:
        read_at, known = self._known.get(endpoint, (0.0, None))
        now = time.monotonic()
        if known is None or now - read_at > FRESH_SECONDS:
            known = self._read(endpoint.rpartition("-")[2])
            self._known[endpoint] = now, known
        return known

    def _read(self, line: str) -> Targets:
        key = {"pk": {"S": f"LINE#{line}"}, "sk": {"S": "TARGET"}}
        found = self.dynamodb.get_item(TableName=self.table, Key=key)
        if "Item" not in found:
            raise Problem(
                "no-model",
                "No model is deployed",
                503,
                "no training run has promoted a model in this environment yet; try again later",
                retry_after=_RETRY_ABSENT_SECONDS,
            )
        return Targets.from_item(found["Item"])
