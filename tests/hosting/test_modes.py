"""Every hosting mode serves the same model with the same answers, and takes back one that is bad (R19)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.constructs.promotions import Bench, Promotions, deployed_statements, ring
from tests.constructs.sharing_app import synthesize_one
from tests.hosting.conftest import CLASSES, Scans, TrainedModel
from tests.hosting.plans import ASYNCHRONOUS_FOLDER, BUCKET, SETTINGS, of_mode
from tests.twin.sagemaker.conftest import Place, tidy
from tests.twin.stepfunctions.conftest import Machines

__all__ = ["tidy"]  # a fixture

pytestmark = [pytest.mark.twin, pytest.mark.delivery]
_HOMES = itertools.count(1)
# Requests name their model in these.
BY_NAME = ("multi-model", "lambda")
# A rollout that only an alarm ends: what is to happen before it may take its time.
UNTIL_IT_RINGS = {"step_wait_seconds": 250, "bake_seconds": 250}
Register = Callable[[str, str], str]


class Home:
    """An environment of one hosting mode, as deployed."""

    def __init__(self, mode: str, machines: Machines, bench: Bench, place: Place, folder: Path) -> None:
        from dataclasses import replace

        assembly = synthesize_one(folder, hosting=SETTINGS[mode])
        own = replace(
            bench.with_table(f"lineage-{next(_HOMES)}"), statements=deployed_statements(assembly, place)
        )
        self.mode, self.place = mode, place
        rollout: dict[str, Any] = {"bake_seconds": 12}
        if mode in BY_NAME:
            rollout |= {"strategy": "canary", "step_percent": 40, "step_wait_seconds": 10}
        self.promotions = Promotions(machines, place, own, rollout=rollout, **of_mode(mode))

    def made_by(self, deployment: str) -> list[str]:
        """The model and the configuration that are there once that deployment serves."""
        if self.mode == "lambda":
            return []
        return ["champion-fleet-0123abcd" if self.mode == "multi-model" else f"champion-{deployment}"]

    def ask(self, images: list[bytes]) -> list[Any]:
        """As the functions do: through whatever the mode's variables lead to."""
        from vision_runtime.asking import ask_many
        from vision_runtime.hosting import model_runtime

        variables = {
            "HOSTING_MODE": self.mode,
            "ASYNCHRONOUS_FOLDER": ASYNCHRONOUS_FOLDER,
            "LINEAGE_TABLE": self.promotions.bench.table,
            "MODELS_FOLDER": f"s3://{BUCKET}/models",
            "CHAMPION_FUNCTION": f"{self.promotions.endpoint}-model",
            "SMOKE_FUNCTION": f"{self.promotions.prefix}-smoke-model",
        }
        runtime = model_runtime(variables, self.place.client)
        return ask_many(runtime, self.promotions.endpoint, images, CLASSES)


@pytest.fixture(scope="module", params=sorted(SETTINGS))
def home(
    request: pytest.FixtureRequest,
    machines: Machines,
    bench: Bench,
    serving: Place,
    tmp_path_factory: pytest.TempPathFactory,
) -> Home:
    found = Home(request.param, machines, bench, serving, tmp_path_factory.mktemp("cdk.out"))
    if request.param == "lambda":
        request.getfixturevalue("served_by_functions")(found.promotions.prefix)
    return found


def test_the_same_hundred_images_get_the_same_answers(
    home: Home, package: Register, scans: Scans, model: TrainedModel
) -> None:
    first = package(home.promotions.endpoint, "run-a")

    done = home.promotions.promote("run-a", first)

    assert done.status == "SUCCEEDED", done
    answers = [*home.ask(scans.pixels[:50]), *(home.ask([each])[0] for each in scans.pixels[50:])]
    assert len(answers) == len(model.answers) == 100
    for answer, expected in zip(answers, model.answers, strict=True):
        assert (answer.label, answer.probabilities) == (expected["label"], expected["probabilities"])
        assert (answer.model_version, answer.run, answer.dataset) == (first, "run-a", "digits#v1")
    right = sum(answer.label == label for answer, label in zip(answers, scans.labels, strict=True))
    assert right >= 90


def test_the_next_model_takes_over(home: Home, package: Register, scans: Scans) -> None:
    here = home.promotions
    following = package(here.endpoint, "run-a2")

    done = here.promote("run-a2", following)

    assert done.status == "SUCCEEDED", done
    assert done.output["previous_model_package_arn"]
    assert {each.model_version for each in home.ask(scans.pixels[:5])} == {following}
    assert here.made() == home.made_by("run-a2")


def test_scaling_follows_what_the_mode_is_about(home: Home) -> None:
    scaling = home.place.client("application-autoscaling")
    resource = f"endpoint/{home.promotions.endpoint}/variant/primary"
    found = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)
    names = {each["PolicyName"].rpartition("champion-")[2] for each in found["ScalingPolicies"]}
    expected = {
        "real-time": ({"invocations", "latency"}, (2, 3)),
        "asynchronous": ({"backlog", "from-zero"}, (0, 3)),
    }
    assert (names, home.promotions.limits()) == expected.get(home.mode, (set(), None))


def test_a_model_that_an_alarm_rings_about_is_taken_back(home: Home, package: Register, scans: Scans) -> None:
    here = home.promotions
    before = here.champion["model_package_arn"]
    bad = package(here.endpoint, "run-b")
    here.rollout |= UNTIL_IT_RINGS
    here.renew()
    execution = here.start("run-b", bad)
    watched_by_workflow = home.mode in ("serverless", *BY_NAME)
    here.until_in(execution, "Watch" if watched_by_workflow else "LookAtEndpoint")

    if home.mode in BY_NAME:
        # The canary's share of the requests is the adapter's doing: one fleet or function serves both models.
        seen = Counter(home.ask(scans.pixels[:1])[0].model_version for _ in range(60))
        assert set(seen) == {before, bad}
        assert 8 <= seen[bad] <= 40
    ring(here.place, here.alarm)
    done = here.ended(execution)

    assert (done.status, done.error) == ("FAILED", "RolledBack"), done
    assert "quality" in done.cause
    assert home.ask(scans.pixels[:1])[0].model_version == before
    assert here.made() == home.made_by("run-a2")
    assert here.champion["model_package_arn"] == before
    assert here.deployment("run-b")["status"] == "ROLLED_BACK"
    assert here.lock == {}
    # The alarm still rings about the model that leaves: the way back does not listen to it.
    back = here.promote("back-1", package(here.endpoint, "run-c"), reason="rollback")
    assert back.status == "SUCCEEDED", back
    assert here.made() == home.made_by("back-1")
