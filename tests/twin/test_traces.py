"""Traces: what a traced API and its function leave in X-Ray, found again by id and by time, under IAM."""

import io
import json
import secrets
import time
import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.apigateway.conftest import Apis

ACCOUNT = "222222222222"
TRACE = {"Effect": "Allow", "Action": "xray:PutTraceSegments", "Resource": "*"}
# As an SDK inside a function does: one subsegment to the daemon.
SOURCE = """
import json, os, socket
def handler(event, context):
    trace = dict(part.split("=", 1) for part in os.environ["_X_AMZN_TRACE_ID"].split(";"))
    part = {"type": "subsegment", "trace_id": trace["Root"], "parent_id": trace["Parent"], "id": "0" * 16,
            "name": "DynamoDB", "namespace": "aws", "start_time": 1.0, "end_time": 2.0}
    host, port = os.environ["AWS_XRAY_DAEMON_ADDRESS"].split(":")
    packet = b'{"format": "json", "version": 1}\\n' + json.dumps(part).encode()
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(packet, (host, int(port)))
    return {"statusCode": 200, "body": json.dumps(trace)}
"""


@pytest.fixture(scope="module")
def xray(twin: Any) -> Any:
    return twin.client("xray", ACCOUNT)


@pytest.fixture(scope="module")
def apis(twin: Any) -> Apis:
    return Apis(twin)


@pytest.fixture(scope="module")
def traced_api(twin: Any) -> Callable[..., tuple[Apis, str]]:
    """Makes an API whose stage and function trace; the function's role may send segments, or not."""

    def make(*, may_send: bool = True, stage_traces: bool = True) -> tuple[Apis, str]:
        apis = Apis(twin)
        role = apis.role("lambda.amazonaws.com", *([TRACE] if may_send else []))
        apis.function = _function(apis, role)
        api = apis.make()
        if stage_traces:
            patch = {"op": "replace", "path": "/tracingEnabled", "value": "true"}
            apis.gateway.update_stage(restApiId=api, stageName="live", patchOperations=[patch])
        return apis, api

    return make


def _function(apis: Apis, role: str) -> str:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as packed:
        packed.writestr("index.py", SOURCE)
    return apis.functions.create_function(
        FunctionName=f"traced-{uuid.uuid4().hex[:8]}",
        Runtime="python3.13",
        Handler="index.handler",
        Role=role,
        Code={"ZipFile": package.getvalue()},
        TracingConfig={"Mode": "Active"},
    )["FunctionArn"]


def sampled(root: str) -> dict[str, str]:
    return {"X-Amzn-Trace-Id": f"Root={root};Sampled=1"}


def a_root() -> str:
    return f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"


def documents(xray: Any, root: str) -> dict[str, dict[str, Any]]:
    """Segments of a trace by origin; waits for the function's packet, which nobody waits for."""
    found: dict[str, dict[str, Any]] = {}
    for _ in range(40):
        traces = xray.batch_get_traces(TraceIds=[root])["Traces"]
        parsed = [json.loads(one["Document"]) for trace in traces for one in trace["Segments"]]
        found = {document["origin"]: document for document in parsed}
        if found.get("AWS::Lambda::Function", {}).get("subsegments"):
            break
        time.sleep(0.05)
    return found


def test_a_request_is_followed_from_the_gateway_to_the_calls_of_the_function(
    traced_api: Callable[..., tuple[Apis, str]], xray: Any
) -> None:
    apis, api = traced_api()
    root = a_root()
    answer = apis.call(api, headers=sampled(root))
    assert answer.headers["X-Amzn-Trace-Id"].startswith(f"Root={root};")
    found = documents(xray, root)
    gateway = found["AWS::ApiGateway::Stage"]
    service, function = found["AWS::Lambda"], found["AWS::Lambda::Function"]
    assert gateway["http"]["response"]["status"] == 200
    assert gateway["aws"]["api_gateway"]["request_id"] == answer.headers["x-amzn-requestid"]
    assert service["parent_id"] == gateway["subsegments"][0]["id"]
    assert function["parent_id"] == service["id"]
    assert function["id"] == answer.json()["Parent"], "the function's own parts belong below its segment"
    assert [part["name"] for part in function["subsegments"]] == ["DynamoDB"]


def test_a_trace_is_found_by_the_time_in_which_it_began(
    traced_api: Callable[..., tuple[Apis, str]], xray: Any
) -> None:
    apis, api = traced_api()
    root = a_root()
    began = datetime.now(UTC) - timedelta(seconds=1)  # SDKs send whole seconds
    apis.call(api, headers=sampled(root))
    ended = datetime.now(UTC) + timedelta(seconds=1)
    summaries = xray.get_trace_summaries(StartTime=began, EndTime=ended)["TraceSummaries"]
    (summary,) = [one for one in summaries if one["Id"] == root]
    assert summary["Http"]["HttpStatus"] == 200 and not summary["HasFault"]
    before = xray.get_trace_summaries(StartTime=began - timedelta(hours=1), EndTime=began)
    assert root not in [one["Id"] for one in before["TraceSummaries"]]


def test_a_caller_who_wants_no_trace_leaves_none(
    traced_api: Callable[..., tuple[Apis, str]], xray: Any
) -> None:
    apis, api = traced_api()
    root = a_root()
    apis.call(api, headers={"X-Amzn-Trace-Id": f"Root={root};Sampled=0"})
    answer = xray.batch_get_traces(TraceIds=[root])
    assert (answer["Traces"], answer["UnprocessedTraceIds"]) == ([], [root])


def test_a_stage_that_does_not_trace_passes_the_trace_on_to_the_function(
    traced_api: Callable[..., tuple[Apis, str]], xray: Any
) -> None:
    apis, api = traced_api(stage_traces=False)
    root = a_root()
    apis.call(api, headers=sampled(root))
    assert set(documents(xray, root)) == {"AWS::Lambda", "AWS::Lambda::Function"}


def test_without_its_permission_a_function_has_no_part_in_the_trace(
    traced_api: Callable[..., tuple[Apis, str]], xray: Any
) -> None:
    apis, api = traced_api(may_send=False)
    root = a_root()
    assert apis.call(api, headers=sampled(root)).status_code == 200
    assert set(documents(xray, root)) == {"AWS::ApiGateway::Stage", "AWS::Lambda"}


def test_traces_are_read_by_those_who_may(apis: Apis, twin: Any) -> None:
    read = {"Effect": "Allow", "Action": "xray:BatchGetTraces", "Resource": "*"}
    for statements, allowed in (((read,), True), ((), False)):
        role = apis.role(None, *statements)
        assumed = twin.client("sts", ACCOUNT).assume_role(RoleArn=role, RoleSessionName="reader")
        client = twin.client("xray", assumed["Credentials"])
        if allowed:
            assert client.batch_get_traces(TraceIds=[a_root()])["Traces"] == []
            continue
        with pytest.raises(ClientError, match="xray:BatchGetTraces"):
            client.batch_get_traces(TraceIds=[a_root()])


def test_segments_are_taken_by_the_api_and_bad_ones_named(xray: Any) -> None:
    root = a_root()
    good = {"id": "a" * 16, "trace_id": root, "name": "job", "start_time": 5.0, "end_time": 6.5}
    bad = {**good, "id": "short"}
    texts = [json.dumps(good), json.dumps(bad), "{"]
    refused = xray.put_trace_segments(TraceSegmentDocuments=texts)["UnprocessedTraceSegments"]
    assert [one["ErrorCode"] for one in refused] == ["ParseError", "ParseError"]
    assert "id is malformed" in refused[0]["Message"]
    (trace,) = xray.batch_get_traces(TraceIds=[root])["Traces"]
    assert trace["Duration"] == 1.5


def test_what_is_not_served_is_refused_by_name(xray: Any) -> None:
    now = datetime.now(UTC)
    with pytest.raises(ClientError, match="GetTraceSummaries with FilterExpression is not implemented"):
        xray.get_trace_summaries(StartTime=now, EndTime=now, FilterExpression="fault")
    with pytest.raises(ClientError, match="xray:GetServiceGraph is not implemented"):
        xray.get_service_graph(StartTime=now, EndTime=now)
    with pytest.raises(ClientError, match="6 hours"):
        xray.get_trace_summaries(StartTime=now - timedelta(hours=7), EndTime=now)
