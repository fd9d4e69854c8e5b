"""The adapter, loaded once, with AWS stubbed: nothing may be asked of it but what a test has announced."""

import io
import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tests.lambda_src.contract import assert_documented, document


@pytest.fixture(scope="session")
def adapter(load_function: Callable[..., ModuleType]) -> ModuleType:
    return load_function(
        "predict",
        CHAMPION_ENDPOINT="vision-dev-champion",
        SMOKE_ENDPOINT="vision-dev-smoke",
        LINEAGE_TABLE="lineage",
        IDEMPOTENCY_TABLE="keys",
    )


@pytest.fixture(autouse=True)
def closed_breakers(adapter: ModuleType) -> None:
    """Failures of one test must not open the breaker for the next."""
    adapter.breakers.clear()


@pytest.fixture
def endpoint(adapter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    with _announced("sagemaker-runtime") as stub:
        monkeypatch.setattr(adapter.runtimes, "usual", stub.client)
        yield stub


@pytest.fixture
def lineage(adapter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    with _announced("dynamodb") as stub:
        monkeypatch.setattr(adapter, "dynamodb", stub.client)
        yield stub


@contextmanager
def _announced(service: Any) -> Generator[Any]:
    """boto3's client in the place of the adapter's own, which does the same: direct_clients/test_calls.py."""
    client = boto3.client(
        service, region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def log(adapter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the function logs."""
    stream = io.StringIO()
    monkeypatch.setattr(adapter.logger.registered_handler, "stream", stream)
    return stream


@pytest.fixture
def ask(
    adapter: ModuleType, endpoint: Stubber, lineage: Stubber, context: SimpleNamespace
) -> Callable[..., SimpleNamespace]:
    """Sends one event; nothing may be asked of AWS but what a test has announced."""

    def send(event: dict[str, Any]) -> SimpleNamespace:
        answer = adapter.handler(event, context)
        if event["path"] in document()["paths"]:
            assert_documented("POST", event["path"], answer)
        headers = {name.lower(): value for name, value in answer["headers"].items()}
        return SimpleNamespace(status=answer["statusCode"], headers=headers, body=json.loads(answer["body"]))

    return send
