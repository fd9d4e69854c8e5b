"""The burst path as it is synthesized: how records are tried, what is watched, what the settings change."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stages.settings_streaming import StreamingSettings
from tests.assembly import ROOT, Assembly, synthesize
from vision_runtime.claim_check import ClaimCheck

STACK = "vision-dev-streaming"


def test_records_are_tried_in_part_halved_and_never_dropped(assembly: Assembly) -> None:
    mapping = assembly.only("AWS::Lambda::EventSourceMapping", stack=STACK).properties
    queue = assembly.only("AWS::SQS::Queue", stack=STACK)
    failures = {"Fn::GetAtt": [queue.logical_id, "Arn"]}
    assert mapping["DestinationConfig"] == {"OnFailure": {"Destination": failures}}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert (mapping["MaximumRetryAttempts"], mapping["MaximumRecordAgeInSeconds"]) == (100, 6 * 3600)
    stream = assembly.only("AWS::Kinesis::Stream", stack=STACK).properties
    assert stream["RetentionPeriodHours"] * 3600 > mapping["MaximumRecordAgeInSeconds"] + 24 * 3600


def test_everything_that_stores_something_uses_the_platforms_key(assembly: Assembly) -> None:
    stream = assembly.only("AWS::Kinesis::Stream", stack=STACK).properties["StreamEncryption"]
    delivery = assembly.only("AWS::KinesisFirehose::DeliveryStream", stack=STACK).properties
    written = delivery["ExtendedS3DestinationConfiguration"]["EncryptionConfiguration"]
    key = stream["KeyId"]
    assert delivery["DeliveryStreamEncryptionConfigurationInput"]["KeyARN"] == key
    assert written["KMSEncryptionConfig"]["AWSKMSKeyARN"] == key
    assert assembly.only("AWS::SQS::Queue", stack=STACK).properties["KmsMasterKeyId"] == key


def test_event_of_an_upload_becomes_a_claim_check_that_the_consumer_reads(assembly: Assembly) -> None:
    rule = assembly.only("AWS::Events::Rule", stack=STACK).properties
    (target,) = rule["Targets"]
    template = target["InputTransformer"]["InputTemplate"]
    id = "p-" + "a" * 32
    values = {
        "$.detail.bucket.name": '"uploads"',
        "$.detail.object.key": f'"uploads/{id}"',
        "$.detail.object.size": "1234",
        "$.time": '"2026-11-30T07:00:00Z"',
    }
    for name, path in target["InputTransformer"]["InputPathsMap"].items():
        template = template.replace(f"<{name}>", values[path])
    check = ClaimCheck.from_json(template.encode(), "uploads")
    assert (check.id, check.line, check.bytes) == (id, "champion", 1234)
    assert target["KinesisParameters"] == {"PartitionKeyPath": "$.detail.object.key"}
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"prefix": "uploads/"}]}


def test_upload_whose_event_cannot_be_delivered_waits_with_the_consumers_failures(assembly: Assembly) -> None:
    rule = assembly.only("AWS::Events::Rule", stack=STACK)
    queue = assembly.only("AWS::SQS::Queue", stack=STACK)
    arn = {"Fn::GetAtt": [queue.logical_id, "Arn"]}
    assert rule.properties["Targets"][0]["DeadLetterConfig"] == {"Arn": arn}
    policy = assembly.only("AWS::SQS::QueuePolicy", stack=STACK).properties
    allowed = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert allowed == [
        {
            "Sid": "EventsOfUploads",
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": [rule.logical_id, "Arn"]}}},
        }
    ]


def test_table_in_the_catalogue_has_the_columns_that_the_consumer_writes(assembly: Assembly) -> None:
    source = (ROOT / "lambda_src" / "consume" / "writing.py").read_text()
    columns = [
        each["Name"]
        for each in assembly.only("AWS::Glue::Table", stack=STACK).properties["TableInput"][
            "StorageDescriptor"
        ]["Columns"]
    ]
    written = source.partition("document = {")[2].partition("}")[0]
    assert [line.split('"')[1] for line in written.splitlines() if '": ' in line] == columns


def test_consumer_may_do_what_it_does_and_no_more(assembly: Assembly) -> None:
    granted = {
        action
        for statement in assembly.statements(role="Consume", stack=STACK)
        for action in statement.actions
    }
    assert granted == {
        "dynamodb:BatchGetItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "firehose:PutRecordBatch",
        "kinesis:DescribeStream",
        "kinesis:DescribeStreamSummary",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sagemaker:InvokeEndpoint",
        "sqs:SendMessage",
    }


def test_alarms_watch_the_stream_its_consumer_and_what_was_given_up(assembly: Assembly) -> None:
    alarms = {
        each.properties["AlarmName"]: each.properties
        for each in assembly.resources("AWS::CloudWatch::Alarm", stack="vision-dev-monitoring")
    }
    age = alarms["vision-dev-stream-iterator-age"]
    assert (age["Namespace"], age["MetricName"], age["Statistic"]) == ("AWS/Lambda", "IteratorAge", "Maximum")
    assert age["Threshold"] == 180 * 1000, "as long as the workload lets an image wait in the stream"
    assert alarms["vision-dev-stream-refused-writes"]["MetricName"] == "WriteProvisionedThroughputExceeded"
    for name in ("stream-ended-early", "stream-throttles", "consume-errors", "consume-kept"):
        assert f"vision-dev-{name}" in alarms


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    def change(settings: dict[str, Any]) -> None:
        settings["streaming"] = {"shards": 3, "iterator_age_seconds": 30, "parallelization_factor": 5}

    return synthesize(tmp_path_factory.mktemp("out"), change=change, context={"sandbox": "dev"})


def test_settings_choose_shards_lanes_and_thresholds(assembly: Assembly, provisioned: Assembly) -> None:
    on_demand = assembly.only("AWS::Kinesis::Stream", stack=STACK).properties
    assert on_demand["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert "ShardCount" not in on_demand
    stream = provisioned.only("AWS::Kinesis::Stream").properties
    assert (stream["StreamModeDetails"]["StreamMode"], stream["ShardCount"]) == ("PROVISIONED", 3)
    assert provisioned.only("AWS::Lambda::EventSourceMapping").properties["ParallelizationFactor"] == 5
    (age,) = [
        each.properties["Threshold"]
        for each in provisioned.resources("AWS::CloudWatch::Alarm")
        if each.properties.get("MetricName") == "IteratorAge"
    ]
    assert age == 30_000


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"retention_hours": 24}, "give at least 30"),
        ({"timeout_seconds": 30, "longest_pause_seconds": 25}, "longest_pause_seconds"),
        ({"parallelization_factor": 11}, "parallelization_factor"),
        ({"buffer_mb": 5}, "buffer_mb"),
    ],
)
def test_settings_that_would_lose_records_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        StreamingSettings(**settings)


def test_every_key_is_explained_in_the_docs() -> None:
    page = (ROOT / "docs" / "streaming.md").read_text()
    assert [key for key in StreamingSettings.model_fields if f"`{key}`" not in page] == []
