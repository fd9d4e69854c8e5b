"""Models of a multi-model container: fetched when first asked for, loaded by its contract, unloaded."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from twin import glue
from twin.images.container import Container
from twin.json_service import ServiceError
from twin.services.sagemaker.records import Record
from twin.services.sagemaker.storage import Storage, StorageError

MODE = "MultiModel"
VARIABLES = {"SAGEMAKER_MULTI_MODEL": "true"}
_FOLDER = "/opt/ml/models"
# (method, path, body) -> (status, what the container said)
Ask = Callable[[str, str, bytes], tuple[int, bytes]]


def is_multi_model(container: Mapping[str, Any]) -> bool:
    """Return whether a container definition is of many models."""
    return container.get("Mode") == MODE


def check(container: Record, path: str) -> None:
    """Raise `ServiceError` unless the definition of a multi-model container says where its models lie."""
    if "ModelPackageName" in container:
        raise ServiceError("ValidationException", f"{path}: Mode {MODE} takes no ModelPackageName.")
    if not container.get("ModelDataUrl", "").endswith("/"):
        raise ServiceError(
            "ValidationException",
            f"{path}.ModelDataUrl must be an S3 prefix that ends with a slash for Mode {MODE}.",
        )


class LoadedModels:
    """What one server's container has loaded, the one that was asked longest ago first."""

    def __init__(self, definition: Record, storage: Storage, container: Container, ask: Ask) -> None:
        """`ask` sends a request to the container."""
        self._prefix: str = definition["ModelDataUrl"]
        self._storage, self._container, self._ask = storage, container, ask
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Note that the container was started anew: nothing is loaded."""
        with self._lock:
            self._names.clear()

    def path(self, target: str, dimensions: Mapping[str, str]) -> str:
        """Return where to ask a model, loaded if it was not; raises `ServiceError` when it cannot be."""
        with self._lock:
            known = self._names.pop(target, None)
            glue.count_metric("AWS/SageMaker", "ModelCacheHit", float(known is not None), "None", dimensions)
            if known is None:
                began = time.perf_counter()
                known = self._load(target)
                microseconds = round((time.perf_counter() - began) * 1e6)
                glue.count_metric(
                    "AWS/SageMaker", "ModelLoadingTime", microseconds, "Microseconds", dimensions
                )
            self._names[target] = known
            return f"/models/{known}/invoke"

    def _load(self, target: str) -> str:
        name = hashlib.sha256(target.encode()).hexdigest()
        inside = f"{_FOLDER}/{name}/model"
        folder = self._container.path(inside)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._storage.unpack(f"{self._prefix}{target.lstrip('/')}", folder)
        except StorageError as fault:
            raise ServiceError(
                "ValidationError", f"Failed to download model data for target model {target}: {fault}"
            ) from fault
        body = json.dumps({"model_name": name, "url": str(folder)}).encode()
        while True:
            status, said = self._ask("POST", "/models", body)
            if status in (HTTPStatus.OK, HTTPStatus.CONFLICT):
                return name
            if status != HTTPStatus.INSUFFICIENT_STORAGE or not self._names:
                raise ServiceError(
                    "ModelNotReadyException",
                    f"Target model {target} could not be loaded ({status}): {said.decode(errors='replace')}",
                    HTTPStatus.TOO_MANY_REQUESTS,
                )
            oldest = next(iter(self._names))
            self._ask("DELETE", f"/models/{self._names.pop(oldest)}", b"")
