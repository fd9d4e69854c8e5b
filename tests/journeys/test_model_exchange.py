"""A model trained and approved in one account serves in another, by that one's thresholds and roles (R21)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.models import promotion
from ops.models.bad_package import BadPackage
from ops.models.home import Home
from ops.models.pictures import from_folder, of_the_champion
from ops.models.records import Records
from ops.models.traffic import Client
from tests.faults.world import sample_data, wait_for
from tests.journeys import two_accounts
from tests.journeys.two_accounts import ACCOUNTS, FIRST, SECOND, TwoAccounts
from tests.twin.conftest import REGION, SERVER_PYTHON

pytestmark = pytest.mark.delivery
IMAGES = 300
# So little of it that the model goes on guessing.
WEAK = ("--set", "epochs=1", "--set", "learning-rate=0.000001")
GROUP = f"arn:aws:sagemaker:{REGION}:{ACCOUNTS[FIRST]}:model-package/vision-{FIRST}-champion"
Record = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Both accounts, the dataset of the first, and the model that the first has trained on it."""

    both: TwoAccounts
    dataset: Path
    run: Record

    @property
    def package(self) -> str:
        """The model's package."""
        return str(self.run["model_package_arn"])

    @property
    def home(self) -> Home:
        """The second environment, as its operator has it."""
        return self.both.home(SECOND)

    def answers(self) -> set[str]:
        """Which models answer the second environment's API."""
        answers = [Client(self.home).ask(each) for each in from_folder(self.dataset)[:4]]
        assert not [each.fault for each in answers if each.fault]
        return {each.model for each in answers}

    def serves(self, package: str) -> None:
        """The second environment's champion is this one, on record and to callers."""
        champion = Records(self.home).champion()
        assert champion is not None and champion["model_package_arn"] == package
        assert self.answers() == {package}

    def failed(self, deployment: str, error: str) -> str:
        """A deployment that has failed so is on record, and was announced; answers its cause."""
        found = Records(self.home).item(f"DEPLOYMENT#champion#{deployment}", "DEPLOYMENT")
        assert found is not None and (found["status"], found["error"]) == ("FAILED", error)
        assert self.announced(deployment, "Promotion Failed")["error"] == error
        return str(found["cause"])

    def announced(self, deployment: str, kind: str) -> Record:
        """What the second environment's bus has told of a deployment."""

        def told() -> Record | None:
            of_it = [e for e in self.both.events(SECOND) if e["detail"].get("deployment_id") == deployment]
            return next((e["detail"] for e in of_it if e["detail-type"] == kind), None)

        return wait_for(told, f"{kind} of {deployment}", 15)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Both environments, after a dataset has arrived in the first."""
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    folder = tmp_path_factory.mktemp("exchange")
    dataset = sample_data(folder / "dataset", IMAGES)
    with two_accounts.deployed(folder) as both, pytest.MonkeyPatch.context() as patch:
        for name, value in both.caller().items():
            patch.setenv(name, value)
        told = both.ops("train", "--dataset", str(dataset), "--environment", FIRST, "--watch", "--json")
        yield Place(both, dataset, well(told))


def well(done: subprocess.CompletedProcess[str]) -> Record:
    """What a command has told that went well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def badly(done: subprocess.CompletedProcess[str]) -> Record:
    """What a command has told that did what it should, which ended badly."""
    assert done.returncode == 1 and done.stdout, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_package_that_nobody_has_approved_is_refused_by_command_and_workflow(place: Place) -> None:
    registry = place.both.root(FIRST, "sagemaker")
    registry.update_model_package(ModelPackageArn=place.package, ModelApprovalStatus="PendingManualApproval")
    newest = place.both.ops("promote", "--to", SECOND, "--yes")
    assert newest.returncode == 1 and "has no approved package" in newest.stderr
    named = place.both.ops("promote", "--to", SECOND, "--package", place.package, "--yes")
    assert named.returncode == 1
    assert "PendingManualApproval, and must be Approved: approve it in the model registry" in named.stderr
    execution = promotion.start(place.home, place.package, reason="package", deployment="unapproved")
    assert promotion.finish(place.home, execution)["error"] == "PackageNotApproved"
    assert "approve it in the model registry" in place.failed("unapproved", "PackageNotApproved")


def test_packages_of_an_environment_that_does_not_share_are_refused(place: Place) -> None:
    stranger = GROUP.replace(ACCOUNTS[FIRST], "222222222222").replace(FIRST, "dev") + "/1"
    done = place.both.ops("promote", "--to", SECOND, "--package", stranger, "--yes")
    assert done.returncode == 1
    assert f"{SECOND} promotes " in done.stderr and "models_from" in done.stderr
    execution = promotion.start(place.home, stranger, reason="package", deployment="stranger")
    told = promotion.finish(place.home, execution)
    assert told["error"] == "InvalidInput" and f" or {GROUP}/; it is {stranger}" in told["cause"]
    assert place.announced("stranger", "Promotion Failed")["error"] == "InvalidInput"
    # The other way round nothing is shared either.
    theirs = GROUP.replace(ACCOUNTS[FIRST], ACCOUNTS[SECOND]).replace(FIRST, SECOND) + "/1"
    done = place.both.ops("promote", "--to", FIRST, "--package", theirs, "--yes")
    assert done.returncode == 1 and f"{FIRST} promotes {GROUP}/*; " in done.stderr


def test_an_approved_package_serves_in_the_second_account(place: Place) -> None:
    both = place.both
    both.root(FIRST, "sagemaker").update_model_package(
        ModelPackageArn=place.package, ModelApprovalStatus="Approved"
    )
    told = well(both.ops("promote", "--to", SECOND, "--yes", "--json"))
    assert told["model_package_arn"] == told["serving_model_package_arn"] == place.package
    place.serves(place.package)
    promoted = place.announced(told["deployment_id"], "Model Promoted")
    assert (promoted["model_package_arn"], promoted["environment"]) == (place.package, f"vision-{SECOND}")

    # The image is this account's own, the model is the first one's, where it lies.
    config = both.root(SECOND, "sagemaker").describe_endpoint(EndpointName=f"vision-{SECOND}-champion")
    model = both.root(SECOND, "sagemaker").describe_model(ModelName=config["EndpointConfigName"])
    assert model["PrimaryContainer"]["Image"].startswith(f"{ACCOUNTS[SECOND]}.dkr.ecr.")
    assert model["PrimaryContainer"]["ModelDataUrl"].startswith(f"s3://{both.artifacts}/models/champion/")

    # Each by its own role, and what the first account grants it.
    key = f"arn:aws:kms:{REGION}:{ACCOUNTS[FIRST]}:key/"
    assert both.uses("promotion", "sagemaker:DescribeModelPackage", place.package)
    for kind, what in (("gate", "evaluations"), ("hosting", "models")):
        assert both.uses(kind, "s3:GetObject", f"arn:aws:s3:::{both.artifacts}/{what}/champion/")
        assert both.uses(kind, "kms:Decrypt", key)


def test_lineage_of_the_second_account_names_the_package_of_the_first(place: Place) -> None:
    tree = well(place.both.ops("lineage", "show", place.package, "--environment", SECOND, "--json"))
    dataset = "#".join(place.run["dataset"][name] for name in ("name", "version"))
    assert (tree["kind"], tree["name"]) == ("dataset", dataset)
    (run,) = tree["children"]
    (model,) = run["children"]
    assert (run["name"], model["name"]) == (place.run["run_id"], place.package)
    (deployment,) = [each for each in model["children"] if each["kind"] == "deployment"]
    assert (deployment["status"], deployment["model_package_arn"]) == ("PROMOTED", place.package)
    predictions = [each["name"] for each in model["children"] if each["kind"] == "prediction"]
    assert predictions
    of_one = well(place.both.ops("lineage", "show", predictions[0], "--environment", SECOND, "--json"))
    assert (of_one["name"], of_one["children"][0]["children"][0]["name"]) == (dataset, place.package)


def test_the_second_environments_own_thresholds_decide(place: Place) -> None:
    """Also where it trains for itself: the model of the first account is evaluated beside its own."""
    both = place.both
    its_own = both.start_ops(
        "train", "--dataset", str(place.dataset), "--environment", SECOND, "--run-id", "weak", *WEAK,
        "--watch", "--json",
    )  # fmt: skip
    weak = well(both.ops("train", "--environment", FIRST, "--run-id", "weak", *WEAK, "--watch", "--json"))
    told = badly(both.ops("promote", "--to", SECOND, "--yes", "--json"))
    assert (told["error"], told["model_package_arn"]) == ("ThresholdsMissed", weak["model_package_arn"])
    assert "accuracy" in place.failed(told["deployment_id"], "ThresholdsMissed")

    refused = badly(its_own())
    assert refused["error"] == "GateRejected" and "accuracy" in refused["cause"]
    evaluated = Records(place.home).item("RUN#weak", "EVALUATION")
    assert evaluated is not None and evaluated["champion"] == place.package
    assert both.uses("evaluation", "s3:GetObject", f"arn:aws:s3:::{both.artifacts}/models/champion/")
    place.serves(place.package)


def test_the_second_account_goes_back_to_the_model_before(place: Place) -> None:
    both = place.both
    following = well(both.ops("train", "--environment", FIRST, "--run-id", "following", "--watch", "--json"))[
        "model_package_arn"
    ]
    told = well(both.ops("promote", "--to", SECOND, "--yes", "--json"))
    assert told["previous_model_package_arn"] == place.package
    place.serves(following)
    told = well(both.ops("rollback", "--model", "--environment", SECOND, "--yes", "--json"))
    assert told["previous_model_package_arn"] == following
    place.serves(place.package)
    assert place.announced(told["deployment_id"], "Model Promoted")["reason"] == "rollback"


def test_nothing_was_denied_so_far(place: Place) -> None:
    assert place.both.denied() == []


@pytest.mark.parametrize(
    ("taken", "role", "action"),
    [
        ("without_the_registry", "promotion", "sagemaker:DescribeModelPackage"),
        ("without_the_key", "gate", "kms:Decrypt"),
        ("without_the_models", "hosting", "s3:GetObject"),
    ],
)
def test_without_a_grant_the_promotion_is_denied_and_the_champion_serves_on(
    place: Place, taken: str, role: str, action: str
) -> None:
    both, before = place.both, len(place.both.denied())
    package = f"{GROUP}/3"
    grant: AbstractContextManager[None] = getattr(both, taken)()
    with grant:
        told = badly(both.ops("promote", "--to", SECOND, "--package", package, "--yes", "--json"))
    cause = place.failed(told["deployment_id"], told["error"])
    assert "AccessDenied" in cause or "not authorized" in cause
    assert told["serving_model_package_arn"] == place.package
    place.serves(place.package)
    refused = both.denied()[before:]
    assert {each["action"] for each in refused} == {action}
    assert {each["principal"].split("/")[1] for each in refused} == {f"vision-{SECOND}-{role}"}
    # Nothing of it stays behind: with the grant, it goes.
    models = both.root(SECOND, "sagemaker").list_models(NameContains=told["deployment_id"])["Models"]
    assert models == []


def test_a_drill_spoils_a_copy_in_the_second_account(place: Place) -> None:
    """Nothing is promoted here: tests/journeys/test_models.py goes through the whole drill."""
    champion = Records(place.home).champion()
    assert champion is not None
    assert of_the_champion(place.home, champion), "the pictures lie in the first account"
    with BadPackage(place.home, champion, "drill-1") as bad:
        made = place.both.root(SECOND, "sagemaker").describe_model_package(ModelPackageName=bad.arn)
    (container,) = made["InferenceSpecification"]["Containers"]
    assert container["Image"].startswith(f"{ACCOUNTS[SECOND]}.dkr.ecr.")
    assert container["ModelDataUrl"].startswith(f"s3://{place.home.artifacts}/models/champion/drill-1/")
    assert bad.left == []


def test_with_its_grants_back_the_same_package_serves(place: Place) -> None:
    well(place.both.ops("promote", "--to", SECOND, "--package", f"{GROUP}/3", "--yes", "--json"))
    place.serves(f"{GROUP}/3")
