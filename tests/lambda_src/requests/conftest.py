"""Submitting and asking, loaded as in their package, with their services in memory."""

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.lambda_src.burst_world import BUCKET, MemoryTables, refused
from tests.lambda_src.conftest import AWS, ROOT, MemoryS3
from vision_runtime.results import ResultsTable

MODULES = ("burst_path", "submit", "results")
VARIABLES = {"STREAM_NAME": "stream", "UPLOADS_BUCKET": BUCKET, "RESULTS_TABLE": "results"}


@dataclass
class MemoryStream:
    records: list[dict[str, Any]] = field(default_factory=list)
    full: bool = False

    def put_record(self, *, StreamName: str, PartitionKey: str, Data: bytes) -> None:
        if self.full:
            raise refused("ProvisionedThroughputExceededException", "PutRecord")
        self.records.append({"stream": StreamName, "partition_key": PartitionKey, **json.loads(Data)})


@pytest.fixture(scope="session")
def modules() -> Iterator[dict[str, ModuleType]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for variable, value in {**AWS, **VARIABLES}.items():
            patch.setenv(variable, value)
        patch.syspath_prepend(str(ROOT / "lambda_src" / "requests"))
        loaded = {name: importlib.import_module(name) for name in MODULES}
        for name in MODULES:
            sys.modules.pop(name)
        yield loaded


@pytest.fixture
def path(modules: dict[str, ModuleType], s3: MemoryS3, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The two functions and what they call."""
    tables, stream = MemoryTables(), MemoryStream()
    table = ResultsTable(tables, "results")
    for module in ("submit", "results"):
        monkeypatch.setattr(modules[module], "table", table)
    monkeypatch.setattr(modules["submit"], "s3", s3)
    monkeypatch.setattr(modules["submit"], "kinesis", stream)

    def asked(module: str, event: dict[str, Any], line: str = "champion") -> SimpleNamespace:
        answer = modules[module].respond(event, line, "request-1")
        return SimpleNamespace(
            status=answer["statusCode"], headers=answer["headers"], body=json.loads(answer["body"])
        )

    return SimpleNamespace(
        s3=s3,
        tables=tables,
        table=table,
        stream=stream,
        submit=lambda event, line="champion": asked("submit", event, line),
        find=lambda id, line="champion": asked("results", {"pathParameters": {"id": id}}, line),
    )
