"""Each hosting mode, deployed: a dataset becomes a champion that answers, and a bad model is taken back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ops.models import drill, outcome, start
from ops.models.home import Home
from ops.models.pictures import of_the_champion
from ops.models.records import Records
from ops.models.traffic import Client
from tests.faults import platform as platforms
from tests.faults.world import sample_data
from tests.journeys.test_models import IMAGES, SETTINGS

pytestmark = pytest.mark.long
# The waits are as short as the quality alarm allows.
MODES: dict[str, dict[str, Any]] = {
    "serverless": {"strategy": "all_at_once", "bake_seconds": 60},
    "asynchronous": {
        "strategy": "canary",
        "instance_count": 2,
        "max_instance_count": 3,
        "step_wait_seconds": 15,
        "bake_seconds": 2,
    },
    "lambda": {"strategy": "canary", "step_wait_seconds": 40, "bake_seconds": 10},
    "multi-model": {"strategy": "canary", "instance_count": 2, "step_wait_seconds": 40, "bake_seconds": 10},
}


@dataclass(frozen=True)
class Place:
    """The deployed environment, its mode, and the first champion's run."""

    platform: platforms.Platform
    mode: str
    first: dict[str, Any]

    @property
    def home(self) -> Home:
        return self.platform.home


@pytest.fixture(scope="module", params=sorted(MODES))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The environment after a dataset has arrived in it."""
    folder, before = tmp_path_factory.mktemp("modes"), dict(os.environ)
    hosting = {"hosting": {"mode": request.param, **MODES[request.param]}}
    try:
        with platforms.deployed(folder, **{**SETTINGS, **hosting}) as platform:
            os.environ.update(platform.caller())
            dataset = sample_data(folder / "dataset", IMAGES)
            execution = start.with_folder(platform.home, dataset, start.Wish())
            yield Place(platform, request.param, outcome.watch(platform.home, execution))
    finally:
        os.environ.clear()
        os.environ.update(before)


def champion(place: Place) -> dict[str, Any]:
    found = Records(place.home).champion()
    assert found is not None
    return found


def test_a_dataset_that_arrives_becomes_a_champion_that_answers(place: Place) -> None:
    assert place.first["status"] == "SUCCEEDED", place.first
    client, now = Client(place.home), champion(place)
    answers = [client.ask(each) for each in of_the_champion(place.home, now)]
    assert answers
    assert {(each.model, each.fault) for each in answers} == {(now["model_package_arn"], "")}


def test_a_bad_model_is_taken_back_without_a_failed_request(place: Place) -> None:
    before = champion(place)
    told = drill.run(place.home, images=None, rate=4.0, yes_really=None)
    assert told["passed"], told["misses"]
    assert told["error"] == "RolledBack"
    assert told["requests"]["failed"] == 0
    assert told["requests"]["by_bad_model"] > 0
    assert champion(place)["model_package_arn"] == before["model_package_arn"]
