"""HTTP/1.1 for models: connections that live on, bounded bodies, an end that cuts no request short."""

from __future__ import annotations

import json
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from predictor import Predictor, predictions

MAX_BODY = 6 * 1024 * 1024  # InvokeEndpoint takes 6 MB
IDLE_SECONDS = 75  # longer than callers keep their connections
DRAIN_SECONDS = 20  # SageMaker kills 30 s after SIGTERM
ACCEPTED = "application/octet-stream"


class DrainingServer(ThreadingHTTPServer):
    """Counts the requests being answered, to end without cutting one."""

    daemon_threads = True  # idle connections must not hold up the end
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], connection: type[Connection]) -> None:
        super().__init__(address, connection)
        self._busy = 0
        self._changed = threading.Condition()

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


class Connection(BaseHTTPRequestHandler):
    """Answers one connection's requests, one after the other. Subclasses say what is served."""

    server: DrainingServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"  # keep-alive
    timeout = IDLE_SECONDS
    wbufsize = -1  # headers and body in one packet ...
    disable_nagle_algorithm = True  # ... that leaves at once

    def posted(self, body: bytes) -> None:
        """Answer a request that came with a body."""
        raise NotImplementedError

    def do_POST(self) -> None:
        """Read the body, and answer."""
        self.server.request_started()
        try:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal():
                self.refuse(HTTPStatus.LENGTH_REQUIRED, "Content-Length is required", close=True)
            elif int(length) > MAX_BODY:
                self.refuse(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY} bytes are taken", close=True
                )
            else:
                self.posted(self.rfile.read(int(length)))
        finally:
            self.server.request_ended()

    def predict(self, predictor: Predictor, body: bytes, come_from: dict[str, str]) -> None:
        """Answer with predictions for the images in `body`."""
        content_type = self.headers.get_content_type()
        if content_type != ACCEPTED:
            self.refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type is {content_type}; send {ACCEPTED}")
            return
        try:
            images = predictor.images(body)
        except ValueError as error:
            self.refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        self.answer(HTTPStatus.OK, predictions(predictor, images, come_from))

    def refuse(self, status: HTTPStatus, reason: str, *, close: bool = False) -> None:
        """Say why there is no answer."""
        self.close_connection = self.close_connection or close  # an unread body would pass for a request
        self.answer(status, {"error": reason})

    def answer(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        """Send a JSON document."""
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
