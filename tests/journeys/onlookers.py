"""Those who look on while something goes wrong: a caller of the API, and people who are sent messages."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from tests.journeys.pipeline import REGION, Pipeline

_PAUSE_SECONDS = 0.4
_ANSWER_SECONDS = 30
_ARRIVAL_SECONDS = 20


class Caller:
    """Asks the champion of an environment again and again, by the command that the demo prints.

    A context manager: it asks from the beginning of the block to its end.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)
        self.versions: list[str] = []
        self.failed: list[str] = []

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(_ANSWER_SECONDS + 1)

    def _ask_on(self) -> None:
        while not self._ended.is_set():
            self._ask()
            self._ended.wait(_PAUSE_SECONDS)

    def _ask(self) -> None:
        try:
            done = subprocess.run(
                self._command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            self.failed.append(f"no answer in {_ANSWER_SECONDS} s")
            return
        try:
            self.versions.append(json.loads(done.stdout)["model_version"])
        except (ValueError, KeyError):
            self.failed.append(f"{done.returncode}: {done.stdout} {done.stderr}")


class Mailbox:
    """A queue that is subscribed to the topic of the delivery, as a person's mailbox would be."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._sqs = pipeline.twin.client("sqs", "tooling")
        self._queue = self._sqs.create_queue(QueueName="mailbox")["QueueUrl"]
        queue = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        arn = queue["Attributes"]["QueueArn"]
        topic = _topic(pipeline)
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._sqs.set_queue_attributes(QueueUrl=self._queue, Attributes={"Policy": policy})
        pipeline.twin.client("sns", "tooling").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def until(self, wanted: Callable[[str], bool], what: str) -> list[str]:
        """What has arrived since the last look, up to a message that is wanted; fails when none comes."""
        return self.until_each({what: wanted})

    def until_each(self, wanted: Mapping[str, Callable[[str], bool]]) -> list[str]:
        """The same for several messages, which may come in any order."""
        arrived: list[str] = []
        missing = dict(wanted)
        until = time.monotonic() + _ARRIVAL_SECONDS
        while time.monotonic() < until:
            for message in self._next():
                arrived.append(message)
                missing = {what: is_it for what, is_it in missing.items() if not is_it(message)}
                if not missing:
                    return arrived
        raise AssertionError(f"nobody was told: {', '.join(missing)}. They were told:\n" + "\n".join(arrived))

    def _next(self) -> list[str]:
        answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=1, WaitTimeSeconds=1)
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        for message in messages:
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        told = [json.loads(message["Body"]) for message in messages]
        return [f"{each.get('Subject', '')}\n{each['Message']}".strip() for each in told]


def _topic(pipeline: Pipeline) -> str:
    """The topic of the delivery stack, from its resources."""
    api = pipeline.twin.client("cloudformation", "tooling")
    resources = api.describe_stack_resources(StackName=pipeline.twin.pipeline_name)["StackResources"]
    (topic,) = [each["PhysicalResourceId"] for each in resources if each["ResourceType"] == "AWS::SNS::Topic"]
    assert topic.startswith(f"arn:aws:sns:{REGION}:")
    return topic
