"""The function as Lambda loads it, with tables of its own in a running twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.lambda_src.feedback.world import World, create_tables
from tests.twin.conftest import DEV, Twin, twin

__all__ = ["twin"]  # a fixture


@pytest.fixture(scope="session")
def function(load_function: Callable[..., ModuleType]) -> ModuleType:
    return load_function("feedback", FEEDBACK_TABLE="feedback", LINEAGE_TABLE="lineage")


@pytest.fixture
def world(
    twin: Twin, function: ModuleType, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """New tables, and the function in front of them."""
    dynamodb, cloudwatch = twin.client("dynamodb", DEV), twin.client("cloudwatch", DEV)
    feedback, lineage = create_tables(dynamodb)
    context.get_remaining_time_in_millis = lambda: 300_000
    monkeypatch.setattr(function, "cloudwatch", cloudwatch)
    made = World(function, dynamodb, feedback, lineage, context, monkeypatch)
    made.connect(dynamodb)
    yield made
    for table in (feedback, lineage):
        dynamodb.delete_table(TableName=table)


@pytest.fixture
def metrics(capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, Any]]:
    """What has been written for CloudWatch since the last call, by name."""
    from tests.lambda_src.feedback.world import written_metrics

    return lambda: written_metrics(capsys.readouterr().out)
