"""Each hosting mode, deployed: a dataset becomes a champion that answers, and a bad model is taken back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.models import drill, outcome, promotion, start
from ops.models.home import Home
from ops.models.pictures import of_the_champion
from ops.models.records import Records
from ops.models.traffic import Client
from ops.status import endpoints, functions
from tests.faults import platform as platforms
from tests.faults.world import sample_data
from tests.journeys.test_models import IMAGES, SETTINGS
from tests.twin.conftest import DEV, ROOT, TOOLING

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


def test_operators_see_who_serves_and_turn_the_model_back(place: Place) -> None:
    if place.mode != "lambda":
        pytest.skip("endpoints are seen and turned back in tests/journeys/test_models.py")
    home, before = place.home, champion(place)
    shown = functions(home.client("lambda"), f"{home.prefix}-")
    assert shown == [
        {"name": f"vision-dev-{line}-model", "status": "Active"} for line in ("champion", "smoke")
    ]
    again = promotion.start(
        home, before["model_package_arn"], reason="package", deployment=promotion.new_id("again")
    )
    assert promotion.finish(home, again)["status"] == "SUCCEEDED"
    told = promotion.run(home, promotion.plan_back(home), reason="rollback", yes=True)
    assert told["status"] == "SUCCEEDED"
    target = Records(home).target()
    assert target is not None
    assert (target["share"], target["deployment_id"]) == (100, champion(place)["deployment_id"])
    client = Client(home)
    answers = [client.ask(each) for each in of_the_champion(home, before)[:3]]
    assert {(each.model, each.fault) for each in answers} == {(before["model_package_arn"], "")}


def test_a_bad_model_is_taken_back_without_a_failed_request(place: Place) -> None:
    before = champion(place)
    if place.mode == "asynchronous":
        # As when a request has just brought the endpoint back from zero: that is no reason to mend anything.
        place.home.client("cloudwatch").set_alarm_state(
            AlarmName=f"{place.home.endpoint()}-backlog", StateValue="ALARM", StateReason="a request waits"
        )
    told = drill.run(place.home, images=None, rate=4.0, yes_really=None)
    assert told["passed"], told["misses"]
    assert told["error"] == "RolledBack"
    assert told["requests"]["failed"] == 0
    assert told["requests"]["by_bad_model"] > 0
    assert champion(place)["model_package_arn"] == before["model_package_arn"]


def test_smoke_test_proves_the_environment(place: Place, tmp_path: Path) -> None:
    if place.mode != "lambda":
        pytest.skip("with endpoints it runs in every delivery")
    done = subprocess.run(
        [sys.executable, "-m", "smoke_tests", "--output", str(tmp_path / "report")],
        cwd=ROOT,
        env=_pipelines_build(place),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]


def test_change_of_the_mode_is_a_deployment_and_a_promotion(place: Place, tmp_path: Path) -> None:
    if place.mode != "lambda":
        pytest.skip("endpoints are updated or replaced by the next promotion: tests/hosting")
    package = champion(place)["model_package_arn"]
    real_time = {"hosting": {"mode": "real-time", **MODES["asynchronous"]}}

    there = platforms.deploy_again(place.platform, tmp_path / "there", **{**SETTINGS, **real_time})
    assert functions(there.home.client("lambda"), f"{there.home.prefix}-") == []
    assert _promoted(there.home, package)
    assert _answers(there.home) == {(package, "")}

    hosting = {"hosting": {"mode": place.mode, **MODES[place.mode]}}
    back = platforms.deploy_again(there, tmp_path / "back", **{**SETTINGS, **hosting})
    # Before anything is promoted: the functions ask for the champion on record.
    assert _answers(back.home) == {(package, "")}
    assert _promoted(back.home, package)
    left = endpoints(back.home.client("sagemaker"), f"{back.home.prefix}-")
    assert [each for each in left if each["status"] != "Deleting"] == []
    assert _answers(back.home) == {(package, "")}


def _promoted(home: Home, package: str) -> bool:
    """Whether a person's promotion succeeds; alarms may still ring about the drill's model."""
    execution = promotion.start(home, package, reason="rollback", deployment=promotion.new_id("again"))
    return promotion.finish(home, execution)["status"] == "SUCCEEDED"


def _answers(home: Home) -> set[tuple[str, str]]:
    """Who answers a few pictures, and with which fault."""
    now, client = Records(home).champion(), Client(home)
    assert now is not None
    return {(each.model, each.fault) for each in map(client.ask, of_the_champion(home, now)[:3])}


def _pipelines_build(place: Place) -> dict[str, str]:
    """The variables that the pipeline's smoke step has, with the credentials of its role."""
    twin, home = place.platform.twin, place.home
    iam, name = twin.client("iam", TOOLING), "vision-delivery-dev-smoke"
    smoke = f"arn:aws:iam::{DEV}:role/vision-dev-smoke"
    trust = {"Effect": "Allow", "Principal": {"AWS": TOOLING}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    taking = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": smoke}
    iam.put_role_policy(
        RoleName=name,
        PolicyName="take-the-smoke-role",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [taking]}),
    )
    taken = twin.client("sts", TOOLING).assume_role(RoleArn=role, RoleSessionName="build")["Credentials"]
    found = {
        key: value
        for stack in ("data", "training", "promotion", "inference")
        for key, value in platforms.outputs(place.platform, stack).items()
    }
    return {
        **place.platform.caller(),
        "AWS_ACCESS_KEY_ID": taken["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": taken["SecretAccessKey"],
        "AWS_SESSION_TOKEN": taken["SessionToken"],
        "ENVIRONMENT": "dev",
        "SMOKE_ROLE_ARN": smoke,
        "API_URL": found["ApiUrl"],
        "STATE_MACHINE_ARN": home.machine("training"),
        "PROMOTION_MACHINE_ARN": home.machine("promotion"),
        "DATASETS_BUCKET": found["DatasetsBucket"],
        "ARTIFACTS_BUCKET": found["ArtifactsBucket"],
        "UPLOADS_BUCKET": found["UploadsBucket"],
        "LINEAGE_TABLE": found["LineageTableName"],
        "SMOKE_ENDPOINT_NAME": home.endpoint("smoke"),
        "SMOKE_MODEL_PACKAGE_GROUP": home.endpoint("smoke"),
        "SMOKE_MODEL_FUNCTION": home.function("smoke"),
        "PREDICT_LOG_GROUP": found["PredictLogGroup"],
        "WORKFLOW_LOG_GROUP": f"/aws/vendedlogs/states/{home.prefix}-training",
        "TRAINING_INSTANCE_TYPE": home.environment.settings["training"]["instance_type"],
        **dict.fromkeys(("TRAINING_USD_AN_HOUR", "EVALUATION_USD_AN_HOUR", "HOSTING_USD_AN_HOUR"), "0.1"),
        "REQUEST_USD": "0.00001",
        "SMOKE_MIN_ACCURACY": "0.9",
    }
