"""Clients of the quick session are those that botocore makes; bounded ones wait and try as they are told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from vision_runtime.clients import bounded, quick_session

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-north-1"])
@pytest.mark.parametrize("service", ["sagemaker-runtime", "dynamodb", "s3", "lambda"])
def test_quick_session_makes_the_clients_that_botocore_makes(service: str, region: str) -> None:
    quick, usual = (
        session.create_client(service, region_name=region, **KEYS)
        for session in (quick_session(), botocore.session.Session())
    )
    assert quick.meta.endpoint_url == usual.meta.endpoint_url
    assert quick.meta.service_model.signature_version == usual.meta.service_model.signature_version
    for name in usual.meta.service_model.operation_names:
        ours, theirs = (client.meta.service_model.operation_model(name) for client in (quick, usual))
        # In their order too: some protocols write members in it.
        assert _members(ours.input_shape) == _members(theirs.input_shape)
        assert _members(ours.output_shape) == _members(theirs.output_shape)


def _members(shape: Any) -> list[str]:
    return list(shape.members) if shape else []


def test_service_that_is_none_is_refused() -> None:
    with pytest.raises(BotoCoreError, match="sagemaker-rutime"):
        quick_session().create_client("sagemaker-rutime", region_name="us-east-1")


@pytest.fixture
def failing() -> Iterator[tuple[str, list[str]]]:
    """A service that answers 500, and the user agents of the requests that it got."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(self.headers["User-Agent"])
            self.send_response(500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """No words on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


def test_bounded_client_tries_as_often_as_it_is_told(failing: tuple[str, list[str]]) -> None:
    url, seen = failing
    client: Any = quick_session().create_client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=url,
        config=bounded(connect_seconds=1, read_seconds=1, tries=2),
        **KEYS,
    )
    with pytest.raises(ClientError):
        client.put_item(TableName="t", Item={"pk": {"S": "x"}})
    assert len(seen) == 2
    assert all(agent.startswith("vision-platform") for agent in seen)
