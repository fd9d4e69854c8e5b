"""The serving container's program, as a real process asked over HTTP: SageMaker's contract, refusals, end."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from predictor import Predictor
from shards import Examples

from tests.model.conftest import MODEL

OCTETS = {"Content-Type": "application/octet-stream"}
VERSION = "arn:aws:sagemaker:us-east-1:222222222222:model-package/vision-dev-smoke/1"


def start(model: Path, port: int) -> subprocess.Popen[str]:
    environment = os.environ | {
        "MODEL_DIR": str(model),
        "MODEL_VERSION": VERSION,
        "MODEL_RUN": "run-a",
        "MODEL_DATASET": "digits#v1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    command = [sys.executable, str(MODEL / "serve.py"), "serve"]  # SageMaker appends "serve"
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=10)


def wait_until_ready(port: int) -> None:
    for _ in range(200):
        try:
            connection = connect(port)
            connection.request("GET", "/ping")
            assert connection.getresponse().status == 200
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    pytest.fail("the server did not start")


@pytest.fixture(scope="module")
def server(trained: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    process = start(trained, port)
    try:
        wait_until_ready(port)
        yield process, port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def connection(server: tuple[subprocess.Popen[str], int]) -> Iterator[http.client.HTTPConnection]:
    opened = connect(server[1])
    yield opened
    opened.close()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, OCTETS | names)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_ping_says_ready(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, "GET", "/ping")[0] == 200


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_is_answered_in_order_with_the_models_version(
    connection: http.client.HTTPConnection, examples: Examples, trained: Path, count: int
) -> None:
    images = examples.images[::7][:count]
    status, document = ask(connection, "POST", "/invocations", images.tobytes())
    predictor = Predictor.load(trained)
    assert status == 200
    assert document["model_version"] == VERSION
    assert (document["model_run"], document["model_dataset"]) == ("run-a", "digits#v1")
    assert len(document["predictions"]) == count
    for prediction, row in zip(document["predictions"], predictor.probabilities(images), strict=True):
        assert prediction["label"] == predictor.spec.classes[int(row.argmax())]
        assert list(prediction["probabilities"]) == list(predictor.spec.classes)
        np.testing.assert_allclose(list(prediction["probabilities"].values()), row, atol=1e-6)


def test_one_connection_serves_many_requests(
    connection: http.client.HTTPConnection, examples: Examples
) -> None:
    body = examples.images[0].tobytes()
    ask(connection, "POST", "/invocations", body)
    used = connection.sock
    for _ in range(20):
        assert ask(connection, "POST", "/invocations", body)[0] == 200
        assert ask(connection, "POST", "/invocations", b"short")[0] == 400
    assert connection.sock is used


@pytest.mark.parametrize("body", [b"", b"\0", b"\0" * 1000])
def test_body_that_is_not_whole_images_is_refused_with_the_size_it_should_have(
    connection: http.client.HTTPConnection, body: bytes, examples: Examples
) -> None:
    status, document = ask(connection, "POST", "/invocations", body)
    assert status == 400
    assert f"N x {examples.images[0].size}" in document["error"]


def test_other_content_type_is_refused(connection: http.client.HTTPConnection) -> None:
    status, document = ask(connection, "POST", "/invocations", b"{}", Content_Type="application/json")
    assert status == 415
    assert "application/octet-stream" in document["error"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/predict"), ("GET", "/invocations")])
def test_other_paths_are_refused(connection: http.client.HTTPConnection, method: str, path: str) -> None:
    assert ask(connection, method, path, b"" if method == "POST" else None)[0] == 404


def test_body_without_a_length_is_refused(connection: http.client.HTTPConnection) -> None:
    status, _ = ask(connection, "POST", "/invocations", iter([b"abc"]), Transfer_Encoding="chunked")
    assert status == 411


def test_huge_body_is_refused_before_it_is_sent(server: tuple[subprocess.Popen[str], int]) -> None:
    with socket.create_connection(("127.0.0.1", server[1]), timeout=10) as plain:
        plain.sendall(b"POST /invocations HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
        assert b" 413 " in plain.recv(200)


def test_sigterm_ends_it_at_once_even_with_idle_connections(trained: Path) -> None:
    port = free_port()
    process = start(trained, port)
    wait_until_ready(port)
    idle = connect(port)
    ask(idle, "GET", "/ping")
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert time.monotonic() - started < 3


def test_request_that_runs_at_sigterm_is_still_answered(trained: Path, examples: Examples) -> None:
    port = free_port()
    process = start(trained, port)
    wait_until_ready(port)
    body = examples.images[0].tobytes()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
        slow.sendall(b"POST /invocations HTTP/1.1\r\nContent-Type: application/octet-stream\r\n")
        slow.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body[:10])
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        slow.sendall(body[10:])
        assert b" 200 " in slow.recv(200)
    assert process.wait(timeout=10) == 0


def test_missing_model_ends_with_one_clear_line(tmp_path: Path) -> None:
    process = start(tmp_path, free_port())
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said.startswith("serving failed: ")
    assert "spec.json: no such file" in said
    assert "Traceback" not in said


def test_model_that_breaks_the_contract_is_not_served(trained: Path, tmp_path: Path) -> None:
    spec = json.loads((trained / "spec.json").read_text())
    spec["classes"] = [*spec["classes"], "one more"]
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    (tmp_path / "model.onnx").write_bytes((trained / "model.onnx").read_bytes())
    process = start(tmp_path, free_port())
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "its outputs are" in said
