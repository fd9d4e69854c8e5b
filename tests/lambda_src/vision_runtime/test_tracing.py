"""Calls to AWS as they appear in a trace: what is sent to the daemon, when, and that it hurts no call."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber

from tests.lambda_src.vision_runtime.aws_over_http import serving
from vision_runtime.client_limits import bounded
from vision_runtime.direct_clients import DynamoDB
from vision_runtime.tracing import trace_calls

ROOT, PARENT = "1-581cf771-a006649127e371903a2de979", "70de5b6f19ff9a0a"


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], dict[str, Any] | None]]:
    """A daemon's port and an invocation that is sampled; gives what came next, or None."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind(("127.0.0.1", 0))
    listening.settimeout(0.2)
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", f"127.0.0.1:{listening.getsockname()[1]}")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={ROOT};Parent={PARENT};Sampled=1;Lineage=1:a:0")

    def received() -> dict[str, Any] | None:
        try:
            head, _, body = listening.recv(65_536).partition(b"\n")
        except TimeoutError:
            return None
        assert json.loads(head) == {"format": "json", "version": 1}
        return json.loads(body)

    yield received
    listening.close()


@pytest.fixture
def stub() -> Iterator[Stubber]:
    """A traced client of DynamoDB whose answers are set by the test."""
    client = boto3.client(
        "dynamodb", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    trace_calls(client, shown={"TableName": "table_name"})
    with Stubber(client) as stubbed:
        yield stubbed


def describe(stub: Stubber) -> None:
    stub.client.describe_table(TableName="lineage")  # type: ignore[attr-defined]


def test_a_call_becomes_a_subsegment_of_the_invocation(
    daemon: Callable[[], dict[str, Any] | None], stub: Stubber
) -> None:
    stub.add_response("describe_table", {})
    describe(stub)
    sent = daemon()
    assert sent is not None
    assert (sent["type"], sent["trace_id"], sent["parent_id"]) == ("subsegment", ROOT, PARENT)
    assert (sent["name"], sent["namespace"]) == ("DynamoDB", "aws")
    assert sent["aws"]["operation"] == "DescribeTable"
    assert sent["aws"]["table_name"] == "lineage"
    assert sent["start_time"] <= sent["end_time"]
    assert "error" not in sent and "fault" not in sent


@pytest.mark.parametrize(
    ("status", "marks"),
    [(400, {"error": True}), (429, {"error": True, "throttle": True}), (500, {"fault": True})],
)
def test_a_refused_call_is_marked_as_what_it_is(
    daemon: Callable[[], dict[str, Any] | None], stub: Stubber, status: int, marks: dict[str, bool]
) -> None:
    stub.add_client_error("describe_table", "No", http_status_code=status)
    with pytest.raises(ClientError):
        describe(stub)
    sent = daemon()
    assert sent is not None
    assert sent["http"]["response"]["status"] == status
    assert {name: sent[name] for name in ("error", "fault", "throttle") if name in sent} == marks


def test_a_call_that_gets_no_answer_is_a_fault_with_its_cause(
    daemon: Callable[[], dict[str, Any] | None],
) -> None:
    client = boto3.client(
        "dynamodb",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        endpoint_url="http://127.0.0.1:1",
    )
    client.meta.config.retries = {"total_max_attempts": 1}
    trace_calls(client, shown={})
    with pytest.raises(EndpointConnectionError):
        client.list_tables()
    sent = daemon()
    assert sent is not None and sent["fault"]
    assert sent["cause"]["exceptions"][0]["type"] == "EndpointConnectionError"


@pytest.mark.parametrize(("status", "table"), [(200, "lineage"), (400, "lineage"), (500, "keys")])
def test_a_direct_clients_call_is_told_as_boto3s(
    daemon: Callable[[], dict[str, Any] | None], monkeypatch: pytest.MonkeyPatch, status: int, table: str
) -> None:
    names = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    once = bounded(connect_seconds=1, read_seconds=1, tries=1)
    with serving() as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
        aws.answers = [(status, {"Content-Type": "application/x-amz-json-1.0"}, b"{}")]
        usual = boto3.session.Session().client("dynamodb", region_name="us-east-1", config=once)
        trace_calls(usual, shown={"TableName": "table_name"})
        told = list[dict[str, Any]]()
        for client in (DynamoDB(once, {"TableName": "table_name"}), usual):
            with contextlib.suppress(ClientError):
                client.get_item(TableName=table, Key={"pk": {"S": "x"}})
            sent = daemon()
            assert sent is not None
            told.append({name: sent[name] for name in sent if name not in {"id", "start_time", "end_time"}})
    assert told[0] == told[1]
    assert told[0]["aws"]["table_name"] == table


@pytest.mark.parametrize("header", [f"Root={ROOT};Parent={PARENT};Sampled=0", f"Root={ROOT}", ""])
def test_nothing_is_sent_of_an_invocation_that_is_not_sampled(
    daemon: Callable[[], dict[str, Any] | None],
    stub: Stubber,
    monkeypatch: pytest.MonkeyPatch,
    header: str,
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    stub.add_response("describe_table", {})
    describe(stub)
    assert daemon() is None


@pytest.mark.parametrize("address", ["", "nowhere", "127.0.0.1:0"])
def test_a_trace_that_cannot_be_sent_does_not_fail_the_call(
    daemon: Callable[[], dict[str, Any] | None],
    stub: Stubber,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
) -> None:
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", address)
    stub.add_response("describe_table", {})
    describe(stub)
