"""The serving program as SageMaker's multi-model endpoints use it: load, list, invoke, unload, by HTTP."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from predictor import Predictor
from shards import Examples

from tests.model.conftest import MODEL
from tests.model.test_serve import ask, connect, free_port, wait_until_ready

ORIGIN = {"model_version": "package/1", "model_run": "run-a", "model_dataset": "digits#v1"}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = free_port()
    environment = os.environ | {"SAGEMAKER_MULTI_MODEL": "true", "SAGEMAKER_BIND_TO_PORT": str(number)}
    command = [sys.executable, str(MODEL / "serve.py"), "serve"]
    process = subprocess.Popen(command, env=environment)
    try:
        wait_until_ready(number)
        yield number
    finally:
        process.terminate()
        process.wait()
    assert process.returncode == 0


@pytest.fixture
def connection(port: int) -> Iterator[HTTPConnection]:
    opened = connect(port)
    yield opened
    opened.close()


def load(connection: HTTPConnection, name: str, folder: Path) -> tuple[int, Any]:
    return ask(connection, "POST", "/models", json.dumps({"model_name": name, "url": str(folder)}))


def test_models_are_loaded_listed_asked_and_unloaded_by_name(
    connection: HTTPConnection, trained: Path, examples: Examples
) -> None:
    assert load(connection, "a", trained)[0] == 200
    assert load(connection, "a", trained)[0] == 409
    assert load(connection, "b", trained)[0] == 200
    listed = ask(connection, "GET", "/models")[1]["models"]
    assert {each["modelName"] for each in listed} == {"a", "b"}
    assert ask(connection, "GET", "/models/a")[1] == {"modelName": "a", "modelUrl": str(trained)}

    images = examples.images[:2]
    path = "/models/a/invoke"
    more = {"X_Amzn_SageMaker_Custom_Attributes": json.dumps(ORIGIN)}
    status, document = ask(connection, "POST", path, images.tobytes(), **more)

    assert status == 200
    assert {name: document[name] for name in ORIGIN} == ORIGIN
    rows = Predictor.load(trained).probabilities(images)
    for prediction, row in zip(document["predictions"], rows, strict=True):
        np.testing.assert_allclose(list(prediction["probabilities"].values()), row, atol=1e-6)

    assert ask(connection, "DELETE", "/models/a")[0] == 200
    assert ask(connection, "POST", path, images.tobytes())[0] == 404
    assert ask(connection, "GET", "/models/a")[0] == 404
    assert ask(connection, "DELETE", "/models/a")[0] == 404
    assert ask(connection, "POST", "/models/b/invoke", images.tobytes())[1]["model_version"] == "unversioned"


def test_folder_without_a_model_is_refused_with_the_reason(
    connection: HTTPConnection, tmp_path: Path
) -> None:
    status, document = load(connection, "none", tmp_path)
    assert status == 400
    assert "spec.json: no such file" in document["error"]
    assert ask(connection, "GET", "/models/none")[0] == 404


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"model_name": "x"}'])
def test_load_request_that_is_none_is_refused(connection: HTTPConnection, body: str) -> None:
    assert ask(connection, "POST", "/models", body)[0] == 400


def test_body_that_is_not_whole_images_is_refused(connection: HTTPConnection, trained: Path) -> None:
    load(connection, "c", trained)
    assert ask(connection, "POST", "/models/c/invoke", b"short")[0] == 400
    assert ask(connection, "POST", "/invocations", b"short")[0] == 404
