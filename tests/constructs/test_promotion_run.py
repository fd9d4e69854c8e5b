"""The promotion machine in the twin: models take over, are taken back, and nothing stays behind (R20)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.constructs.promotions import QUICK_PAUSE, Bench, Promotions, ring, set_up
from tests.constructs.sharing_app import synthesize_one
from tests.twin.sagemaker.conftest import Place, place, project, tidy
from tests.twin.stepfunctions.conftest import Machines

__all__ = ["place", "project", "tidy"]  # fixtures
pytestmark = pytest.mark.twin
Make = Callable[..., Promotions]


@pytest.fixture(scope="module")
def machines(place: Place) -> Machines:
    return Machines(place.twin)


@pytest.fixture(scope="module")
def bench(machines: Machines, place: Place, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    scaling = {"instance_count": 2, "max_instance_count": 3}
    return set_up(machines, place, synthesize_one(tmp_path_factory.mktemp("cdk.out"), hosting=scaling))


@pytest.fixture
def make(machines: Machines, place: Place, bench: Bench) -> Make:
    """Make the machine of an environment, with a lineage of its own."""

    def made(**plan: Any) -> Promotions:
        return Promotions(machines, place, bench.with_table(f"lineage-{uuid.uuid4().hex[:8]}"), **plan)

    return made


def test_first_model_of_a_line_then_the_next_by_a_canary(make: Make) -> None:
    here = make(instances=2, rollout={"strategy": "canary"})
    first, second = here.package("one", name="run-a"), here.package("two", name="run-b")

    done = here.promote("run-a", first)

    assert done.status == "SUCCEEDED", done
    assert done.output["previous_model_package_arn"] is None
    assert here.serving["EndpointConfigName"] == done.output["endpoint_config_name"]
    assert here.limits() == (2, 3)
    champion = here.champion
    assert champion["model_package_arn"] == first
    assert (champion["run_id"], champion["dataset"]) == ("run-a", "digits#v1")
    assert champion["baseline_uri"] == "s3://lake/evaluations/champion/run-a/baseline.json"

    # The fleet has scaled out: the next one has its size.
    here.place.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=here.endpoint,
        DesiredWeightsAndCapacities=[{"VariantName": "primary", "DesiredInstanceCount": 3}],
    )
    done = here.promote("run-b", second)

    assert done.status == "SUCCEEDED", done
    assert done.output["previous_model_package_arn"] == first
    assert here.place.ask(here.endpoint)["model"] == "two"
    assert here.serving["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    assert here.made() == ["champion-run-b"]
    assert here.limits() == (2, 3)
    assert here.champion["previous_model_package_arn"] == first
    record = here.deployment("run-b")
    assert record["status"] == "PROMOTED"
    assert record["gsi1pk"] == "DATASET#digits#v1"
    assert record["gsi1sk"] == f"RUN#run-b#DEPLOYMENT#{record['started_at']}"
    assert here.lock == {}
    heard = here.events()
    assert [kind for kind, _ in heard] == ["Model Promoted", "Model Promoted"]
    assert heard[1][1]["previous_model_package_arn"] == first

    repeated = here.promote("run-a", first)

    assert repeated.output["repeated"] is True
    assert repeated.output["endpoint_config_name"] == f"{here.endpoint}-run-a"
    assert here.place.ask(here.endpoint)["model"] == "two"
    assert here.promote("run-a", second).error == "InvalidInput"


def test_model_that_an_alarm_takes_back(make: Make, place: Place) -> None:
    here = make(rollout={"bake_seconds": 30})
    good = here.package("good", name="run-a")
    here.promote("run-a", good)
    execution = here.start("run-b", here.package("bad", name="run-b"))
    here.until_in(execution, "LookAtEndpoint")
    assert here.limits() is None

    ring(place, here.alarm)
    done = here.ended(execution)

    assert (done.status, done.error) == ("FAILED", "RolledBack")
    assert "serves" in done.cause
    assert "quality" in done.cause
    assert here.place.ask(here.endpoint)["model"] == "good"
    assert here.made() == ["champion-run-a"]
    assert here.limits() == (1, 3)
    assert here.champion["deployment_id"] == "run-a"
    assert here.deployment("run-b")["status"] == "ROLLED_BACK"
    assert here.lock == {}
    kind, told = here.events()[-1]
    assert kind == "Model Rolled Back"
    assert told["serving_model_package_arn"] == good

    # The alarm still rings about the model that leaves: the way back does not listen to it.
    back = here.promote("back-1", here.package("older", name="run-0"), reason="rollback")

    assert back.status == "SUCCEEDED", back
    assert here.place.ask(here.endpoint)["model"] == "older"


def test_first_model_that_cannot_be_served_leaves_nothing(make: Make) -> None:
    here = make()

    done = here.promote("run-a", here.package("broken"))

    assert (done.status, done.error) == ("FAILED", "DeploymentFailed")
    assert here.made() == []
    assert here.champion == {}
    assert here.deployment("run-a")["status"] == "FAILED"
    assert [kind for kind, _ in here.events()] == ["Promotion Failed"]

    done = here.promote("run-b", here.package("works"))

    assert done.status == "SUCCEEDED", done


def test_package_that_nobody_approved_is_not_deployed(make: Make) -> None:
    here = make()
    package = here.package("one", approval="PendingManualApproval")

    done = here.promote("run-a", package)

    assert done.error == "PackageNotApproved"
    assert "approve it" in done.cause
    assert here.made() == []
    here.place.sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    assert here.promote("run-a", package).status == "SUCCEEDED"
    assert "error" not in here.deployment("run-a")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"line": "test"}, "line must be"),
        ({"deployment_id": "Run_A"}, "deployment_id must be"),
        ({"reason": "whim"}, "reason must be"),
        ({"line": "smoke"}, "model_package_arn must be"),
    ],
)
def test_input_that_makes_no_sense_is_refused_by_name(
    refusing: Promotions, change: dict[str, str], words: str
) -> None:
    asked = {
        "line": "champion",
        "deployment_id": "run-a",
        "model_package_arn": f"arn:aws:sagemaker:us-east-1:222222222222:model-package/{refusing.endpoint}/1",
        "reason": "training",
    }

    done = refusing.ended(refusing.machines.start(refusing.machine, asked | change))

    assert done.error == "InvalidInput"
    assert words in done.cause


@pytest.fixture(scope="module")
def refusing(machines: Machines, place: Place, bench: Bench) -> Promotions:
    return Promotions(machines, place, bench)


def test_two_promotions_of_a_line_take_turns(make: Make) -> None:
    here = make()
    here.promote("run-a", here.package("a"))
    packages = {name: here.package(name) for name in ("b", "c")}
    with here.changing():
        first = here.start("run-b", packages["b"])
        here.until_in(first, "WaitUntilFree")
        second = here.start("run-c", packages["c"])
        here.until_in(second, "WaitForLine")
        again = here.start("run-b", packages["b"])
        here.until_in(again, "WaitForOther")

    assert here.ended(first).status == "SUCCEEDED"
    assert here.ended(second).status == "SUCCEEDED"
    assert here.ended(again).output["repeated"] is True
    assert here.champion["deployment_id"] == "run-c"
    assert here.champion["previous_model_package_arn"] == packages["b"]
    assert here.made() == ["champion-run-c"]


def test_stopped_promotion_is_followed_to_the_end_that_sagemaker_gives_it(make: Make) -> None:
    here = make(rollout={"bake_seconds": 1})
    here.promote("run-a", here.package("a"))
    package = here.package("b")
    # Were it quick, it could be at its end before it is stopped.
    here.pause = 60
    here.renew()
    execution = here.start("run-b", package)
    here.until_in(execution, "WaitForEndpoint")
    here.machines.client.stop_execution(executionArn=execution)
    here.pause = QUICK_PAUSE
    here.renew()

    tidied = here.tidy(execution)

    assert tidied.output["status"] == "Promoted"
    assert here.champion["model_package_arn"] == package
    assert here.made() == ["champion-run-b"]
    assert here.limits() == (1, 3)
    assert here.lock == {}
    assert here.tidy(execution).output == {"status": "NothingToTidy"}


def test_promotion_stopped_before_the_endpoint_changed_is_taken_apart(make: Make, place: Place) -> None:
    here = make(patience=60)
    here.promote("run-a", here.package("a"))
    package = here.package("b")
    with here.changing():
        execution = here.start("run-b", package)
        here.until_in(execution, "WaitUntilFree")
        here.machines.client.stop_execution(executionArn=execution)

        assert here.tidy(execution).output == {"status": "Tidied"}

    assert here.deployment("run-b")["error"] == "Stopped"
    assert here.made() == ["champion-run-a"]
    assert here.events()[-1][0] == "Promotion Failed"
    # The same deployment may be tried again.
    assert here.promote("run-b", package).status == "SUCCEEDED"


def test_deployment_that_takes_too_long_is_given_up_and_can_be_gone_on_with(make: Make) -> None:
    here = make(rollout={"bake_seconds": 2})
    here.promote("run-a", here.package("a"))
    package = here.package("b")
    # One look, and no more: the first model had all the time that it needed.
    here.patience = 0
    here.renew()

    done = here.promote("run-b", package)

    assert done.error == "DeploymentTimedOut"
    here.place.settled(here.endpoint)
    assert here.promote("run-b", package).status == "SUCCEEDED"
    assert here.made() == ["champion-run-b"]


def test_smoke_line_is_small_and_has_no_champion(make: Make) -> None:
    here = make(alarm="there-is-no-such-alarm")
    smoke = f"{here.prefix}-smoke"
    for run in ("smoke-1", "smoke-2"):
        package = here.package(run, group=smoke, name=run)
        done = here.promote(run, package, line="smoke", reason="smoke")
        assert done.status == "SUCCEEDED", done

    found = here.place.sagemaker.describe_endpoint(EndpointName=smoke)
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert here.made() == ["smoke-smoke-2"]
    assert here.item("LINE#smoke", "CHAMPION") == {}


def test_package_of_another_environment_meets_the_thresholds_here(make: Make, place: Place) -> None:
    group = f"other-{uuid.uuid4().hex[:8]}-champion"
    place.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    here = make(elsewhere=f"arn:aws:sagemaker:us-east-1:222222222222:model-package/{group}/")
    weak, strong = (here.package(each, group=group, name=each) for each in ("weak", "strong"))

    refused = here.promote("pkg-1", weak, reason="package")

    assert (refused.error, refused.cause) == ("ThresholdsMissed", "accuracy 0.5 is below 0.9")
    assert here.made() == []
    assert here.item(f"MODEL#{weak}", "MODEL") == {}
    done = here.promote("pkg-2", strong, reason="package")
    assert done.status == "SUCCEEDED", done
    assert here.item(f"MODEL#{strong}", "MODEL")["run_id"] == "strong"
    assert here.champion["model_package_arn"] == strong
