"""Checkpoints of a training job: restored before it starts, copied to S3 while it runs and at its end."""

import logging
import threading
from pathlib import Path

from twin import glue
from twin.images.container import ML
from twin.json_service import ServiceError
from twin.services.sagemaker.hosts import Hosts
from twin.services.sagemaker.jobs import folder_of
from twin.services.sagemaker.records import Record
from twin.services.sagemaker.storage import Storage, StorageError

_SECONDS_BETWEEN_LOOKS = 0.5
_DEFAULT_PATH = f"{ML}/checkpoints"
_Seen = tuple[int, int]  # size and time of the last change
log = logging.getLogger("twin.sagemaker")


def check(request: Record) -> None:
    """Raise `ServiceError` for a local path that the container does not have."""
    path = request.get("CheckpointConfig", {}).get("LocalPath", _DEFAULT_PATH)
    if not path.startswith(f"{ML}/"):
        text = f"CheckpointConfig.LocalPath must be below {ML}, not {path}."
        raise ServiceError("ValidationException", text)


class Checkpoints:
    """The checkpoint folders of the hosts of one run; all share one place in S3, as on AWS."""

    def __init__(self, request: Record, hosts: Hosts, storage: Storage) -> None:
        """A job without `CheckpointConfig` has none: every method then does nothing."""
        config = request.get("CheckpointConfig") or {}
        self._uri = config.get("S3Uri", "").rstrip("/")
        self._key = request["OutputDataConfig"].get("KmsKeyId") or None
        self._storage = storage
        local = config.get("LocalPath", _DEFAULT_PATH)
        containers = hosts.containers.values() if self._uri else ()
        self._folders = [folder_of(container, local) for container in containers]
        self._saved: dict[Path, _Seen] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def restore(self) -> None:
        """Put what lies in S3 into every host's folder; raises `StorageError`."""
        for folder in self._folders:
            self._storage.download(f"{self._uri}/", folder, may_be_empty=True)
        self._saved = self._found()

    def begin(self) -> None:
        """Copy files to S3 from now on, soon after they were written."""
        if self._folders:
            self._thread = glue.spawn(self._follow, name="twin-checkpoints")

    def finish(self) -> None:
        """Copy what is left, once nobody writes any more; raises `StorageError`."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._save(self._found())

    def _follow(self) -> None:
        before: dict[Path, _Seen] = {}
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            now = self._found()
            try:
                # A file that is still being written changes from look to look.
                self._save({path: seen for path, seen in now.items() if before.get(path) == seen})
            except StorageError as fault:
                log.warning("checkpoints are not saved: %s", fault)  # the last copy fails the job
            before = now

    def _found(self) -> dict[Path, _Seen]:
        files = [path for folder in self._folders for path in folder.rglob("*") if path.is_file()]
        return {path: seen for path in sorted(files) if (seen := _look(path))}

    def _save(self, found: dict[Path, _Seen]) -> None:
        for path, seen in found.items():
            if self._saved.get(path) == seen:
                continue
            folder = next(folder for folder in self._folders if path.is_relative_to(folder))
            if self._storage.put(path, f"{self._uri}/{path.relative_to(folder).as_posix()}", self._key):
                self._saved[path] = seen


def _look(path: Path) -> _Seen | None:
    """Return size and time of a file, None for one that is gone."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns
