"""From endpoints to functions and back: who answers meanwhile, and what is left of the other mode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.constructs.promotions import Bench, Promotions, deployed_statements
from tests.constructs.sharing_app import synthesize_one
from tests.hosting.conftest import BUCKET, Scans
from tests.hosting.plans import SETTINGS, of_mode
from tests.hosting.test_modes import Home, Register
from tests.twin.sagemaker.conftest import Place, tidy, until
from tests.twin.stepfunctions.conftest import Machines

__all__ = ["tidy"]  # a fixture

pytestmark = [pytest.mark.twin, pytest.mark.delivery]


@pytest.fixture(scope="module")
def statements(place: Place, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the workflow may do in the two modes."""

    def of(mode: str, folder: Path) -> str:
        return deployed_statements(synthesize_one(folder, hosting=SETTINGS[mode]), place)

    return {mode: of(mode, tmp_path_factory.mktemp("cdk.out")) for mode in ("asynchronous", "lambda")}


@pytest.fixture(scope="module")
def home(
    machines: Machines,
    bench: Bench,
    serving: Place,
    tmp_path_factory: pytest.TempPathFactory,
    served_by_functions: Callable[[str], None],
) -> Home:
    found = Home("asynchronous", machines, bench, serving, tmp_path_factory.mktemp("cdk.out"))
    served_by_functions(found.promotions.prefix)
    return found


def turn(home: Home, mode: str, statements: dict[str, str]) -> Promotions:
    """Deploys the setting: the workflow as well as who asks."""
    from dataclasses import replace

    home.mode = mode
    own = replace(home.promotions.bench, statements=statements[mode])
    home.promotions.become(own, **of_mode(mode))
    return home.promotions


def endpoint(home: Home) -> dict[str, Any]:
    try:
        return home.promotions.serving
    except ClientError:
        return {}


def version(home: Home, scans: Scans) -> str:
    (answer,) = home.ask(scans.pixels[:1])
    return answer.model_version


def test_champion_goes_on_answering_and_the_endpoint_goes_with_the_next_promotion(
    home: Home, statements: dict[str, str], package: Register, scans: Scans
) -> None:
    here = home.promotions
    first, second = (package(here.endpoint, run) for run in ("run-1", "run-2"))
    assert here.promote("run-1", first).status == "SUCCEEDED"

    turn(home, "lambda", statements)
    assert version(home, scans) == first  # before anything is promoted

    done = here.promote("run-2", second)
    assert done.status == "SUCCEEDED", done
    assert done.output["endpoint_config_name"] == f"{here.endpoint}-model"
    assert done.output["previous_model_package_arn"] == first
    assert version(home, scans) == second
    until(lambda: not endpoint(home))
    assert here.made() == []
    assert here.item("LINE#champion", "TARGET")["previous_package"] == first
    alarms = home.place.client("cloudwatch").describe_alarms(AlarmNames=[f"{here.endpoint}-backlog"])
    assert alarms["MetricAlarms"] == []
    assert here.deployment("run-2")["left_behind"] == ""


def test_way_back_makes_an_endpoint_and_the_old_target_is_passed_by_afterwards(
    home: Home, statements: dict[str, str], package: Register, scans: Scans
) -> None:
    here = turn(home, "asynchronous", statements)
    third = package(here.endpoint, "run-3")
    assert here.promote("run-3", third).status == "SUCCEEDED"
    assert endpoint(home)["EndpointStatus"] == "InService"
    assert version(home, scans) == third

    turn(home, "lambda", statements)
    assert version(home, scans) == third


def test_model_that_the_function_cannot_load_gets_no_request(home: Home, package: Register) -> None:
    here = home.promotions
    broken = package(here.endpoint, "run-4")
    key = f"models/champion/{here.endpoint}-run-4/output/model.tar.gz"
    before = here.item("LINE#champion", "TARGET")
    s3 = home.place.client("s3")

    s3.put_object(Bucket=BUCKET, Key=key, Body=b"no archive")
    done = here.promote("run-4", broken)
    assert (done.status, done.error) == ("FAILED", "DeploymentFailed")
    assert "no tar.gz archive" in done.cause

    s3.delete_object(Bucket=BUCKET, Key=key)
    done = here.promote("run-4-again", broken)
    assert (done.status, done.error) == ("FAILED", "DeploymentFailed")
    assert "is not there" in done.cause
    assert here.item("LINE#champion", "TARGET") == before
    assert here.lock == {}


def test_stopped_promotion_leaves_the_target_and_frees_the_line(home: Home, package: Register) -> None:
    here = home.promotions
    before = here.item("LINE#champion", "TARGET")
    stopped = here.start("run-5", package(here.endpoint, "run-5"))
    # What has not begun yet cannot be stopped in its midst.
    until(lambda: here.states(stopped))
    here.machines.client.stop_execution(executionArn=stopped)
    here.ended(stopped)
    tidied = here.tidy(stopped)
    assert tidied.output.get("status") in ("Tidied", "NothingToTidy")
    assert here.item("LINE#champion", "TARGET") == before
    assert here.lock == {}
