"""Checkpoints of a training job: what an interrupted one goes on from, to the same model to the bit.

A checkpoint is a file `epoch-00003-<job>-<digest>.pt`, written under another name first: whatever ends the
process, or the upload of the folder to S3, leaves whole files or none. The digest finds later damage.
"""
# torch is in the model's environment (the AWS training image), not in the one that checks types.
# pyright: reportMissingImports=false

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import torch

KEPT = 2  # the newest, and one before it in case the newest is damaged


class Checkpoints:
    """The checkpoints in `folder` (None: none are kept) of the job that `identity` describes.

    A checkpoint of anything else is never gone on from: half of one model and half of another is neither.
    """

    def __init__(self, folder: Path | None, identity: dict[str, Any]) -> None:
        self._folder, self._identity = folder, identity
        self._job = _digest(json.dumps(identity, sort_keys=True).encode())

    def save(self, state: dict[str, Any]) -> None:
        """Write `state`, whose `epoch` names the file, and remove older ones. Raises OSError."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save({"identity": self._identity, **state}, buffer)
        content = buffer.getvalue()
        path = self._folder / f"epoch-{state['epoch']:05d}-{self._job}-{_digest(content)}.pt"
        unfinished = self._folder / f".{path.name}.unfinished"
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        for old in [*self._newest_first(self._job)[KEPT:], *self._folder.glob(".epoch-*.unfinished")]:
            old.unlink()

    def newest(self) -> bytes | None:
        """The newest checkpoint that is whole and this job's, for `state_of`; None when there is none."""
        for path in self._newest_first(self._job):
            content = path.read_bytes()
            if _is_whole(path, content):
                return content
            print(f"checkpoint {path.name} is damaged: the one before is tried", flush=True)
        for path in self._newest_first("*"):
            content = path.read_bytes()
            if _is_whole(path, content):
                found = state_of(content)["identity"]
                others = sorted(
                    key for key in found | self._identity if found.get(key) != self._identity.get(key)
                )
                if others:
                    print(f"checkpoint {path.name} has other {', '.join(others)}: it is not used", flush=True)
                    break
        return None

    def _newest_first(self, job: str) -> list[Path]:
        found = self._folder.glob(f"epoch-*-{job}-*.pt") if self._folder is not None else ()
        return sorted(found, reverse=True)


def state_of(content: bytes) -> dict[str, Any]:
    """The state in a checkpoint, its tensors in main memory."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _is_whole(path: Path, content: bytes) -> bool:
    return _digest(content) == path.stem.rpartition("-")[2]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
