"""Another model is plugged in by two files and goes the whole way: trained, evaluated, served (R18).

Nothing else is touched: the platform's part of the folder is as it is, and the sample's own files are gone.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shards import read_shards
from spec import read_spec

from tests.model import jobs
from tests.model.conftest import MODEL
from tests.model.second_model.pictures import write_pictures

# Processes of their own, for seconds each.
pytestmark = pytest.mark.slow

SECOND = Path(__file__).parent / "second_model"
OF_THE_SAMPLE = ("contract.py", "spec.json", "network.py", "augment.py", "sample_data.py")


def plug_in(folder: Path) -> Path:
    """The model's folder with the second model in the sample's place."""
    shutil.copytree(MODEL, folder, ignore=shutil.ignore_patterns("__pycache__", *OF_THE_SAMPLE))
    for name in ("contract.py", "spec.json"):
        shutil.copy(SECOND / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plug_in(tmp_path_factory.mktemp("second") / "model")


@pytest.fixture(scope="module")
def holdout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("holdout") / "shards", 20, seed=6)


@pytest.fixture(scope="module")
def model(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    shards = write_pictures(folder / "train", 40)
    hyperparameters = ["--epochs", "10", "--batch-size", "20", "--learning-rate", "0.05", "--momentum", "0.8"]
    places = ["--train", str(shards), "--model-dir", str(folder / "model")]
    job = jobs.start([*places, *hyperparameters], folder / "log", code=code)
    assert job.wait() == 0, job.said()
    assert "model=shapes training=108 " in job.said()
    return folder / "model"


def test_it_is_evaluated_by_its_own_classes(code: Path, model: Path, holdout: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        for path in model.iterdir():
            archive.add(path, path.name)
    places = ["--model", tmp_path, "--holdout", holdout, "--output", tmp_path / "output", "--run", "run-1"]
    subprocess.run([sys.executable, code / "evaluate.py", *places], check=True, capture_output=True)
    evaluation = json.loads((tmp_path / "output" / "evaluation.json").read_text())
    assert evaluation["model"] == "shapes"
    assert evaluation["count"] == 60
    assert list(evaluation["per_class"]) == ["disc", "cross", "stripes"]
    assert evaluation["accuracy"] >= 0.95


@pytest.fixture
def server(code: Path, model: Path) -> Iterator[http.client.HTTPConnection]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"MODEL_DIR": str(model), "SAGEMAKER_BIND_TO_PORT": str(port)}
    process = subprocess.Popen([sys.executable, code / "serve.py"], env=environment)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        for _ in range(200):
            try:
                connection.connect()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield connection
    finally:
        connection.close()
        process.terminate()
        process.wait()


def test_it_is_served_with_its_own_labels(
    server: http.client.HTTPConnection, code: Path, holdout: Path
) -> None:
    pictures = read_shards(holdout, read_spec(code / "spec.json"))
    server.request(
        "POST", "/invocations", pictures.images[:20].tobytes(), {"Content-Type": "application/octet-stream"}
    )
    answered = json.loads(server.getresponse().read())["predictions"]
    labels = [("disc", "cross", "stripes")[label] for label in pictures.labels[:20]]
    right = np.mean([one["label"] == label for one, label in zip(answered, labels, strict=True)])
    assert right >= 0.9


@pytest.mark.slow
def test_the_contracts_own_tests_hold_for_it(code: Path, tmp_path: Path) -> None:
    checks = jobs.check_contract_of(code, tmp_path / "log")
    assert checks.wait() == 0, checks.said()
    assert " passed" in checks.said()
