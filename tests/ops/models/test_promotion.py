"""Promotion and rollback of models by command, and the drill's refusals and its bad model."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops.access import Access, NoAccess
from ops.deployment import Place
from ops.faults import OperatorFault
from ops.models import promotion
from ops.models.bad_model import CannotSpoil, spoil, spoil_archive
from ops.models.home import Home
from tests.ops.conftest import DEV, ROOT, Twin

pytestmark = pytest.mark.twin
Command = Callable[..., Any]
MODEL_PYTHON = ROOT / "build/envs/model/bin/python"
GROUP = "vision-dev-champion"


class NoAccessTo(Access):
    """The credentials of a person who has none for the account of one environment."""

    def __init__(self, environment: str, given: Access) -> None:
        self._closed, self._given = environment, given

    def session(self, place: Place) -> Any:
        if place.name == self._closed:
            raise NoAccess(f"{place}: no credentials")
        return self._given.session(place)

    def client(self, place: Place, service: str) -> Any:
        self.session(place)
        return self._given.client(place, service)


@pytest.fixture(scope="module")
def registry(deployed: Twin) -> list[str]:
    """Three packages: approved, approved, and a drill's, oldest first."""
    api = deployed.client("sagemaker", DEV)
    api.create_model_package_group(ModelPackageGroupName=GROUP)
    image = f"{DEV}.dkr.ecr.us-east-1.amazonaws.com/serving:1"
    return [
        api.create_model_package(
            ModelPackageGroupName=GROUP,
            ModelPackageDescription=description,
            ModelApprovalStatus="Approved",
            InferenceSpecification={
                "Containers": [{"Image": image, "ModelDataUrl": "s3://artifacts/model.tar.gz"}],
                "SupportedContentTypes": ["application/octet-stream"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )["ModelPackageArn"]
        for description in ("Run one", "Run two", "Drill drill-1: deliberately bad")
    ]


def test_the_newest_approved_package_is_promoted_and_none_of_a_drill(
    registry: list[str], home: Home, write: Callable[..., None], command: Command
) -> None:
    first, second, _ = registry
    write("LINE#champion", "CHAMPION", model_package_arn=first)
    assert promotion.plan(home, None).package == second
    done = command("promote", "--to", "dev")
    assert done.exit_code == 3
    assert "--yes" in done.stderr
    assert f"to   {second}" in done.stdout, "what it would do is shown before it asks"

    # The stand-in refuses what a person has chosen.
    done = command("promote", "--to", "dev", "--yes", "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (told["error"], told["cause"]) == ("RolledBack", "the quality alarm went off")
    assert told["serving_model_package_arn"] == first
    shown = command("watch", told["execution_arn"])
    assert "not promoted: RolledBack" in shown.stdout

    write("LINE#champion", "CHAMPION", model_package_arn=second)
    done = command("promote", "--to", "dev", "--yes")
    assert "serves the newest approved package of vision-dev-champion already" in done.stderr


def test_a_model_goes_back_to_the_one_before(
    registry: list[str], home: Home, write: Callable[..., None], command: Command
) -> None:
    first, second, _ = registry
    write("LINE#champion", "CHAMPION", model_package_arn=second)
    done = command("rollback", "--model", "--yes")
    assert done.exit_code == 0, done.stderr
    assert f"vision-dev-champion serves {first}" in done.stdout
    assert promotion.serving(home) == first

    done = command("rollback", "--model", "--yes")
    assert done.exit_code == 1
    assert f"no approved package before {first}" in done.stderr
    write("LINE#champion", "CHAMPION", model_package_arn=first, previous_model_package_arn=second)
    assert promotion.plan_back(home).package == second


def test_only_packages_of_the_environment_and_of_its_source_are_promoted(
    home: Home, registry: list[str]
) -> None:
    with pytest.raises(OperatorFault, match="is not there, and must be Approved"):
        promotion.plan(home, registry[0][:-1] + "99")
    elsewhere = registry[0].replace(DEV, "333333333333").replace("-dev-", "-staging-")
    with pytest.raises(OperatorFault, match=r"dev promotes arn:\S+/vision-dev-champion/\*; .*models_from"):
        promotion.plan(home, elsewhere)
    with pytest.raises(OperatorFault, match="give a model package's ARN"):
        promotion.plan(home, "vision-dev-champion")


def test_a_package_that_nobody_has_approved_is_refused_with_the_cure(
    home: Home, deployed: Twin, registry: list[str]
) -> None:
    api = deployed.client("sagemaker", DEV)
    api.update_model_package(ModelPackageArn=registry[0], ModelApprovalStatus="PendingManualApproval")
    try:
        with pytest.raises(
            OperatorFault, match=r"PendingManualApproval, and must be Approved: approve it in"
        ):
            promotion.plan(home, registry[0])
    finally:
        api.update_model_package(ModelPackageArn=registry[0], ModelApprovalStatus="Approved")


@pytest.fixture
def taking(home: Home) -> Home:
    """Dev, which takes its models of staging: an environment whose account these credentials may not ask."""
    settings = {**home.environment.settings, "models_from": "staging"}
    environment = replace(home.environment, settings=settings)
    return replace(home, environment=environment, access=NoAccessTo("staging", home.access))


def test_the_way_back_needs_no_credentials_of_the_account_that_a_model_came_from(
    taking: Home, registry: list[str], write: Callable[..., None]
) -> None:
    elsewhere = "arn:aws:sagemaker:us-east-1:333333333333:model-package/vision-staging-champion/"
    assert promotion.plan(taking, f"{elsewhere}3").package == f"{elsewhere}3", "the workflow asks for itself"
    write(
        "LINE#champion",
        "CHAMPION",
        model_package_arn=f"{elsewhere}2",
        previous_model_package_arn=f"{elsewhere}1",
    )
    assert promotion.plan_back(taking).package == f"{elsewhere}1"
    # What served before is nobody's whose packages are promoted here: the newest before the present one is.
    foreign = elsewhere.replace("staging", "test")
    write(
        "LINE#champion", "CHAMPION", model_package_arn=registry[1], previous_model_package_arn=f"{foreign}1"
    )
    assert promotion.plan_back(taking).package == registry[0]


def test_a_drill_wants_a_protected_environment_by_name(command: Command) -> None:
    done = command("drill", "rollback", "--environment", "prod")
    assert done.exit_code == 3
    assert "--yes-really prod" in done.stderr


def test_a_drill_wants_a_champion_and_an_endpoint(
    registry: list[str], home: Home, write: Callable[..., None], command: Command
) -> None:
    write("LINE#champion", "CHAMPION", model_package_arn=registry[0])
    done = command("drill", "rollback")
    assert done.exit_code == 1
    assert "has no endpoint vision-dev-champion" in done.stderr


# Two layers with weights; the last one's come through a Transpose, and its bias is a node of its own.
MAKE = """
import sys, numpy as np, onnx
from onnx import helper as h, numpy_helper as n, TensorProto as T
r = np.random.default_rng(1)
w = lambda name, *shape: n.from_array(r.normal(size=shape).astype('float32') * 9, name)
graph = h.make_graph(
    [
        h.make_node('Gemm', ['x', 'w1', 'b1'], ['a']),
        h.make_node('Relu', ['a'], ['r']),
        h.make_node('Transpose', ['w2'], ['t'], perm=[1, 0]),
        h.make_node('MatMul', ['r', 't'], ['m']),
        h.make_node('Add', ['m', 'b2'], ['y']),
    ],
    'g',
    [h.make_tensor_value_info('x', T.FLOAT, [None, 4])],
    [h.make_tensor_value_info('y', T.FLOAT, [None, 3])],
    [w('w1', 4, 5), w('b1', 5), w('w2', 3, 5), w('b2', 3)],
)
model = h.make_model(graph, opset_imports=[h.make_opsetid('', 17)])
model.ir_version = 8
onnx.checker.check_model(model)
sys.stdout.buffer.write(model.SerializeToString())
"""
ASK = """
import sys, json, numpy as np, onnx, onnxruntime as o
data = sys.stdin.buffer.read()
onnx.checker.check_model(onnx.load_from_string(data))
x = np.random.default_rng(2).normal(size=(6, 4)).astype('float32')
print(json.dumps(o.InferenceSession(data).run(None, {'x': x})[0].tolist()))
"""


def model_python(code: str, given: bytes = b"") -> bytes:
    done = subprocess.run([MODEL_PYTHON, "-c", code], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_a_spoiled_model_loads_and_only_guesses() -> None:
    if not MODEL_PYTHON.exists():
        pytest.skip("build/envs/model is missing: run make setup")
    good = model_python(MAKE)
    bad = spoil(good)
    assert len(bad) == len(good) and bad != good
    assert len({json.dumps(row) for row in json.loads(model_python(ASK, good))}) == 6
    assert json.loads(model_python(ASK, bad)) == [[0.0, 0.0, 0.0]] * 6


def archive(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no archive", "is no tar archive"),
        (archive(spec=b"{}"), "holds no .onnx file"),
        (archive(**{"model.onnx": b"\xff\xff\xff"}), "is no ONNX file"),
        (archive(**{"model.onnx": b""}), "has no Gemm, MatMul, Conv with weights"),
    ],
    # Archives hold the time at which they were made, which must not get into the names of tests.
    ids=["no archive", "no model", "no ONNX", "no weights"],
)
def test_what_cannot_be_spoiled_is_said(data: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(CannotSpoil, match=words):
        spoil_archive(data)
