"""Records on their way to S3: kept until the delivery stream's buffer is full or its time is over."""

import base64
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twin import glue
from twin.firehose import delivery
from twin.glue import firehose

_DEFAULT_SECONDS, _DEFAULT_MEBIBYTES = 300, 5
_LOOK_SECONDS = 0.2
_RETRY_SECONDS = 5.0
_MEBIBYTE = 1024 * 1024
log = logging.getLogger("twin.firehose")


@dataclass
class Buffer:
    """What one delivery stream has gathered: (epoch seconds, data) of each record."""

    records: list[tuple[float, bytes]] = field(default_factory=list[tuple[float, bytes]])
    size: int = 0
    not_before: float = 0.0
    busy: bool = False


class Buffers:
    """All delivery streams' buffers."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._buffers: dict[tuple[str, str, str], Buffer] = {}

    def start(self) -> None:
        """Start delivering."""
        threading.Thread(target=self._watch, name="twin-firehose", daemon=True).start()

    def take(self, scope: glue.Scope, name: str, records: Sequence[bytes]) -> None:
        """Gather records of one delivery stream."""
        now = time.time()
        with self._lock:
            buffer = self._buffers.setdefault((scope.account, scope.region, name), Buffer())
            buffer.records += [(now, data) for data in records]
            buffer.size += sum(len(data) for data in records)

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            try:
                self._look()
            except Exception:
                log.exception("looking for full buffers failed")

    def _look(self) -> None:
        with self._lock:
            waiting = [(key, buffer) for key, buffer in self._buffers.items() if buffer.records]
        for (account, region, name), buffer in waiting:
            scope = glue.Scope(account, region)
            stream = firehose.delivery_stream(scope, name)
            if stream is None:
                with self._lock:
                    self._buffers.pop((account, region, name), None)
            elif not buffer.busy and _is_due(buffer, delivery.destination_of(stream)):
                buffer.busy = True
                with glue.scope(account, region):
                    glue.spawn(self._deliver, buffer, stream, name="twin-firehose-delivery")

    def _deliver(self, buffer: Buffer, stream: dict[str, Any]) -> None:
        with self._lock:
            records = list(buffer.records)
        try:
            if delivery.deliver(stream, records):
                with self._lock:
                    del buffer.records[: len(records)]
                    buffer.size -= sum(len(data) for _, data in records)
            else:
                # Firehose goes on for a day; here as long as the twin runs.
                buffer.not_before = time.time() + _RETRY_SECONDS
        except Exception:
            log.exception("%s could not be delivered", stream["name"])
            buffer.not_before = time.time() + _RETRY_SECONDS
        finally:
            buffer.busy = False

    def get_state(self) -> Any:
        """Return what was not delivered yet."""
        with self._lock:
            return [
                [*key, [[at, base64.b64encode(data).decode()] for at, data in buffer.records]]
                for key, buffer in self._buffers.items()
                if buffer.records
            ]

    def load_persisted_state(self, data: Any, /) -> None:
        """Go on with what was gathered before the stop."""
        with self._lock:
            for account, region, name, rows in data or []:
                records = [(at, base64.b64decode(text)) for at, text in rows]
                size = sum(len(content) for _, content in records)
                self._buffers[account, region, name] = Buffer(records, size)

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._buffers.clear()


def _is_due(buffer: Buffer, configuration: dict[str, Any]) -> bool:
    if time.time() < buffer.not_before:
        return False
    hints = configuration.get("BufferingHints") or {}
    seconds = int(hints.get("IntervalInSeconds", _DEFAULT_SECONDS))
    mebibytes = int(hints.get("SizeInMBs", _DEFAULT_MEBIBYTES))
    return time.time() - buffer.records[0][0] >= seconds or buffer.size >= mebibytes * _MEBIBYTE
