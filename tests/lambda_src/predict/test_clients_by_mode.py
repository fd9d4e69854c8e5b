"""Which clients the adapter asks by, in each hosting mode: its own where they know the call, or botocore."""

from types import ModuleType
from typing import Any

import pytest

from tests.lambda_src.conftest import AWS
from vision_runtime.direct_clients import DynamoDB, SageMakerRuntime

VARIABLES = {
    "LINEAGE_TABLE": "lineage",
    "ASYNCHRONOUS_FOLDER": "s3://lake/asynchronous",
    "MODELS_FOLDER": "s3://lake/models",
    "CHAMPION_FUNCTION": "champion",
    "SMOKE_FUNCTION": "smoke",
}


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (AWS | VARIABLES).items():
        monkeypatch.setenv(name, value)


def made(adapter: ModuleType, monkeypatch: pytest.MonkeyPatch, mode: str) -> Any:
    monkeypatch.setenv("HOSTING_MODE", mode)
    return adapter._make_runtime(adapter.CLIENT)


@pytest.mark.parametrize("mode", ["real-time", "serverless"])
def test_endpoints_that_answer_at_once(
    adapter: ModuleType, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    assert isinstance(made(adapter, monkeypatch, mode), SageMakerRuntime)


def test_many_models(adapter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = made(adapter, monkeypatch, "multi-model")
    assert isinstance(runtime.runtime, SageMakerRuntime)
    assert isinstance(runtime.targets.dynamodb, DynamoDB)


def test_functions(adapter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = made(adapter, monkeypatch, "lambda")
    assert isinstance(runtime.targets.dynamodb, DynamoDB)
    assert callable(runtime.client.invoke)
    assert_bounded(runtime.client)


def test_a_queue(adapter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = made(adapter, monkeypatch, "asynchronous")
    assert callable(runtime.runtime.invoke_endpoint_async)
    assert callable(runtime.s3.get_object)
    for client in (runtime.runtime, runtime.s3):
        assert_bounded(client)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "True"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
        ("AWS_REGION", "us-isob-east-1"),
    ],
)
def test_what_only_botocore_knows_is_asked_of_botocore(
    adapter: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    runtime = made(adapter, monkeypatch, "real-time")
    assert not isinstance(runtime, SageMakerRuntime)
    assert callable(runtime.invoke_endpoint)
    assert_bounded(runtime)
    assert not isinstance(made(adapter, monkeypatch, "multi-model").targets.dynamodb, DynamoDB)


@pytest.mark.parametrize("value", ["false", ""])
def test_a_switch_that_is_off_changes_nothing(
    adapter: ModuleType, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", value)
    assert isinstance(made(adapter, monkeypatch, "real-time"), SageMakerRuntime)


def assert_bounded(client: Any) -> None:
    """botocore's client waits no longer than the adapter's own."""
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (1, 6)
    assert config.retries["total_max_attempts"] == 2
