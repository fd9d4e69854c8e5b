"""HTTPS proxy: `https://<api>.execute-api.<region>.amazonaws.com` is served by the twin, the rest tunnelled.

Programs in the twin use AWS's own URL of an API, unchanged: they only need the proxy and a certificate bundle
that knows the twin's authority, as `variables` gives them.
"""

import asyncio
import base64
import contextlib
import logging
import os
import re
import ssl
import urllib.request
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import botocore
import trustme  # pyright: ignore[reportMissingImports]  # only in the twin's environment

from twin import config

log = logging.getLogger("twin.proxy")
_API_HOST = re.compile(r"^[a-z0-9]{8,10}\.execute-api\.[a-z0-9-]+\.amazonaws\.com$")
_HEAD_LIMIT = 64 * 1024
_HEAD_SECONDS = 30.0
_BUNDLE = "ca-bundle.pem"
# Where a site has told its programs which authorities to trust, ours come on top of those.
_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "AWS_CA_BUNDLE")
_LOCAL = "127.0.0.1,localhost"

_running: "Proxy | None" = None

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ProxyError(Exception):
    """A request that the proxy cannot serve: status, reason."""

    def __init__(self, status: int, reason: str) -> None:
        """`reason` goes to the client."""
        super().__init__(reason)
        self.status, self.reason = status, reason


class Proxy:
    """One listening proxy."""

    def __init__(self, settings: config.TwinConfig) -> None:
        """Load or make the authority, and write the bundle; nothing listens yet."""
        self._twin_port = settings.port
        self._authority = _authority(settings.folder("proxy"))
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._upstream = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") or ""
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on the port after the twin's, or on any free one; from now on `variables` names it."""
        global _running  # noqa: PLW0603  # one proxy per twin
        try:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._twin_port + 1)
        except OSError:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        _running = self

    async def stop(self) -> None:
        """Stop listening, and cut the connections that are still open."""
        if self._server is not None:
            self._server.close()
        for task in list(self._clients):
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        try:
            await self._handle(reader, writer)
        except ProxyError as fault:
            await _refuse(writer, fault)
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError) as fault:
            log.debug("connection ended: %s", fault)
        finally:
            writer.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await _read_head(reader)
        method, target, _ = _request_line(head)
        if method != "CONNECT":
            await _forward(head, target, reader, writer)
            return
        host, _, port = target.rpartition(":")
        if not port.isdigit():
            raise ProxyError(400, f"CONNECT needs host:port, not {target!r}")
        host = host.strip("[]").lower()
        if _API_HOST.match(host):
            await self._terminate(host, reader, writer)
            return
        other = await self._tunnel_to(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await _join((reader, writer), other)

    async def _terminate(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak TLS as the API's host, and hand the plain bytes to the twin: it goes by the Host header."""
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(self._context(host))
        twin = await asyncio.open_connection("127.0.0.1", self._twin_port)
        await _join((reader, writer), twin)

    def _context(self, host: str) -> ssl.SSLContext:
        if host not in self._contexts:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._authority.issue_cert(host).configure_cert(context)
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[host] = context
        return self._contexts[host]

    async def _tunnel_to(self, host: str, port: int) -> Stream:
        if not self._upstream or urllib.request.proxy_bypass(f"{host}:{port}"):
            return await _open(host, port)
        above = urlsplit(self._upstream)
        stream = await _open(above.hostname or "", above.port or 80)
        request = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{_credentials(above)}\r\n"
        stream[1].write(request.encode())
        answer = await _read_head(stream[0])
        if b" 200" not in answer.split(b"\r\n", 1)[0]:
            stream[1].close()
            raise ProxyError(502, f"the proxy above refused {host}:{port}")
        return stream


def _credentials(above: SplitResult) -> str:
    if not above.username:
        return ""
    pair = f"{unquote(above.username)}:{unquote(above.password or '')}"
    return f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"


def variables() -> dict[str, str]:
    """Return the variables that make curl, Python and Node use the running proxy and trust its authority."""
    if _running is None:
        raise config.ConfigError("the proxy is not running: it starts with the server")
    url = f"http://127.0.0.1:{_running.port}"
    bundle = str(config.current().folder("proxy") / _BUNDLE)
    return {
        "HTTPS_PROXY": url,
        "https_proxy": url,
        "NO_PROXY": _LOCAL,
        "no_proxy": _LOCAL,
        "NODE_EXTRA_CA_CERTS": bundle,
        **dict.fromkeys(_BUNDLE_VARIABLES, bundle),
    }


def _authority(folder: Path) -> trustme.CA:
    """Return this home's certificate authority; the bundle beside it has the usual ones and this one."""
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if not (certificate.is_file() and key.is_file()):
        made = trustme.CA(organization_name="local twin")
        key.touch(mode=0o600)
        key.write_bytes(made.private_key_pem.bytes())
        certificate.write_bytes(made.cert_pem.bytes())
    given = next((os.environ[name] for name in _BUNDLE_VARIABLES if os.environ.get(name)), "")
    usual = Path(given or Path(botocore.__file__).with_name("cacert.pem"))
    (folder / _BUNDLE).write_bytes(usual.read_bytes() + b"\n" + certificate.read_bytes())
    return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())


async def _open(host: str, port: int) -> Stream:
    try:
        return await asyncio.open_connection(host, port)
    except OSError as fault:
        raise ProxyError(502, f"{host}:{port} cannot be reached: {fault}") from fault


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    """Read a request or status line with its headers, up to and with the empty line."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = await asyncio.wait_for(reader.readline(), _HEAD_SECONDS)
        head += line
        if not line or len(head) > _HEAD_LIMIT:
            raise ProxyError(400, "the request is incomplete or its header too long")
    return head


def _request_line(head: bytes) -> tuple[str, str, str]:
    parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(parts) != 3:
        raise ProxyError(400, "the request line is malformed")
    return parts[0], parts[1], parts[2]


async def _forward(
    head: bytes, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Pass one plain HTTP request on; the connection ends with its answer."""
    url = urlsplit(target)
    if url.scheme != "http" or not url.hostname:
        raise ProxyError(400, f"this is a proxy: it needs a full http URL, not {target!r}")
    other = await _open(url.hostname, url.port or 80)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    method, _, version = _request_line(head)
    headers = [
        line
        for line in head.split(b"\r\n")[1:-2]
        if not line.lower().startswith((b"proxy-", b"connection:", b"keep-alive:"))
    ]
    lines = [f"{method} {path} {version}".encode("latin-1"), *headers, b"Connection: close", b"", b""]
    other[1].write(b"\r\n".join(lines))
    await _join((reader, writer), other)


async def _join(one: Stream, other: Stream) -> None:
    """Carry bytes both ways until both sides have ended."""
    await asyncio.gather(_carry(one[0], other[1]), _carry(other[0], one[1]))
    other[1].close()


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await source.read(_HEAD_LIMIT):
            sink.write(data)
            await sink.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if sink.can_write_eof():
            sink.write_eof()
        else:  # TLS cannot be closed one way
            sink.close()


async def _refuse(writer: asyncio.StreamWriter, fault: ProxyError) -> None:
    body = f"twin proxy: {fault.reason}\n".encode()
    head = f"HTTP/1.1 {fault.status} Refused\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    with contextlib.suppress(OSError):
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
