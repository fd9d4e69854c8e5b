"""What tests of the hosting modes share: a real model, its real image, a hundred scans and the answers."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import tests.assembly
from tests.constructs.promotions import Bench, register, set_up
from tests.constructs.sharing_app import synthesize_one
from tests.hosting.plans import BUCKET, TOPICS
from tests.twin.conftest import DEV, ROOT
from tests.twin.sagemaker.conftest import Place, place, project, push
from tests.twin.stepfunctions.conftest import Machines

__all__ = ["place", "project", "tests"]

MODEL = ROOT / "model"
MODEL_PYTHON = ROOT / "build/envs/model/bin/python"
IMAGES = 100
SPEC: dict[str, Any] = json.loads((MODEL / "spec.json").read_text())
CLASSES = tuple(SPEC["classes"])
_JUDGE = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from predictor import Predictor, predictions
predictor = Predictor.load(Path(sys.argv[2]))
images = predictor.images(Path(sys.argv[3]).read_bytes())
answers = [predictions(predictor, images[at : at + 1], {})["predictions"][0] for at in range(len(images))]
Path(sys.argv[4]).write_text(json.dumps(answers))
"""


@dataclass(frozen=True)
class Scans:
    """Images as the model takes them, and the labels that people gave them."""

    pixels: list[bytes]
    labels: list[str]


@dataclass(frozen=True)
class TrainedModel:
    """A model's archive, and what it says of the scans when nothing stands between."""

    archive: bytes
    answers: list[dict[str, Any]]


def run(*command: str | Path, **variables: str) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset as teams bring it: a manifest and pictures."""
    folder = tmp_path_factory.mktemp("sample")
    run(sys.executable, MODEL / "sample_data.py", "--out", folder, "--limit", "600")
    return folder


def read(sample: Path, split: Any) -> Scans:
    """The images of a split as the platform's own preprocessing makes them."""
    from vision_runtime.images import to_model_input
    from vision_runtime.manifest import read_manifest
    from vision_runtime.spec import ModelSpec

    spec = ModelSpec.from_json(json.dumps(SPEC))
    images = read_manifest((sample / "manifest.json").read_bytes(), CLASSES).of(split)
    pixels = [to_model_input((sample / image.key).read_bytes(), spec.input) for image in images]
    return Scans(pixels, [image.label for image in images])


@pytest.fixture(scope="session")
def scans(sample: Path) -> Scans:
    """A hundred images that the model has not seen."""
    found = read(sample, "holdout")
    return Scans(found.pixels[:IMAGES], found.labels[:IMAGES])


@pytest.fixture(scope="session")
def model(sample: Path, scans: Scans, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Trained by the training program in the model's own environment."""
    if not MODEL_PYTHON.exists():
        pytest.skip("build/envs/model is missing: run make setup")
    folder = tmp_path_factory.mktemp("model")
    _write_shards(folder / "train", read(sample, "train"))
    run(MODEL_PYTHON, MODEL / "train.py", "--train", folder / "train", "--model-dir", folder / "model")
    (folder / "images").write_bytes(b"".join(scans.pixels))
    run(MODEL_PYTHON, "-c", _JUDGE, MODEL, folder / "model", folder / "images", folder / "answers.json")
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as packed:
        for name in ("model.onnx", "spec.json"):
            packed.add(folder / "model" / name, name)
    return TrainedModel(content.getvalue(), json.loads((folder / "answers.json").read_text()))


def _write_shards(folder: Path, scans: Scans) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    size = (SPEC["input"]["width"], SPEC["input"]["height"])
    with tarfile.open(folder / "shard-00000.tar", "w", format=tarfile.USTAR_FORMAT) as shard:
        for number, (pixels, label) in enumerate(zip(scans.pixels, scans.labels, strict=True)):
            picture = io.BytesIO()
            Image.frombytes("L", size, pixels).save(picture, "PNG")
            for name, content in (("png", picture.getvalue()), ("cls", str(CLASSES.index(label)).encode())):
                member = tarfile.TarInfo(f"{number:08d}.{name}")
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))


@pytest.fixture(scope="session")
def serving(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The same account, where models are served by the platform's own image."""
    context = tmp_path_factory.mktemp("image")
    for path in MODEL.iterdir():
        if path.is_file():
            (context / path.name).write_bytes(path.read_bytes())
    _surround(place)
    return replace(place, image=push(place.twin, DEV, context, "serving"))


def _surround(place: Place) -> None:
    """The bucket and the topics of asynchronous endpoints, with their role's rights."""
    place.client("s3").create_bucket(Bucket=BUCKET)
    for topic in TOPICS.values():
        place.client("sns").create_topic(Name=topic.rpartition(":")[2])
    allowed = [
        {"Effect": "Allow", "Action": "sns:Publish", "Resource": list(TOPICS.values())},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": f"arn:aws:s3:::{BUCKET}/asynchronous/*",
        },
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/models/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    place.client("iam").put_role_policy(RoleName="jobs", PolicyName="hosting", PolicyDocument=document)


@pytest.fixture(scope="session")
def machines(place: Place) -> Machines:
    return Machines(place.twin)


@pytest.fixture(scope="session")
def bench(machines: Machines, serving: Place, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return set_up(machines, serving, synthesize_one(tmp_path_factory.mktemp("cdk.out")))


@pytest.fixture(scope="session")
def served_by_functions(
    machines: Machines, serving: Place, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], None]:
    """Makes the functions that serve the models of an environment, from the package as it is deployed."""
    folder = tmp_path_factory.mktemp("function")
    archive = function_package(folder)
    serving.client("s3").upload_file(str(archive), BUCKET, "functions/serve_model.zip")
    reading = [
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{BUCKET}/models/*",
        },
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
    ]
    role = machines.role(*reading, service="lambda.amazonaws.com")

    def make(prefix: str) -> None:
        for line in ("champion", "smoke"):
            variables = {
                "MODELS_FOLDER": f"s3://{BUCKET}/models/{line}",
                "POWERTOOLS_SERVICE_NAME": f"model-{line}",
            }
            serving.client("lambda").create_function(
                FunctionName=f"{prefix}-{line}-model",
                Runtime="python3.14",
                Role=role,
                Handler="handler.handler",
                Code={"S3Bucket": BUCKET, "S3Key": "functions/serve_model.zip"},
                Environment={"Variables": variables},
                MemorySize=1769,
                Timeout=30,
            )

    return make


def function_package(folder: Path) -> Path:
    """The function's package as a zip archive, built as synthesis builds it."""
    from vision_platform.model_functions import SERVING_CODE
    from vision_platform.packaging import FunctionBundling

    also = [MODEL / name for name in SERVING_CODE]
    FunctionBundling(ROOT / "lambda_src", "serve_model", also).try_bundle(str(folder))
    return folder / "package.zip"


@pytest.fixture
def package(serving: Place, model: TrainedModel) -> Iterator[Any]:
    """Registers the model in a group; gives the package's ARN."""

    def registered(group: str, run_id: str) -> str:
        # As the training workflow lays it: models/<line>/<job>/output/model.tar.gz.
        key = f"models/champion/{group}-{run_id}/output/model.tar.gz"
        serving.client("s3").put_object(Bucket=BUCKET, Key=key, Body=model.archive)
        uri = f"s3://{BUCKET}/{key}"
        return register(serving, group, uri, run_id, "Approved")

    yield registered
