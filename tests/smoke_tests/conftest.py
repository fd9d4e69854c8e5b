"""Fixtures: a deployed environment in memory, its API on a real port, and smoke runs through both."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smoke_tests import budget, dataset, leftovers, lineage, logs, metrics, plan, steps, traces
from smoke_tests import context as contexts
from smoke_tests.api import Api
from smoke_tests.budget import Budget
from smoke_tests.context import Context
from smoke_tests.dataset import Dataset
from smoke_tests.journal import Journal
from smoke_tests.result import Result
from smoke_tests.settings import Settings
from tests.smoke_tests.fake_api import FakeApi
from tests.smoke_tests.watched import FUNCTION_LOG, WORKFLOW_LOG, FakeSdk
from tests.smoke_tests.world import (
    ACCOUNT,
    ARTIFACTS,
    DATASETS,
    GROUP,
    PROMOTION,
    REGION,
    SMOKE,
    STATE_MACHINE,
    UPLOADS,
    World,
)

RUN_ID = "smoke-261122223000-abcd"
TINY_DATA = Path(__file__).parent / "tiny_data.py"


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The sample data of every test, made once by the script that stands in for the model team's."""
    return dataset.make(tmp_path_factory.mktemp("tiny"), 100, script=TINY_DATA, budget=Budget(60))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tiny_data: Dataset) -> None:
    """Waits that are right for AWS are too long for an environment in memory."""
    monkeypatch.setattr(steps, "make_sample_data", lambda run, folder: tiny_data)
    monkeypatch.setattr(budget, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(lineage, "_SETTLES_WITHIN", 0.1)
    for slow in (leftovers, logs, metrics, traces):
        monkeypatch.setattr(slow, "SETTLES_WITHIN", 0.1)
    monkeypatch.setattr(contexts, "Sdk", FakeSdk)


@pytest.fixture
def environment() -> dict[str, str]:
    """The variables that the pipeline's smoke step gets."""
    return {
        "ENVIRONMENT": "dev",
        "SMOKE_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/vision-dev-smoke",
        "API_URL": "https://abc123.execute-api.us-east-1.amazonaws.com/v/",
        "STATE_MACHINE_ARN": STATE_MACHINE,
        "PROMOTION_MACHINE_ARN": PROMOTION,
        "DATASETS_BUCKET": DATASETS,
        "ARTIFACTS_BUCKET": ARTIFACTS,
        "UPLOADS_BUCKET": UPLOADS,
        "LINEAGE_TABLE": "lineage",
        "SMOKE_ENDPOINT_NAME": SMOKE,
        "SMOKE_MODEL_PACKAGE_GROUP": GROUP,
        "PREDICT_LOG_GROUP": FUNCTION_LOG,
        "WORKFLOW_LOG_GROUP": WORKFLOW_LOG,
        "TRAINING_INSTANCE_TYPE": "ml.c7i.xlarge",
        "TRAINING_USD_AN_HOUR": "0.22",
        "EVALUATION_USD_AN_HOUR": "0.11",
        "HOSTING_USD_AN_HOUR": "0.11",
        "REQUEST_USD": "0.00000772",
    }


@pytest.fixture
def world() -> World:
    """An account with a champion and nothing of a smoke run."""
    return World()


@pytest.fixture
def api(world: World) -> FakeApi:
    """The environment's API."""
    return FakeApi(world)


@pytest.fixture
def base_url(api: FakeApi) -> Iterator[str]:
    """The API's address while the test lasts."""
    server, url = api.serve()
    yield url
    server.shutdown()
    server.server_close()


@dataclass
class Finished:
    """A run that ended, with what it printed."""

    result: Result
    printed: str

    def status(self, name: str) -> str:
        return str(next(check.status for check in self.result.checks if check.name == name))

    def detail(self, name: str) -> str:
        return next(check.detail for check in self.result.checks if check.name == name)


@pytest.fixture
def context(world: World, environment: dict[str, str], base_url: str, quick: None) -> Callable[..., Context]:
    """Makes the context of a run; arguments are environment variables to change."""

    def make(*, seconds: float = 60, reserve: float = 20, **variables: str) -> Context:
        settings = Settings.from_environment(environment | {"API_URL": base_url} | variables)
        aws, time = world.aws(), Budget(seconds, reserve=reserve)
        return Context(
            settings=settings,
            aws=aws,
            api=Api(settings.api_url, aws.credentials, REGION, time),
            journal=Journal(plan.catalogue(), stream=io.StringIO()),
            budget=time,
            run_id=RUN_ID,
            sample_data=TINY_DATA,
        )

    return make


@pytest.fixture
def smoke(context: Callable[..., Context]) -> Callable[..., Finished]:
    """Runs the whole plan."""

    def run(*, seconds: float = 60, reserve: float = 20, **variables: str) -> Finished:
        made = context(seconds=seconds, reserve=reserve, **variables)
        plan.execute(made)
        journal = made.journal
        result = Result(
            made.settings, made.run_id, journal.started_at, journal.elapsed(), journal.checks, made.evidence
        )
        return Finished(result, journal._stream.getvalue())  # type: ignore[attr-defined]

    return run
