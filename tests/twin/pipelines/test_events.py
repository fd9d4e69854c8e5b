"""The events of pipelines on the default bus, as a rule's target gets them."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.twin.conftest import Twin
from tests.twin.pipelines.builders import REGION, TOOLING, approval_action, build_action, buildspec
from tests.twin.pipelines.pipeline import Pipeline, decide, started, wait_for

pytestmark = pytest.mark.twin
Make = Callable[..., Pipeline]
MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Seen:
    """The events that a queue has received so far."""

    def __init__(self, twin: Twin) -> None:
        self._sqs, self._queue = twin.client("sqs"), ""
        self.details: list[dict[str, Any]] = []

    def listen(self, twin: Twin) -> None:
        self._queue = self._sqs.create_queue(QueueName="pipeline-events")["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{TOOLING}:pipeline-events"
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._sqs.set_queue_attributes(QueueUrl=self._queue, Attributes={"Policy": policy})
        events = twin.client("events")
        pattern = {"source": ["aws.codepipeline", "aws.codebuild"]}
        events.put_rule(Name="pipeline-events", EventPattern=json.dumps(pattern))
        events.put_targets(Rule="pipeline-events", Targets=[{"Id": "queue", "Arn": arn}])

    def stop(self, twin: Twin) -> None:
        events = twin.client("events")
        events.remove_targets(Rule="pipeline-events", Ids=["queue"])
        events.delete_rule(Name="pipeline-events")
        self._sqs.delete_queue(QueueUrl=self._queue)

    def look(self) -> None:
        received = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
        for message in received.get("Messages", []):
            event = json.loads(message["Body"])
            self.details.append({"of": event["detail-type"].split()[1].lower(), **event["detail"]})
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])

    def states(self, execution: str, of: str, **wanted: str) -> list[str]:
        """The states that were told, in order, of an execution's pipeline, stage or action."""
        return [d["state"] for d in self.of(execution, of, **wanted)]

    def of(self, execution: str, of: str, **wanted: str) -> list[dict[str, Any]]:
        wanted = {"of": of, "execution-id": execution, **wanted}
        return [d for d in self.details if all(d.get(k) == v for k, v in wanted.items())]

    def builds(self) -> set[str]:
        """The states that were told of builds."""
        return {d["build-status"] for d in self.details if d["of"] == "build"}

    def wait(self, execution: str, of: str, states: list[str], **wanted: str) -> None:
        """Wait until exactly these states were told; at-least-once delivery keeps no order here."""

        def look() -> bool:
            self.look()
            return sorted(self.states(execution, of, **wanted)) == sorted(states)

        wait_for(look, f"{of} {wanted} to be told as {states}: {self.details}")


@pytest.fixture
def seen(pipeline_twin: Twin) -> Iterator[Seen]:
    listening = Seen(pipeline_twin)
    listening.listen(pipeline_twin)
    yield listening
    listening.stop(pipeline_twin)


def test_failure_and_retry_are_told_of_pipeline_stage_action_and_build(
    make_pipeline: Make, seen: Seen
) -> None:
    pipeline = make_pipeline(stages=[{"Name": "Build", "Actions": [build_action()]}])
    pipeline.push(buildspec("exit 1"))
    execution = started(pipeline)
    pipeline.wait(execution)
    seen.wait(execution, "pipeline", ["STARTED", "FAILED"])
    seen.wait(execution, "stage", ["STARTED", "SUCCEEDED"], stage="Source")
    seen.wait(execution, "stage", ["STARTED", "FAILED"], stage="Build")
    seen.wait(execution, "action", ["STARTED", "FAILED"], action="Build")
    wait_for(lambda: seen.look() or {"IN_PROGRESS", "FAILED"} <= seen.builds(), "the build's events")
    begun = next(d for d in seen.of(execution, "pipeline") if d["state"] == "STARTED")
    assert begun["execution-trigger"]["trigger-type"] == "CreatePipeline"
    assert begun["version"] == begun["pipeline-execution-attempt"] == 1.0
    assert MILLISECONDS.fullmatch(begun["start-time"])
    failed = next(d for d in seen.of(execution, "action", action="Build") if d["state"] == "FAILED")
    assert failed["execution-result"]["error-code"] == "JobFailed"
    assert "exit status 1" in failed["execution-result"]["external-execution-summary"]
    assert failed["input-artifacts"][0]["name"] == "Source"
    ended = next(d for d in seen.of(execution, "pipeline") if d["state"] == "FAILED")
    assert "execution-trigger" not in ended and "additionalAttributes" not in ended

    pipeline.api.retry_stage_execution(
        pipelineName=pipeline.name, stageName="Build", pipelineExecutionId=execution, retryMode="ALL_ACTIONS"
    )
    pipeline.wait(execution)
    seen.wait(execution, "pipeline", ["STARTED", "FAILED", "RESUMED", "FAILED"])
    seen.wait(execution, "stage", ["STARTED", "FAILED", "RESUMED", "FAILED"], stage="Build")
    resumed = next(d for d in seen.of(execution, "stage") if d["state"] == "RESUMED")
    assert resumed["pipeline-execution-attempt"] == 2.0
    assert MILLISECONDS.fullmatch(resumed["stage-last-retry-attempt-time"])


def test_approval_rollback_and_stop_are_told(make_pipeline: Make, seen: Seen) -> None:
    check = build_action("Check", RunOrder=2)
    prod = {"Name": "Prod", "Actions": [approval_action(), check], "OnFailure": {"Result": "ROLLBACK"}}
    pipeline = make_pipeline(stages=[prod])
    pipeline.push(buildspec("true"))
    first = started(pipeline)
    pipeline.token("Prod", "Approve")
    seen.wait(first, "action", ["STARTED"], action="Approve")
    waiting = seen.of(first, "action", action="Approve")[0]
    assert waiting["type"] == {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}
    assert waiting["stage"] == "Prod" and "execution-result" not in waiting
    decide(pipeline, "Prod")
    pipeline.wait(first)
    seen.wait(first, "pipeline", ["STARTED", "SUCCEEDED"])

    commit = pipeline.push(buildspec("false"))
    failed = pipeline.of_commit(commit)["pipelineExecutionId"]
    decide(pipeline, "Prod")
    pipeline.wait(failed)
    seen.wait(failed, "pipeline", ["STARTED", "FAILED"])
    ended = next(d for d in seen.of(failed, "pipeline") if d["state"] == "FAILED")
    assert ended["execution-trigger"]["commit-id"] == commit
    assert ended["execution-trigger"]["branch-name"] == "main"
    rollback = pipeline.executions()[0]["pipelineExecutionId"]
    seen.wait(rollback, "pipeline", ["STARTED"])
    begun = seen.of(rollback, "pipeline")[0]
    assert begun["execution-trigger"] == {
        "trigger-type": "AutomatedRollback",
        "trigger-detail": json.dumps({"FailedPipelineExecutionId": failed}, separators=(",", ":")),
    }

    pipeline.token("Prod", "Approve")
    pipeline.api.stop_pipeline_execution(
        pipelineName=pipeline.name, pipelineExecutionId=rollback, abandon=True, reason="enough"
    )
    pipeline.wait(rollback)
    seen.wait(rollback, "pipeline", ["STARTED", "STOPPING", "STOPPED"])
    seen.wait(rollback, "stage", ["STARTED", "STOPPING", "STOPPED"], stage="Prod")
    seen.wait(rollback, "action", ["STARTED", "ABANDONED"], action="Approve")
    assert seen.of(rollback, "pipeline")[-1]["stop-execution-comments"] == "enough"
