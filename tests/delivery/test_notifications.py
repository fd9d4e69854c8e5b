"""Notifications: what people are told of, in words they can read, and by whom alone."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.assembly import Assembly, Resource

CONSOLE = "https://us-east-1.console.aws.amazon.com"


@pytest.fixture(scope="module")
def rules(assembly: Assembly) -> dict[str, Resource]:
    """The rules by the notice that they are for."""
    return {
        each.properties["Description"].split()[2]: each
        for each in assembly.resources("AWS::Events::Rule", stack="vision-delivery")
        if each.properties["Description"].startswith("Tells people")
    }


@pytest.fixture(scope="module")
def topic(assembly: Assembly) -> Resource:
    return assembly.only("AWS::SNS::Topic", stack="vision-delivery")


def said(rule: Resource, **event: str) -> str:
    """What the rule makes of an event whose values are given by the template's own names."""
    (target,) = rule.properties["Targets"]
    template: Any = target["InputTransformer"]["InputTemplate"]["Fn::Join"][1]
    lines = "".join(part if isinstance(part, str) else "REPORTS" for part in template).split("\n")
    text = "\n".join(json.loads(line) for line in lines)
    assert (
        set(re.findall(r"<([^>]+)>", text)) == set(target["InputTransformer"]["InputPathsMap"]) == set(event)
    )
    for name, value in event.items():
        text = text.replace(f"<{name}>", value)
    return text


def test_people_are_told_of_failures_rollbacks_and_successes(rules: dict[str, Resource]) -> None:
    patterns = {
        name: (
            rule.properties["EventPattern"]["detail-type"][0].split()[1],
            rule.properties["EventPattern"]["detail"],
        )
        for name, rule in rules.items()
    }
    ours = {"pipeline": ["vision-delivery"]}
    assert patterns == {
        "Failed": ("Pipeline", ours | {"state": ["FAILED"]}),
        "StageFailed": ("Stage", ours | {"state": ["FAILED"]}),
        "Succeeded": ("Pipeline", ours | {"state": ["SUCCEEDED"]}),
        "RolledBack": (
            "Pipeline",
            ours
            | {
                "state": ["STARTED"],
                "execution-trigger": {"trigger-type": ["AutomatedRollback", "ManualRollback"]},
            },
        ),
    }


def test_a_message_is_text_with_links_to_the_execution_and_its_reports(rules: dict[str, Resource]) -> None:
    first, *_, run, _, smoke, dossier = said(rules["StageFailed"], stage="Staging", execution="e-1").split(
        "\n"
    )
    assert first == "Stage Staging failed."
    assert run == (
        f"{CONSOLE}/codesuite/codepipeline/pipelines/vision-delivery/executions/e-1/timeline?region=us-east-1"
    )
    assert smoke == f"{CONSOLE}/s3/buckets/REPORTS?region=us-east-1&prefix=smoke/e-1/"
    assert dossier == f"{CONSOLE}/s3/buckets/REPORTS?region=us-east-1&prefix=dossier/e-1/"


def test_a_rollback_is_told_with_what_has_set_it_off(rules: dict[str, Resource]) -> None:
    text = said(rules["RolledBack"], execution="e-1", trigger="AutomatedRollback")
    assert "rolled back to its last success (AutomatedRollback)" in text


def test_messages_are_encrypted_with_the_deliverys_key(topic: Resource) -> None:
    assert topic.properties["KmsMasterKeyId"]["Fn::GetAtt"][0].startswith("EncryptionKey")


def test_only_the_deliverys_own_rules_may_publish_and_only_over_tls(
    assembly: Assembly, rules: dict[str, Resource], topic: Resource
) -> None:
    policy = assembly.only("AWS::SNS::TopicPolicy", stack="vision-delivery")
    statements = policy.properties["PolicyDocument"]["Statement"]
    (denied,) = [each for each in statements if each["Effect"] == "Deny"]
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    by_service = {each["Principal"]["Service"]: each for each in statements if each["Effect"] == "Allow"}
    # The alarm is the delivery metrics'.
    assert set(by_service) == {"events.amazonaws.com", "cloudwatch.amazonaws.com"}
    sources = by_service["events.amazonaws.com"]["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert {each["Fn::GetAtt"][0] for each in sources} == {rule.logical_id for rule in rules.values()}
    for rule in rules.values():
        (target,) = rule.properties["Targets"]
        assert target["Arn"] == {"Ref": topic.logical_id}


def test_nobody_is_subscribed_unless_the_settings_say_so(assembly: Assembly) -> None:
    assert not assembly.resources("AWS::SNS::Subscription", stack="vision-delivery")
