"""Which model of a line answers: the lineage table says so where no endpoint does."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vision_runtime.problem import Problem

# A promotion's steps take minutes: so much later than its item every function turns.
FRESH_SECONDS = 5.0
_RETRY_ABSENT_SECONDS = 60


@dataclass(frozen=True)
class TargetModel:
    """A model by its place below the line's folder, and where it comes from."""

    model: str
    package: str
    run_id: str
    dataset: str

    @property
    def origin(self) -> dict[str, str]:
        """What the model's answers are to name, as the serving program takes it."""
        return {"model_version": self.package, "model_run": self.run_id, "model_dataset": self.dataset}


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
            return TargetModel(
                *(_text(item, prefix + name) for name in ("model", "package", "run_id", "dataset"))
            )

        before = one("previous_")
        return cls(one(""), before if before.model else None, float(item["share"]["N"]))

    def choose(self) -> TargetModel:
        """The model that has the next request."""
        if self.before is None or random.random() * 100 < self.share_percent:  # noqa: S311 - a share of requests
            return self.newest
        return self.before


@dataclass
class LineTargets:
    """The targets of lines by their endpoints' names, `<platform>-<environment>-<line>`; read now and then.

    Given `folder` (s3://..., a folder for each line in it) the champion on record answers where the line has
    no target yet, or one that is older than that champion: both are so after a change of the hosting mode.
    """

    dynamodb: Any
    table: str
    folder: str = ""
    _known: dict[str, tuple[float, Targets]] = field(default_factory=dict[str, tuple[float, Targets]])

    def of(self, endpoint: str) -> Targets:
        """Raises Problem (503) while the line has no model."""
        read_at, known = self._known.get(endpoint, (0.0, None))
        now = time.monotonic()
        if known is None or now - read_at > FRESH_SECONDS:
            known = self._read(endpoint.rpartition("-")[2])
            self._known[endpoint] = now, known
        return known

    def _read(self, line: str) -> Targets:
        item = self._item(line, "TARGET")
        champion = self._champion(line, item) if self.folder else None
        if champion is not None:
            return Targets(champion, None, 100)
        if not item:
            raise Problem(
                "no-model",
                "No model is deployed",
                503,
                "no training run has promoted a model in this environment yet; try again later",
                retry_after=_RETRY_ABSENT_SECONDS,
            )
        return Targets.from_item(item)

    def _champion(self, line: str, target: Mapping[str, Any]) -> TargetModel | None:
        """The champion on record, unless the target knows of it: promotions write the target first."""
        record, below = self._item(line, "CHAMPION"), f"{self.folder}/{line}/"
        known = {_text(target, "deployment_id"), _text(target, "previous_deployment_id")}
        uri = _text(record, "model_uri")
        if _text(record, "deployment_id") in {"", *known} or not uri.startswith(below):
            return None
        package = _text(record, "model_package_arn")
        return TargetModel(
            uri.removeprefix(below), package, _text(record, "run_id"), _text(record, "dataset")
        )

    def _item(self, line: str, kind: str) -> Mapping[str, Any]:
        key = {"pk": {"S": f"LINE#{line}"}, "sk": {"S": kind}}
        found: Mapping[str, Any] = self.dynamodb.get_item(TableName=self.table, Key=key).get("Item", {})
        return found


def _text(item: Mapping[str, Any], name: str) -> str:
    return str(item.get(name, {}).get("S", ""))
