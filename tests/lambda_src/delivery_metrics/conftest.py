"""The function as Lambda loads it, between a told history and a table in memory."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest

from tests.lambda_src.delivery_metrics.world import Records, Run, ToldHistory, at, serve


@pytest.fixture(scope="module")
def function(load_function: Callable[..., ModuleType]) -> ModuleType:
    return load_function(
        "delivery_metrics",
        PIPELINE_NAME="delivery",
        METRICS_NAMESPACE="VisionDelivery",
        PRODUCTION_STAGES="Prod",
        RECORDS_TABLE="records",
    )


@dataclass
class Metrics:
    """Everything that was written for CloudWatch."""

    documents: list[dict[str, Any]]

    def values(self, metric: str, stage: str | None = None) -> list[float]:
        found: list[float] = []
        for each in self.documents:
            if metric in each and each.get("Stage") == stage:
                found += each[metric]
        return found

    def times(self, metric: str) -> list[float]:
        return [each["_aws"]["Timestamp"] / 1000 for each in self.documents if metric in each]


@dataclass
class World:
    """Where the function runs in a test."""

    function: ModuleType
    history: ToldHistory
    records: Records
    capture: pytest.CaptureFixture[str]
    context: SimpleNamespace

    def tell(self, run: Run, stage: str, state: str, after: float = 100_000) -> dict[str, Any]:
        """Deliver one event to the function."""
        detail = {"pipeline": "delivery", "execution-id": run.id, "stage": stage, "state": state}
        time = at(after).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self.function.handler({"time": time, "detail": detail}, self.context)

    def tell_all(self, *runs: Run) -> None:
        """Deliver the last event of each run."""
        for run in runs:
            last = run.actions[-1]
            self.tell(run, last["stageName"], "FAILED" if last["status"] == "Failed" else "SUCCEEDED")

    def metrics(self) -> Metrics:
        """What has been written since the last call."""
        lines = self.capture.readouterr().out.splitlines()
        return Metrics([json.loads(line) for line in lines if '"_aws"' in line])


@pytest.fixture
def world(
    function: ModuleType,
    context: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    history, records = ToldHistory(), Records()
    context.get_remaining_time_in_millis = lambda: 120_000
    with serve(history) as address:
        client = boto3.client(
            "codepipeline",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=function.PATIENT,
        )
        monkeypatch.setattr(function, "codepipeline", client)
        monkeypatch.setattr(function.records, "client", records)
        yield World(function, history, records, capsys, context)
