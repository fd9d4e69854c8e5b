"""A service of AWS on 127.0.0.1 that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REQUEST_ID = "7f1c"


@dataclass(frozen=True)
class Asked:
    """One request as it came; names of headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int  # the caller's port


@dataclass
class Service:
    """`answers` come in turn, the last one again and again; without any, requests wait in vain."""

    url: str = ""
    answers: list[tuple[int, dict[str, str], bytes]] = field(
        default_factory=list[tuple[int, dict[str, str], bytes]]
    )
    asked: list[Asked] = field(default_factory=list[Asked])
    closes: bool = False  # the connection, after each answer and without a word
    hangs_seconds: float = 0

    def next_answer(self) -> tuple[int, dict[str, str], bytes]:
        """The answer to the request at hand."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serving() -> Generator[Service]:
    """The service, listening."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            service.asked.append(Asked(self.path, headers, body, self.client_address[1]))
            time.sleep(service.hangs_seconds)
            if not service.answers:
                self.close_connection = True
                return
            status, told, content = service.next_answer()
            self.send_response(status)
            for name, value in {"x-amzn-RequestId": REQUEST_ID, **told}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = service.closes

        def log_message(self, *_: Any) -> None:
            """No words on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        service.url = f"http://127.0.0.1:{server.server_port}"
        yield service
        server.shutdown()
