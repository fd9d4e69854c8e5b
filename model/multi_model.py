"""Serves many models by SageMaker's multi-model contract: they are loaded, asked and unloaded by name.

POST /models `{"model_name", "url"}`, GET /models, GET and DELETE /models/<name>, POST /models/<name>/invoke.
SageMaker unpacks an archive into the folder `url` first. Answers are those of serve.py; where the model comes
from is told by the caller, who has chosen it, in X-Amzn-SageMaker-Custom-Attributes as JSON.
"""

from __future__ import annotations

import json
import re
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

from http_serving import Connection, DrainingServer
from predictor import ModelError, Predictor
from spec import SpecError

ORIGIN_HEADER = "X-Amzn-SageMaker-Custom-Attributes"
_ORIGIN = ("model_version", "model_run", "model_dataset")
_MODEL = re.compile(r"^/models/(?P<name>[^/]+)$")
_INVOKE = re.compile(r"^/models/(?P<name>[^/]+)/invoke$")


class MultiModelServer(DrainingServer):
    """The models that are loaded, behind HTTP."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, MultiModelConnection)
        self._models: dict[str, tuple[str, Predictor]] = {}
        self._lock = threading.Lock()

    def load(self, name: str, url: str) -> bool:
        """Load a model from its folder; False when it is there already.

        Raises ModelError or SpecError for a folder that holds none, MemoryError when there is no room.
        """
        with self._lock:
            if name in self._models:
                return False
        predictor = Predictor.load(Path(url))
        with self._lock:
            self._models[name] = (url, predictor)
        return True

    def unload(self, name: str) -> bool:
        """Forget a model; False when there is none of that name."""
        with self._lock:
            return self._models.pop(name, None) is not None

    def find(self, name: str) -> Predictor | None:
        """The model of that name."""
        with self._lock:
            found = self._models.get(name)
        return found[1] if found else None

    def listed(self) -> list[dict[str, str]]:
        """Every model, as the contract lists them."""
        with self._lock:
            return [{"modelName": name, "modelUrl": url} for name, (url, _) in self._models.items()]


class MultiModelConnection(Connection):
    """The multi-model contract."""

    server: MultiModelServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        """Health, which asks for no model, and the lists."""
        one = _MODEL.match(self.path)
        if self.path == "/ping":
            self.answer(HTTPStatus.OK, {"status": "ready"})
        elif self.path == "/models":
            self.answer(HTTPStatus.OK, {"models": self.server.listed()})
        elif one is not None:
            found = [each for each in self.server.listed() if each["modelName"] == one["name"]]
            if found:
                self.answer(HTTPStatus.OK, found[0])
            else:
                self._refuse_unknown(one["name"])
        else:
            self.refuse(HTTPStatus.NOT_FOUND, f"{self.path} is not served")

    def do_DELETE(self) -> None:
        """Unload a model."""
        one = _MODEL.match(self.path)
        if one is not None and self.server.unload(one["name"]):
            self.answer(HTTPStatus.OK, {"status": "unloaded"})
        else:
            self._refuse_unknown(self.path)

    def posted(self, body: bytes) -> None:
        """Load a model, or ask one."""
        asked = _INVOKE.match(self.path)
        if self.path == "/models":
            self._load(body)
        elif asked is None:
            self.refuse(HTTPStatus.NOT_FOUND, f"{self.path} is not served")
        else:
            predictor = self.server.find(asked["name"])
            if predictor is None:
                self._refuse_unknown(asked["name"])
            else:
                self.predict(predictor, body, _origin(self.headers.get(ORIGIN_HEADER, "")))

    def _load(self, body: bytes) -> None:
        try:
            request = json.loads(body)
            name, url = str(request["model_name"]), str(request["url"])
        except (ValueError, KeyError, TypeError):
            self.refuse(HTTPStatus.BAD_REQUEST, "the body must be JSON with model_name and url")
            return
        try:
            loaded = self.server.load(name, url)
        except MemoryError:
            # SageMaker unloads another model, and tries again.
            self.refuse(HTTPStatus.INSUFFICIENT_STORAGE, "there is no memory left for another model")
        except (ModelError, SpecError) as error:
            self.refuse(HTTPStatus.BAD_REQUEST, str(error))
        else:
            if loaded:
                self.answer(HTTPStatus.OK, {"status": "loaded"})
            else:
                self.refuse(HTTPStatus.CONFLICT, f"model {name} is loaded already")

    def _refuse_unknown(self, name: str) -> None:
        self.refuse(HTTPStatus.NOT_FOUND, f"model {name} is not loaded")


def _origin(attributes: str) -> dict[str, str]:
    """Where the model comes from, as its caller says; empty where it says nothing."""
    try:
        given: Any = json.loads(attributes or "{}")
    except ValueError:
        given = {}
    told = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    return {name: str(told.get(name, "unversioned" if name == "model_version" else "")) for name in _ORIGIN}
