"""The feedback table and function as they are synthesized: keys, grants, schedule, alarm (R25, R32)."""

from __future__ import annotations

import json
from typing import Any

from tests.assembly import Assembly, Resource

DEV, PROD = "vision-dev", "vision-prod"


def table(assembly: Assembly, environment: str) -> Resource:
    (found,) = [
        each
        for each in assembly.resources("AWS::DynamoDB::Table", stack=f"{environment}-data")
        if each.logical_id.startswith("Feedback")
    ]
    return found


def test_table_expires_items_can_be_recovered_and_is_protected_in_prod(assembly: Assembly) -> None:
    for environment, protected in ((DEV, False), (PROD, True)):
        properties = table(assembly, environment).properties
        assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert properties["DeletionProtectionEnabled"] is protected
        assert properties["SSESpecification"]["SSEType"] == "KMS"


def test_index_holds_the_keys_of_what_waits(assembly: Assembly) -> None:
    (index,) = table(assembly, DEV).properties["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "pending"
    assert [each["AttributeName"] for each in index["KeySchema"]] == ["pending", "waiting_since"]
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_function_reads_predictions_and_changes_labels_and_nothing_else(assembly: Assembly) -> None:
    granted: dict[str, set[str]] = {}
    for statement in assembly.statements(role="FeedbackPermissions", stack=f"{DEV}-inference"):
        for resource in statement.resources:
            for action in statement.actions:
                if action.startswith("dynamodb:"):
                    granted.setdefault(resource, set()).add(action.removeprefix("dynamodb:"))
    assert sorted(map(sorted, granted.values())) == [
        ["BatchGetItem", "GetItem"],
        ["GetItem", "PutItem", "Query", "UpdateItem"],
        ["Query"],
    ]
    (index,) = [each for each, actions in granted.items() if actions == {"Query"}]
    assert index.endswith("/index/pending")


def test_sweep_comes_every_quarter_of_an_hour_and_keeps_what_it_could_not_deliver(assembly: Assembly) -> None:
    (rule,) = [
        each
        for each in assembly.resources("AWS::Events::Rule", stack=f"{DEV}-inference")
        if "ScheduleExpression" in each.properties
    ]
    assert rule.properties["ScheduleExpression"] == "rate(15 minutes)"
    (target,) = rule.properties["Targets"]
    assert target["Arn"]["Fn::GetAtt"][0].startswith("FeedbackFunction")
    assert target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0].startswith("FeedbackFailures")


def alarm(assembly: Assembly) -> dict[str, Any]:
    (found,) = [
        each.properties
        for each in assembly.resources("AWS::CloudWatch::Alarm", stack=f"{DEV}-monitoring")
        if each.properties["AlarmName"] == f"{DEV}-champion-accuracy"
    ]
    return found


def test_alarm_looks_at_the_upper_bound_and_only_with_enough_labels(assembly: Assembly) -> None:
    found = alarm(assembly)
    (expression,) = [each["Expression"] for each in found["Metrics"] if "Expression" in each]
    assert expression == "IF(labels >= 200, 100 - high, 0)"
    assert found["Threshold"] == 10
    assert "AccuracyHigh" in json.dumps(found["Metrics"])
    assert found["TreatMissingData"] == "notBreaching"
