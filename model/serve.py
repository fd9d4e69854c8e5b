"""Serves the model by SageMaker's contract: GET /ping, POST /invocations, on SAGEMAKER_BIND_TO_PORT or 8080.

A request's body is N * height * width * channels bytes (uint8); the answer is
`{"predictions": [{"label": ..., "probabilities": {label: p}}], "model_version": ..., "model_run": ...,
"model_dataset": ...}`: which model answered, from which training run and dataset, as its deployment says.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from predictor import PROBABILITY_DECIMALS, ModelError, Predictor
from spec import SpecError

MAX_BODY = 6 * 1024 * 1024  # InvokeEndpoint takes 6 MB
IDLE_SECONDS = 75  # longer than callers keep their connections
DRAIN_SECONDS = 20  # SageMaker kills 30 s after SIGTERM
ACCEPTED = "application/octet-stream"


class ModelServer(ThreadingHTTPServer):
    """One loaded model behind HTTP/1.1; counts the requests being answered, to end without cutting one."""

    daemon_threads = True  # idle connections must not hold up the end
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], predictor: Predictor, origin: dict[str, str]) -> None:
        super().__init__(address, Handler)
        self.predictor = predictor
        self.origin = origin
        self._busy = 0
        self._changed = threading.Condition()

    def __enter__(self) -> ModelServer:
        return self

    def request_started(self) -> None:
        """Count a request in."""
        with self._changed:
            self._busy += 1

    def request_ended(self) -> None:
        """Count a request out."""
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def drain(self) -> bool:
        """Wait until no request is being answered; False when that took longer than DRAIN_SECONDS."""
        with self._changed:
            return self._changed.wait_for(lambda: self._busy == 0, timeout=DRAIN_SECONDS)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests, one after the other."""

    server: ModelServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"  # keep-alive
    timeout = IDLE_SECONDS
    wbufsize = -1  # headers and body in one packet ...
    disable_nagle_algorithm = True  # ... that leaves at once

    def do_GET(self) -> None:
        """Health: the server listens only when the model is loaded, so that an answer is a yes."""
        if self.path == "/ping":
            self._answer(HTTPStatus.OK, {"status": "ready"})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f"{self.path} is not served; GET /ping or POST /invocations")

    def do_POST(self) -> None:
        """Predictions for the images in the body."""
        self.server.request_started()
        try:
            self._invocations()
        finally:
            self.server.request_ended()

    def _invocations(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "Content-Length is required", close=True)
        elif int(length) > MAX_BODY:
            self._refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY} bytes are taken", close=True
            )
        else:
            self._predict(self.rfile.read(int(length)))

    def _predict(self, body: bytes) -> None:
        content_type = self.headers.get_content_type()
        if self.path != "/invocations":
            self._refuse(HTTPStatus.NOT_FOUND, f"{self.path} is not served; POST /invocations")
        elif content_type != ACCEPTED:
            self._refuse(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type is {content_type}; send {ACCEPTED}"
            )
        else:
            try:
                images = self.server.predictor.images(body)
            except ValueError as error:
                self._refuse(HTTPStatus.BAD_REQUEST, str(error))
                return
            self._answer(HTTPStatus.OK, answer(self.server.predictor, images, self.server.origin))

    def _refuse(self, status: HTTPStatus, reason: str, *, close: bool = False) -> None:
        self.close_connection = self.close_connection or close  # an unread body would pass for a request
        self._answer(status, {"error": reason})

    def _answer(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()  # before the request counts as ended: at the end of the program nobody else would

    def log_message(self, format: str, *args: Any) -> None:
        """One line per request, except for the health checks, which come every few seconds."""
        if self.path != "/ping":
            sys.stderr.write(f"{self.address_string()} {format % args}\n")


def origin(environment: Mapping[str, str]) -> dict[str, str]:
    """Where the model comes from, by the variables that its deployment sets; empty where it says nothing."""
    return {
        "model_version": environment.get("MODEL_VERSION", "unversioned"),
        "model_run": environment.get("MODEL_RUN", ""),
        "model_dataset": environment.get("MODEL_DATASET", ""),
    }


def answer(predictor: Predictor, images: Any, come_from: dict[str, str]) -> dict[str, Any]:
    """The document that answers a batch of images."""
    classes = predictor.spec.classes
    predictions = [
        {
            "label": classes[int(row.argmax())],
            "probabilities": {
                label: round(float(p), PROBABILITY_DECIMALS) for label, p in zip(classes, row, strict=True)
            },
        }
        for row in predictor.probabilities(images)
    ]
    return {"predictions": predictions, **come_from}


def main() -> None:
    """Load the model, serve until SIGTERM, let running requests finish."""
    folder = Path(os.environ.get("MODEL_DIR", "/opt/ml/model"))
    try:
        predictor = Predictor.load(folder)
    except (ModelError, SpecError) as error:
        sys.exit(f"serving failed: {error}")
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    everywhere = "0.0.0.0"  # noqa: S104 - SageMaker calls the container from outside
    with ModelServer((everywhere, port), predictor, origin(os.environ)) as server:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"serving {predictor.spec.name} from {folder} on port {port}", flush=True)
        server.serve_forever(poll_interval=0.2)
        if not server.drain():
            sys.exit(f"a request was still running {DRAIN_SECONDS} s after SIGTERM")


if __name__ == "__main__":
    main()
