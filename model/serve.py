"""Serves the model by SageMaker's contract: GET /ping, POST /invocations, on SAGEMAKER_BIND_TO_PORT or 8080.

A request's body is N * height * width * channels bytes (uint8); the answer is
`{"predictions": [{"label": ..., "probabilities": {label: p}}], "model_version": ..., "model_run": ...,
"model_dataset": ...}`: which model answered, from which training run and dataset, as its deployment says.
Where SageMaker asks for many models in one container (SAGEMAKER_MULTI_MODEL), multi_model.py serves instead.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from http_serving import DRAIN_SECONDS, Connection, DrainingServer
from multi_model import MultiModelServer
from predictor import ModelError, Predictor
from spec import SpecError


class ModelServer(DrainingServer):
    """One loaded model behind HTTP."""

    def __init__(self, address: tuple[str, int], predictor: Predictor, origin: dict[str, str]) -> None:
        super().__init__(address, ModelConnection)
        self.predictor = predictor
        self.origin = origin


class ModelConnection(Connection):
    """GET /ping and POST /invocations."""

    server: ModelServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        """Health: the server listens only when the model is loaded, so that an answer is a yes."""
        if self.path == "/ping":
            self.answer(HTTPStatus.OK, {"status": "ready"})
        else:
            self.refuse(HTTPStatus.NOT_FOUND, f"{self.path} is not served; GET /ping or POST /invocations")

    def posted(self, body: bytes) -> None:
        """Predictions for the images in the body."""
        if self.path == "/invocations":
            self.predict(self.server.predictor, body, self.server.origin)
        else:
            self.refuse(HTTPStatus.NOT_FOUND, f"{self.path} is not served; POST /invocations")


def origin(environment: Mapping[str, str]) -> dict[str, str]:
    """Where the model comes from, by the variables that its deployment sets; empty where it says nothing."""
    return {
        "model_version": environment.get("MODEL_VERSION", "unversioned"),
        "model_run": environment.get("MODEL_RUN", ""),
        "model_dataset": environment.get("MODEL_DATASET", ""),
    }


def _server(environment: Mapping[str, str]) -> DrainingServer:
    """What is to be served, listening; ends the program when the model cannot be loaded."""
    everywhere = "0.0.0.0"  # noqa: S104 - SageMaker calls the container from outside
    address = (everywhere, int(environment.get("SAGEMAKER_BIND_TO_PORT", "8080")))
    if environment.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true":
        print(f"serving models on demand on port {address[1]}", flush=True)
        return MultiModelServer(address)
    folder = Path(environment.get("MODEL_DIR", "/opt/ml/model"))
    try:
        predictor = Predictor.load(folder)
    except (ModelError, SpecError) as error:
        sys.exit(f"serving failed: {error}")
    print(f"serving {predictor.spec.name} from {folder} on port {address[1]}", flush=True)
    return ModelServer(address, predictor, origin(environment))


def main() -> None:
    """Load the model, serve until SIGTERM, let running requests finish."""
    with _server(os.environ) as server:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        server.serve_forever(poll_interval=0.2)
        if not server.drain():
            sys.exit(f"a request was still running {DRAIN_SECONDS} s after SIGTERM")


if __name__ == "__main__":
    main()
