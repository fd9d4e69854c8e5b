"""The X-Ray daemon beside each function: takes segments by UDP, as SDKs send them."""

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

_LARGEST_BYTES = 65_536
log = logging.getLogger("twin.xray")


class DaemonPort:
    """One daemon's port, open until `close`; whoever opens it says what becomes of a segment."""

    def __init__(self, deliver: Callable[[dict[str, Any]], None]) -> None:
        """Listen on a free port of this machine; `deliver` gets each segment, on a thread of the port."""
        self._deliver = deliver
        self._open = True
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True, name="twin-xray-daemon").start()

    def close(self) -> None:
        """Stop listening."""
        self._open = False
        # Shutting down wakes the thread, which closing alone would leave waiting.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                packet = self._socket.recv(_LARGEST_BYTES)
            except OSError:
                return
            if not self._open:
                return
            try:
                self._take(packet)
            except Exception:
                log.exception("a packet for the X-Ray daemon could not be taken")

    def _take(self, packet: bytes) -> None:
        """Read ``{"format": "json", "version": 1}``, a line break, and one document."""
        head, _, body = packet.partition(b"\n")
        try:
            header, document = json.loads(head), json.loads(body)
        except ValueError:
            log.warning("the X-Ray daemon got %d bytes that are not its protocol", len(packet))
            return
        if header.get("format") == "json" and header.get("version") == 1:
            self._deliver(document)
