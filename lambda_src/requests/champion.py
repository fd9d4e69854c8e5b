"""Tells which model answers: the champion in the lineage table, and what its training run measured."""

from __future__ import annotations

import json
import os
from typing import Any

import boto3
from answers import as_json
from botocore.config import Config

from vision_runtime import environment
from vision_runtime.problem import Problem
from vision_runtime.spec import ModelSpec
from vision_runtime.tracing import trace_calls

_CLIENT = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 3, "mode": "standard"})

table = environment.text(os.environ, "LINEAGE_TABLE")
spec = ModelSpec.from_environment(os.environ)
dynamodb: Any = boto3.client("dynamodb", config=_CLIENT)
trace_calls(dynamodb, shown={"TableName": "table_name"})


def respond(event: dict[str, Any], line: str, request_id: str) -> dict[str, Any]:  # noqa: ARG001
    """The model in service. Raises Problem (404) before the first promotion."""
    champion = _item(f"LINE#{line}", "CHAMPION")
    if champion is None:
        detail = "no training run has promoted a model in this environment yet"
        raise Problem("no-model", "No model is deployed", 404, detail)
    run = _item(f"RUN#{champion['run_id']}", "RUN") or {}
    return as_json(
        {
            "model_version": champion["model_package_arn"],
            "run": champion["run_id"],
            "dataset": champion["dataset"],
            # Another environment's package was measured there; its run is not in this table.
            "metrics": _numbers(run.get("metrics", "{}")),
            "since": champion["promoted_at"],
            "classes": list(spec.classes),
            "input": {
                "width": spec.input.width,
                "height": spec.input.height,
                "channels": spec.input.channels,
            },
        }
    )


def _item(pk: str, sk: str) -> dict[str, str] | None:
    """The texts of an item of the table, or None where it is not."""
    key = {"pk": {"S": pk}, "sk": {"S": sk}}
    item: dict[str, dict[str, str]] | None = dynamodb.get_item(TableName=table, Key=key).get("Item")
    return None if item is None else {name: value["S"] for name, value in item.items() if "S" in value}


def _numbers(text: str) -> dict[str, float]:
    """The measures that are one number; tables of them stand in the evaluation."""
    measured: dict[str, Any] = json.loads(text)
    return {
        name: float(value)
        for name, value in measured.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
