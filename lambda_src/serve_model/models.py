"""The models that an execution environment holds: fetched as archives, checked, kept while they are asked."""
# The package takes predictor.py and spec.py from the model's code.
# pyright: reportMissingImports=false

from __future__ import annotations

import tarfile
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from predictor import ModelError, Predictor
from spec import SpecError

# The champion, the one that may follow it, and the one before: a way back finds its model still here.
MOST_KEPT = 3
# Writes the archive of that name to a file. Raises ModelMissing.
Fetch = Callable[[str, Path], None]


class ModelMissing(RuntimeError):
    """There is no such archive, or it may not be read."""


class ModelBroken(RuntimeError):
    """The archive holds no model that keeps the contract."""


class Models:
    """Loaded models by the names of their archives; the one that was not asked for longest goes first."""

    def __init__(self, fetch: Fetch, most: int = MOST_KEPT) -> None:
        self._fetch, self._most = fetch, most
        self._loaded: OrderedDict[str, Predictor] = OrderedDict()

    def get(self, name: str) -> Predictor:
        """The model of that name, loaded if it is not yet. Raises ModelMissing or ModelBroken."""
        if name not in self._loaded:
            # Before loading: there must be room for one more.
            while len(self._loaded) >= self._most:
                self._loaded.popitem(last=False)
            self._loaded[name] = self._load(name)
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def holds(self, name: str) -> bool:
        """Whether that model is loaded."""
        return name in self._loaded

    def _load(self, name: str) -> Predictor:
        # Nothing of the archive is needed once the model is in memory, and /tmp is small.
        with tempfile.TemporaryDirectory() as place:
            archive, folder = Path(place, "model.tar.gz"), Path(place, "model")
            self._fetch(name, archive)
            try:
                with tarfile.open(archive, "r:gz") as packed:
                    packed.extractall(folder, filter="data")
            except (tarfile.TarError, EOFError, OSError) as error:
                raise ModelBroken(f"{name} is no tar.gz archive that can be unpacked: {error}") from error
            try:
                return Predictor.load(folder)
            except (ModelError, SpecError) as error:
                raise ModelBroken(f"{name}: {error}") from error
            except Exception as error:
                # ONNX Runtime's own errors share no base but this one.
                raise ModelBroken(f"{name}: ONNX Runtime does not load it: {error}") from error
