"""The exported model in ONNX Runtime: loads it, checks it against its spec, and answers batches."""
# onnxruntime is in the model's environment (the serving image), not in the one that checks types.
# pyright: reportMissingImports=false

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from spec import ModelSpec, read_spec

THREADS_VARIABLE = "ORT_INTRA_OP_THREADS"
PROBABILITY_DECIMALS = 6  # of what is answered; whoever compares answers with a baseline rounds alike


class ModelError(RuntimeError):
    """The model directory does not hold a model that keeps the contract."""


class Predictor:
    """A loaded model; `probabilities` may be called from many threads."""

    def __init__(self, session: Any, spec: ModelSpec) -> None:
        self._session = session
        self.spec = spec

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """Load model.onnx and spec.json from `folder`. Raises ModelError, or SpecError from the spec."""
        spec = read_spec(folder / "spec.json")
        path = folder / "model.onnx"
        if not path.is_file():
            raise ModelError(f"{path}: no such file; the training job writes it beside spec.json")
        options = onnxruntime.SessionOptions()
        # One image is too little work to share: threads of one request only delay the other requests.
        options.intra_op_num_threads = int(os.environ.get(THREADS_VARIABLE, "1"))
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        _check_signature(session, spec, path)
        return cls(session, spec)

    def probabilities(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """float32 [N, classes] for uint8 images [N, height, width, channels]."""
        return self._session.run(["probabilities"], {"images": images})[0]

    def images(self, body: bytes) -> np.ndarray[Any, Any]:
        """The images in a request's body. Raises ValueError unless it holds one or more whole images."""
        size = self.spec.image_bytes
        if not body or len(body) % size:
            raise ValueError(
                f"the body has {len(body)} bytes; it must be N x {size}: "
                f"{self.spec.height} x {self.spec.width} x {self.spec.channels} uint8 an image"
            )
        return np.frombuffer(body, np.uint8).reshape(
            -1, self.spec.height, self.spec.width, self.spec.channels
        )


def predictions(predictor: Predictor, images: Any, come_from: Mapping[str, str]) -> dict[str, Any]:
    """The document that answers a batch of images; `come_from` says which model it is."""
    classes = predictor.spec.classes
    found = [
        {
            "label": classes[int(row.argmax())],
            "probabilities": {
                label: round(float(p), PROBABILITY_DECIMALS) for label, p in zip(classes, row, strict=True)
            },
        }
        for row in predictor.probabilities(images)
    ]
    return {"predictions": found, **come_from}


def _check_signature(session: Any, spec: ModelSpec, path: Path) -> None:
    inputs = {entry.name: (entry.type, list(entry.shape[1:])) for entry in session.get_inputs()}
    expected = {"images": ("tensor(uint8)", [spec.height, spec.width, spec.channels])}
    if inputs != expected:
        raise ModelError(f"{path}: its inputs are {inputs}; the contract is {expected}")
    outputs = {entry.name: (entry.type, list(entry.shape[1:])) for entry in session.get_outputs()}
    expected = {"probabilities": ("tensor(float)", [len(spec.classes)])}
    if outputs != expected:
        raise ModelError(f"{path}: its outputs are {outputs}; the contract is {expected}")
