"""What the function talks to in tests: a CodePipeline that tells a history over HTTP, a table in memory."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.exceptions import ClientError

# Whole minutes ago: CloudWatch takes no metrics from the far past, and the library says so.
MORNING = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=1)
PAGE = 100


def at(seconds: float) -> datetime:
    """So many seconds after the morning of the tests."""
    return MORNING + timedelta(seconds=seconds)


@dataclass
class Run:
    """One execution of the told history; times are seconds after the morning."""

    history: ToldHistory
    id: str
    started: float
    revision: str | None
    kind: str
    status: str = "Succeeded"
    actions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def act(
        self,
        stage: str,
        action: str,
        began: float,
        ended: float,
        status: str = "Succeeded",
        *,
        category: str = "Build",
        variables: dict[str, str] | None = None,
    ) -> Run:
        """Tell of one run of an action."""
        detail = {
            "pipelineExecutionId": self.id,
            "actionExecutionId": f"{self.id}-{len(self.actions)}",
            "stageName": stage,
            "actionName": action,
            "startTime": at(began).timestamp(),
            "lastUpdateTime": at(ended).timestamp(),
            "status": status,
            "input": {"actionTypeId": {"category": category}},
            "output": {"outputVariables": variables or {}},
        }
        self.actions.append(detail)
        return self

    def summary(self) -> dict[str, Any]:
        revisions = [{"actionName": "Source", "revisionId": self.revision}] if self.revision else []
        return {
            "pipelineExecutionId": self.id,
            "status": self.status,
            "startTime": at(self.started).timestamp(),
            "sourceRevisions": revisions,
            "executionType": self.kind,
        }


@dataclass
class ToldHistory:
    """The executions of one pipeline, and how often their lists were asked for."""

    runs: list[Run] = field(default_factory=list[Run])
    calls: list[str] = field(default_factory=list[str])
    throttled: int = 0

    def begin(self, started: float, revision: str | None, kind: str = "STANDARD") -> Run:
        """Tell of an execution without actions."""
        self.runs.append(Run(self, f"run-{len(self.runs)}", started, revision, kind))
        return self.runs[-1]

    def push(self, started: float, revision: str, *, committed: float | None = None) -> Run:
        """A push that has been built: Source 10 s, Build 60 s."""
        variables = {} if committed is None else {"AuthorDate": at(committed).strftime("%Y-%m-%dT%H:%M:%SZ")}
        run = self.begin(started, revision)
        run.act("Source", "Source", started, started + 10, category="Source", variables=variables)
        return run.act("Build", "Synth", started + 10, started + 70)

    def deliver(self, started: float, revision: str, *, committed: float | None = None) -> Run:
        """A push that reaches production 200 s later: approved after 100 s, deployed in 30."""
        run = self.push(started, revision, committed=committed)
        run.act("Prod", "Promote", started + 70, started + 170, category="Approval")
        return run.act("Prod", "Deploy", started + 170, started + 200, category="Deploy")

    def break_production(self, started: float, revision: str) -> Run:
        """A push whose deployment to production fails 200 s later."""
        run = self.push(started, revision)
        run.act("Prod", "Promote", started + 70, started + 170, category="Approval")
        run.act("Prod", "Deploy", started + 170, started + 200, "Failed", category="Deploy")
        run.status = "Failed"
        return run

    def roll_back(self, started: float, to: str, status: str = "Succeeded") -> Run:
        """A rollback of the production stage that takes 30 s."""
        run = self.begin(started, to, "ROLLBACK")
        run.status = status
        return run.act("Prod", "Deploy", started, started + 30, status, category="Deploy")

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """One page, as CodePipeline answers."""
        self.calls.append(operation)
        if operation == "ListPipelineExecutions":
            newest_first = sorted(self.runs, key=lambda run: run.started, reverse=True)
            return page("pipelineExecutionSummaries", [run.summary() for run in newest_first], request)
        assert operation == "ListActionExecutions"
        wanted = request["filter"]["pipelineExecutionId"]
        found = [each for run in self.runs if run.id == wanted for each in reversed(run.actions)]
        return page("actionExecutionDetails", found, request)


def page(member: str, items: list[dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    first = int(request.get("nextToken") or 0)
    more = {"nextToken": str(first + PAGE)} if first + PAGE < len(items) else {}
    return {member: items[first : first + PAGE], **more}


@contextmanager
def serve(history: ToldHistory) -> Iterator[str]:
    """Answer CodePipeline's requests; yields the address."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            if history.throttled:
                history.throttled -= 1
                status, body = 400, {"__type": "ThrottlingException", "message": "Rate exceeded"}
            else:
                status, body = 200, history.answer(operation, request)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Records:
    """DynamoDB as far as the library calls it, with its condition: absent, expired, or a lease that ended."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}

    def put_item(self, *, Item: dict[str, Any], **_: Any) -> None:
        old = self.items.get(Item["id"]["S"])
        if old is not None:
            lease = old.get("in_progress_expiration")
            ended = lease is not None and int(lease["N"]) < time.time() * 1000
            if not (old["status"]["S"] == "INPROGRESS" and ended):
                response = {"Error": {"Code": "ConditionalCheckFailedException"}, "Item": old}
                raise ClientError(response, "PutItem")
        self.items[Item["id"]["S"]] = Item

    def update_item(
        self, *, Key: dict[str, Any], ExpressionAttributeValues: dict[str, Any], **_: Any
    ) -> None:
        item = self.items[Key["id"]["S"]]
        item["status"] = ExpressionAttributeValues[":status"]
        item["expires_at"] = ExpressionAttributeValues[":expiry"]

    def delete_item(self, *, Key: dict[str, Any], **_: Any) -> None:
        del self.items[Key["id"]["S"]]
