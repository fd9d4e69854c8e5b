"""Promotion and rollback of models by command, and the drill's refusals and its bad model."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.models import promotion
from ops.models.bad_model import CannotSpoil, spoil, spoil_archive
from ops.models.home import Home
from tests.ops.conftest import DEV, ROOT, Twin

pytestmark = pytest.mark.twin
Command = Callable[..., Any]
MODEL_PYTHON = ROOT / "build/envs/model/bin/python"
GROUP = "vision-dev-champion"


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


def test_another_accounts_package_is_taken_as_it_is_named(home: Home, registry: list[str]) -> None:
    elsewhere = registry[0].replace(DEV, "333333333333")
    assert promotion.plan(home, elsewhere).package == elsewhere
    with pytest.raises(Exception, match="is not there, and must be Approved"):
        promotion.plan(home, registry[0][:-1] + "99")


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
)
def test_what_cannot_be_spoiled_is_said(data: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(CannotSpoil, match=words):
        spoil_archive(data)
