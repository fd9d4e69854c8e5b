"""The consumer, loaded once as Lambda loads it, with its services in memory."""

from collections.abc import Callable
from types import ModuleType

import pytest

from tests.lambda_src.burst_world import BUCKET, Consumer
from tests.lambda_src.conftest import MemoryS3


@pytest.fixture(scope="session")
def module(load_function: Callable[..., ModuleType]) -> ModuleType:
    return load_function(
        "consume",
        CHAMPION_ENDPOINT="vision-dev-champion",
        SMOKE_ENDPOINT="vision-dev-smoke",
        UPLOADS_BUCKET=BUCKET,
        RESULTS_TABLE="results",
        LINEAGE_TABLE="lineage",
        DELIVERY_STREAM="results",
        MICRO_BATCH="4",
    )


@pytest.fixture
def consumer(module: ModuleType, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch) -> Consumer:
    return Consumer(module, s3, monkeypatch)
