"""Writes what came of a record, once: the result, the prediction's lineage, and the line in the lake.

The first result stays. Whoever finds one writes the lineage and the line of that one again, so that a
crash between the three leaves none of them out: the lake may then hold a line twice, with one id.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from config import Config

from vision_runtime.asking import Prediction
from vision_runtime.claim_check import time_text
from vision_runtime.lineage import PredictionRecord, record_prediction
from vision_runtime.problem import Problem
from vision_runtime.results import Result, ResultsTable, Status

_LINES_A_CALL = 500  # PutRecordBatch's limit
_TRIES = 3


class DeliveryFailed(RuntimeError):
    """The delivery stream took a part of the results only, several times over."""


class Writer:
    """Where results go. Methods raise botocore's errors: then the record must come again."""

    def __init__(self, dynamodb: Any, firehose: Any, config: Config) -> None:
        """Both are low-level clients, used from several threads."""
        self._dynamodb, self._firehose, self._config = dynamodb, firehose, config
        self.results = ResultsTable(dynamodb, config.results_table)

    def write(self, result: Result) -> Result | None:
        """Write a final result and its lineage; an earlier one that stays instead is returned."""
        earlier = self.results.finish(result)
        self.remember(earlier or result)
        return earlier

    def remember(self, result: Result) -> None:
        """Write the lineage of a result; a second time changes nothing."""
        if result.status is not Status.DONE:
            return
        answer, line = result.answer, self._config.lines.get(result.line)
        record = PredictionRecord(
            request_id=result.id,
            line=result.line,
            model_version=answer["model_version"],
            run_id=answer["run"],
            dataset=answer["dataset"],
            label=answer["label"],
            confidence=answer["probabilities"][answer["label"]],
            answered_at=datetime.fromisoformat(result.answered_at),
            kept_days=line.prediction_days if line else 1,
        )
        record_prediction(self._dynamodb, self._config.lineage_table, record)

    def deliver(self, results: Sequence[Result]) -> None:
        """Hand results to the delivery stream. Raises DeliveryFailed when it goes on refusing some."""
        lines = [{"Data": _line(result)} for result in results]
        for first in range(0, len(lines), _LINES_A_CALL):
            self._deliver(lines[first : first + _LINES_A_CALL])

    def _deliver(self, lines: list[dict[str, bytes]]) -> None:
        for attempt in range(_TRIES):
            answer = self._firehose.put_record_batch(
                DeliveryStreamName=self._config.delivery_stream, Records=lines
            )
            if not answer["FailedPutCount"]:
                return
            lines = list(_refused(lines, answer["RequestResponses"]))
            time.sleep(0.1 * 2**attempt)
        raise DeliveryFailed(f"the delivery stream refused {len(lines)} results")


def done(id: str, line: str, submitted_at: str, kept_days: int, prediction: Prediction) -> Result:
    """The result of an image that was answered."""
    answer = {
        "label": prediction.label,
        "probabilities": prediction.probabilities,
        "model_version": prediction.model_version,
        "run": prediction.run,
        "dataset": prediction.dataset,
    }
    return Result(id, Status.DONE, line, submitted_at, kept_days, _now(), answer=answer)


def rejected(id: str, line: str, submitted_at: str, kept_days: int, problem: Problem) -> Result:
    """The result of what can never be answered; its problem says why."""
    said = {
        "kind": problem.kind,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
    }
    return Result(id, Status.REJECTED, line, submitted_at or _now(), kept_days, _now(), problem=said)


def _now() -> str:
    return time_text(datetime.now(UTC))


def _refused(lines: list[dict[str, bytes]], answers: Sequence[dict[str, Any]]) -> Iterator[dict[str, bytes]]:
    return (line for line, answer in zip(lines, answers, strict=True) if "ErrorCode" in answer)


def _line(result: Result) -> bytes:
    """A result as the lake's table has it: flat, with times that its timestamp columns take."""
    answer, problem = result.answer, result.problem
    label = answer.get("label")
    document = {
        "id": result.id,
        "status": result.status.value,
        "line": result.line,
        "label": label,
        "confidence": answer["probabilities"][label] if label is not None else None,
        "model_version": answer.get("model_version"),
        "run_id": answer.get("run"),
        "dataset": answer.get("dataset"),
        "problem": problem.get("kind"),
        "detail": problem.get("detail"),
        "submitted_at": _sql_time(result.submitted_at),
        "answered_at": _sql_time(result.answered_at),
    }
    return json.dumps(document).encode() + b"\n"


def _sql_time(time: str) -> str:
    return datetime.fromisoformat(time).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
