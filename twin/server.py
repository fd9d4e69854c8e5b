"""Runs the twin: ministack in this process, with the twin's own services, until it is told to stop."""

import argparse
import asyncio
import errno
import fcntl
import importlib
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve  # pyright: ignore[reportMissingImports]  # only in the twin's environment
from hypercorn.config import Config as ServerSettings  # pyright: ignore[reportMissingImports]

from twin import config, endpoints, lifecycle, processes, proxy

# In this order: later modules build on what the earlier ones put in place.
MODULES = (
    "twin.glue",
    "twin.iam",
    "twin.buckets",
    "twin.cloudformation",
    "twin.observability",
    "twin.metric_data",
    "twin.queue_metrics",
    "twin.events",
    "twin.schedules",
    "twin.faults",
    "twin.services.xray",
    "twin.lambda_runtime",
    "twin.event_sources",
    "twin.firehose",
    "twin.stepfunctions",
    "twin.apigateway",
    "twin.images",
    "twin.services.sagemaker",
    "twin.services.application_autoscaling",
    "twin.services.codebuild",
    "twin.services.codepipeline",
    "twin.services.code_connections",
    "twin.services.service_quotas",
)
_GRACE_SECONDS = 3  # for requests that are on their way when the twin is told to stop
_BUSY = "port {port} is in use: stop what listens there, or choose another with --port"
log = logging.getLogger("twin.server")


class _StartFault(Exception):
    """The twin cannot start; the message is one line with the cure."""


def _prepare_environment(settings: config.TwinConfig) -> None:
    """Set what ministack reads from the environment when it is imported."""
    os.environ.update(
        AUTH="true",
        GATEWAY_PORT=str(settings.port),
        BIND_HOST="127.0.0.1",
        MINISTACK_HOST="localhost",
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        PERSIST_STATE="1",
        STATE_DIR=str(settings.folder("state")),
        S3_PERSIST="1",
        S3_DATA_DIR=str(settings.folder("s3")),
        AWS_ENDPOINT_URL=settings.endpoint,
        AWS_ACCESS_KEY_ID="000000000000",
        AWS_SECRET_ACCESS_KEY="test",  # noqa: S106  # the documented secret of every account's root in the twin
        DOCKER_HOST="unix:///nonexistent",  # the twin never looks for a container engine
    )


def _install_modules() -> None:
    from twin.glue import GlueError

    try:
        for name in MODULES:
            importlib.import_module(name).install()
    except GlueError as fault:
        raise _StartFault(str(fault)) from fault


def _claim(home: Path) -> int:
    """Lock the home for this process, while the descriptor is open; raises `_StartFault` if it is locked."""
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        raise _StartFault(
            f"{home} is in use by another twin: stop it, or choose another with --home"
        ) from fault
    return descriptor


def _port_is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


async def _read_body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer_own_path(scope: dict[str, Any], receive: Any, send: Any) -> None:
    request = endpoints.parse(
        scope["method"], scope["path"], scope.get("query_string", b""), await _read_body(receive)
    )
    answer = await asyncio.to_thread(endpoints.answer, request)
    headers = [(b"content-type", answer.content_type.encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _announcing(send: Any) -> Any:
    """Let those begin that wait for the last run's state: ministack has it when it says that it is up."""

    async def announce(message: dict[str, Any]) -> None:
        if message["type"] == "lifespan.startup.complete":
            lifecycle.restored()
        await send(message)

    return announce


def _holding(receive: Any) -> Any:
    """Hold what the twin has started before ministack saves the state."""

    async def hold() -> dict[str, Any]:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            processes.hold_all()
        return message

    return hold


def _application() -> Any:
    """Wrap ministack's ASGI application: the twin's own paths, and the scheme of AWS's endpoints."""
    from twin import glue
    from twin.glue.requests import DropConnection

    ministack = glue.internal("app")

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            receive, send = _holding(receive), _announcing(send)
        if scope["type"] == "http":
            if scope["path"].startswith(endpoints.PREFIX):
                await _answer_own_path(scope, receive, send)
                return
            # The endpoint stands for AWS's TLS endpoints: policies on aws:SecureTransport must see TLS.
            scope = dict(scope, scheme="https")
        try:
            if scope["type"] == "lifespan":
                await ministack.app(scope, receive, send)
            else:
                # A request that ministack has in a thread cannot be cancelled, and may wait for minutes (for
                # a function, for a model). Shielded, it is left behind when the twin stops.
                await asyncio.shield(ministack.app(scope, receive, send))
        except DropConnection:
            # An answer that is announced and never comes: the server then closes the connection.
            headers = [(b"transfer-encoding", b"chunked")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

    return application


async def _serve(settings: config.TwinConfig) -> None:
    serving = ServerSettings()
    serving.bind = [f"127.0.0.1:{settings.port}"]
    serving.keep_alive_timeout = 75
    serving.graceful_timeout = _GRACE_SECONDS
    serving.loglevel = "WARNING"
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        lifecycle.stopping.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)

    async def stopped() -> None:
        await stop.wait()

    gateway = proxy.Proxy(settings)
    await gateway.start()
    _register_endpoints(settings, gateway)
    await serve(_application(), serving, shutdown_trigger=stopped)
    await gateway.stop()


class _SaveFaults(logging.Handler):
    """Collects what ministack only logs when a state cannot be written."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def _reset(_: endpoints.Request) -> dict[str, str]:
    from twin import glue

    processes.end_all()
    for state in glue.states().values():
        state.reset()
    glue.internal("app")._reset_all_state()
    return {"status": "empty"}


def _register_endpoints(settings: config.TwinConfig, gateway: proxy.Proxy) -> None:
    facts = {
        "status": "ready",
        "pid": os.getpid(),
        "port": settings.port,
        "proxy_port": gateway.port,
        "home": str(settings.home),
        "project": str(settings.project_root),
    }
    endpoints.register("GET", "health", lambda _: facts)
    endpoints.register("POST", "reset", _reset)


def _set_up_logging(home: Path) -> None:
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s [%(name)s] %(message)s",
        handlers=[logging.FileHandler(home / "server.log"), logging.StreamHandler()],
    )
    for chatty in ("ministack", "persistence", "hypercorn", "botocore", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def run(settings: config.TwinConfig) -> int:
    """Serve until SIGTERM or SIGINT, with the state of the last run; returns the exit code.

    Requests that are not answered within `_GRACE_SECONDS` of the signal are cut off.
    """
    config.use(settings)
    _set_up_logging(settings.folder())
    left = processes.sweep(settings.home)
    if left:
        log.warning("ended what a killed twin had left running: %s", ", ".join(left))
    _prepare_environment(settings)
    _install_modules()
    faults = _SaveFaults()
    logging.getLogger("persistence").addHandler(faults)
    # Not asyncio.run, which at the end waits for requests that were left behind; see `_application`.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_serve(settings))
    except OSError as fault:
        if fault.errno == errno.EADDRINUSE:
            raise _StartFault(_BUSY.format(port=settings.port)) from fault
        raise
    processes.end_all()
    for message in faults.messages:
        print(f"twin: {message}", file=sys.stderr)
    return 1 if faults.messages else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the twin until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m twin.server", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path("build/twin"), help="state, logs and work folders")
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--project", type=Path, default=Path.cwd(), help="folder of twin.toml")
    chosen = parser.parse_args(arguments)
    try:
        if _port_is_taken(chosen.port):
            raise _StartFault(_BUSY.format(port=chosen.port))
        settings = config.load(chosen.home, chosen.port, chosen.project)
        _claim(settings.home)
        return run(settings)
    except (_StartFault, config.ConfigError) as fault:
        print(f"twin: {fault}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # Threads may still work for requests that were cut off; Python would wait for them.
    os._exit(code)
