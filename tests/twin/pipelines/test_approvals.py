"""Manual approvals: who is told, in which words, and what becomes of those that nobody decides."""

import json
import time
from collections.abc import Callable

import pytest
import requests

from tests.twin.pipelines.builders import REGION, TOOLING, approval_action, buildspec
from tests.twin.pipelines.pipeline import Pipeline, decide, started, wait_for

pytestmark = pytest.mark.twin
Make = Callable[..., Pipeline]


def test_topic_of_an_approval_gets_what_aws_publishes(make_pipeline: Make) -> None:
    topic = f"arn:aws:sns:{REGION}:{TOOLING}:approvals"
    pipeline = make_pipeline(
        stages=[
            {
                "Name": "Prod",
                "Actions": [
                    {
                        **approval_action(
                            NotificationArn=topic,
                            CustomData="Deploy #{Code.CommitId}?",
                            ExternalEntityLink="https://example.com/dossier",
                        ),
                        "TimeoutInMinutes": 60,
                    }
                ],
            }
        ],
        pipeline_statements=[{"Action": "sns:Publish", "Resource": topic}],
    )
    sns, sqs = pipeline.twin.client("sns"), pipeline.twin.client("sqs")
    sns.create_topic(Name="approvals")
    queue = sqs.create_queue(QueueName="approvals")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{TOOLING}:approvals"
    statement = {
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": arn,
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    commit = pipeline.push(buildspec("true"))
    before = time.time()
    execution = started(pipeline)
    token = pipeline.token("Prod", "Approve")
    received = wait_for(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"), "the notification")
    envelope = json.loads(received[0]["Body"])
    assert envelope["Subject"] == f"APPROVAL NEEDED: AWS CodePipeline {pipeline.name} for action Approve"
    message = json.loads(envelope["Message"])
    expires = message["approval"].pop("expires")
    assert expires >= time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(before + 3600))
    console = f"https://console.aws.amazon.com/codepipeline/home?region={REGION}#/view/{pipeline.name}"
    assert message == {
        "region": REGION,
        "consoleLink": console,
        "approval": {
            "pipelineName": pipeline.name,
            "stageName": "Prod",
            "actionName": "Approve",
            "token": token,
            "externalEntityLink": "https://example.com/dossier",
            "approvalReviewLink": f"{console}/Prod/Approve/approve/{token}",
            "customData": f"Deploy {commit}?",
        },
    }
    decide(pipeline, "Prod", "Rejected", "not on a Friday")
    assert pipeline.wait(execution)["statusSummary"].endswith(":root: not on a Friday")


def test_approval_that_nobody_decides_expires(make_pipeline: Make) -> None:
    def timed(name: str, minutes: int) -> dict[str, object]:
        return {**approval_action(name), "TimeoutInMinutes": minutes}

    pipeline = make_pipeline(stages=[{"Name": "Prod", "Actions": [timed("Ops", 5), timed("Owner", 10)]}])
    pipeline.push({"a": "1"})
    execution = started(pipeline)
    for action in ("Ops", "Owner"):
        pipeline.token("Prod", action)
    with pytest.raises(requests.HTTPError):
        pipeline.twin.post("approvals/expire")
    with pytest.raises(requests.HTTPError):  # which of the two?
        pipeline.twin.post(f"approvals/expire?pipeline={pipeline.name}")
    chosen = f"approvals/expire?pipeline={pipeline.name}&stage=Prod&action=Ops"
    assert pipeline.twin.post(chosen) == [{"pipeline": pipeline.name, "stage": "Prod", "action": "Ops"}]
    wait_for(lambda: pipeline.state("Prod", "Ops")["status"] == "Failed", "the approval to expire")
    assert pipeline.twin.post(chosen) == []
    said = pipeline.state("Prod", "Ops")["errorDetails"]["message"]
    assert said.startswith("Expired: nobody approved or rejected it within 5 minutes")
    token = pipeline.token("Prod", "Owner")
    pipeline.api.put_approval_result(
        pipelineName=pipeline.name, stageName="Prod", actionName="Owner", token=token,
        result={"summary": "fine", "status": "Approved"},
    )  # fmt: skip
    ended = pipeline.wait(execution)
    assert ended["status"] == "Failed" and ended["statusSummary"] == f"Prod/Ops: {said}"
