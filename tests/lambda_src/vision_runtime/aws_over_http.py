"""A service of AWS on 127.0.0.1 that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import ipaddress
import ssl
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

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

    def wait_for(self, requests: int) -> None:
        """Wait until so many have come: callers who give up may be ahead of the service."""
        until = time.monotonic() + 30
        while len(self.asked) < requests and time.monotonic() < until:
            time.sleep(0.005)

    def next_answer(self) -> tuple[int, dict[str, str], bytes]:
        """The answer to the request at hand."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass(frozen=True)
class Certificate:
    """Paths of PEM files."""

    chain: str
    key: str


def make_certificate(folder: Path) -> Certificate:
    """One for 127.0.0.1 that nobody vouches for, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "chain.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Certificate(str(folder / "chain.pem"), str(folder / "key.pem"))


class _Server(ThreadingHTTPServer):
    """Says nothing of callers who turn away, as those do who do not trust its certificate."""

    def handle_error(self, *_: Any) -> None:
        """No words on standard error."""


@contextmanager
def serving(certificate: Certificate | None = None) -> Generator[Service]:
    """The service, listening; by TLS where it has a certificate."""
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

    with _Server(("127.0.0.1", 0), Handler) as server:
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate.chain, certificate.key)
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        service.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
        yield service
        server.shutdown()
