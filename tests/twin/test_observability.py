"""Alarms follow their own metric, treat missing data as told, and announce themselves where they may."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin import stacks
from tests.twin.test_events import denials_of

pytestmark = pytest.mark.twin
ACCOUNT = "222222222222"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}"


def eventually(condition: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def put_alarm(twin: Any, name: str, **settings: Any) -> Callable[[], str]:
    cloudwatch = twin.client("cloudwatch", ACCOUNT)
    cloudwatch.put_metric_alarm(
        **{
            "AlarmName": name,
            "Namespace": "Shop",
            "MetricName": "Errors",
            "Dimensions": [{"Name": "Service", "Value": name}],
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 3,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            **settings,
        }
    )
    return lambda: cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]


def put_metric(twin: Any, service: str, value: float) -> None:
    twin.client("cloudwatch", ACCOUNT).put_metric_data(
        Namespace="Shop",
        MetricData=[
            {"MetricName": "Errors", "Dimensions": [{"Name": "Service", "Value": service}], "Value": value}
        ],
    )


def make_queue_behind(twin: Any, topic: str, queue: str) -> Callable[[], list[Any]]:
    sqs, sns = twin.client("sqs", ACCOUNT), twin.client("sns", ACCOUNT)
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}"
    grant = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": [grant]})})
    topic_arn = sns.create_topic(Name=topic)["TopicArn"]
    sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn)

    def messages() -> list[Any]:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(json.loads(message["Body"])["Message"]) for message in found]

    return messages


def test_alarm_looks_at_its_own_dimensions_only(twin: Any) -> None:
    mine, other = put_alarm(twin, "mine"), put_alarm(twin, "other", TreatMissingData="notBreaching")
    put_metric(twin, "mine", 5)
    assert eventually(lambda: mine() == "ALARM")
    assert eventually(lambda: other() == "OK")


@pytest.mark.parametrize(
    ("treatment", "state"),
    [
        ("breaching", "ALARM"),
        ("notBreaching", "OK"),
        ("missing", "INSUFFICIENT_DATA"),
        ("ignore", "INSUFFICIENT_DATA"),
    ],
)
def test_missing_data_is_treated_as_told(twin: Any, treatment: str, state: str) -> None:
    current = put_alarm(twin, f"missing-{treatment}", TreatMissingData=treatment)
    assert eventually(lambda: current() == state)


def test_alarm_returns_to_ok_and_tells_topic_and_bus(twin: Any) -> None:
    messages = make_queue_behind(twin, "alerts", "alerts-queue")
    events, logs = twin.client("events", ACCOUNT), twin.client("sqs", ACCOUNT)
    url = logs.create_queue(QueueName="alarm-events")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:alarm-events"
    grant = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    logs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": [grant]})})
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["told"], "state": {"value": ["ALARM"]}}}
    events.put_rule(Name="alarm-changes", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="alarm-changes", Targets=[{"Id": "q", "Arn": arn}])

    current = put_alarm(twin, "told", Statistic="Average", AlarmActions=[f"{TOPIC}:alerts"])
    put_metric(twin, "told", 5)
    assert eventually(lambda: current() == "ALARM")
    told = eventually(messages)
    assert (told[0]["AlarmName"], told[0]["NewStateValue"]) == ("told", "ALARM")
    event = eventually(lambda: logs.receive_message(QueueUrl=url).get("Messages"))
    assert json.loads(event[0]["Body"])["detail-type"] == "CloudWatch Alarm State Change"
    for _ in range(5):
        put_metric(twin, "told", 0)
    assert eventually(lambda: current() == "OK")


def test_topic_whose_policy_omits_cloudwatch_is_not_told(twin: Any) -> None:
    messages = make_queue_behind(twin, "closed", "closed-queue")
    deny_all_but = {
        "Effect": "Allow",
        "Principal": {"AWS": ACCOUNT},
        "Action": "sns:Publish",
        "Resource": "*",
    }
    twin.client("sns", ACCOUNT).set_topic_attributes(
        TopicArn=f"{TOPIC}:closed",
        AttributeName="Policy",
        AttributeValue=json.dumps({"Statement": [deny_all_but]}),
    )
    before = time.time()
    current = put_alarm(twin, "untold", TreatMissingData="breaching", AlarmActions=[f"{TOPIC}:closed"])
    assert eventually(lambda: current() == "ALARM")
    denials = eventually(lambda: denials_of(twin, f"{TOPIC}:closed", before))
    assert denials[-1]["principal"] == "cloudwatch.amazonaws.com"
    assert messages() == []


def test_composite_alarm_follows_its_children(twin: Any) -> None:
    put_alarm(twin, "child", TreatMissingData="breaching")
    cloudwatch = twin.client("cloudwatch", ACCOUNT)
    cloudwatch.put_composite_alarm(AlarmName="parent", AlarmRule='ALARM("child")')

    def state() -> str:
        found = cloudwatch.describe_alarms(AlarmNames=["parent"], AlarmTypes=["CompositeAlarm"])
        return found["CompositeAlarms"][0]["StateValue"]

    assert eventually(lambda: state() == "ALARM")


def share_of_low(name: str, period: int = 10) -> dict[str, object]:
    """Alarm settings: the share of Low in Total, of at least two."""
    queries: list[dict[str, object]] = [
        {
            "Id": identifier,
            "MetricStat": {
                "Metric": {
                    "Namespace": "Shop",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "Service", "Value": name}],
                },
                "Period": period,
                "Stat": "Sum",
            },
            "ReturnData": False,
        }
        for identifier, metric in (("low", "Low"), ("total", "Total"))
    ]
    share = {"Id": "share", "Expression": "IF(total >= 2, 100 * low / total)", "ReturnData": True}
    return {
        "AlarmName": name,
        "Metrics": [*queries, share],
        "EvaluationPeriods": 1,
        "Threshold": 50,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }


def put_values(twin: Any, service: str, at: float, **values: float) -> None:
    dimensions = [{"Name": "Service", "Value": service}]
    twin.client("cloudwatch", ACCOUNT).put_metric_data(
        Namespace="Shop",
        MetricData=[
            {"MetricName": name, "Dimensions": dimensions, "Value": value, "Timestamp": at}
            for name, value in values.items()
        ],
    )


def test_alarm_on_metric_math_follows_the_share_in_short_periods(twin: Any) -> None:
    cloudwatch = twin.client("cloudwatch", ACCOUNT)
    for name in ("share", "few"):
        cloudwatch.put_metric_alarm(**share_of_low(name))

    def state(name: str) -> str:
        (found,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return found["StateValue"]

    found = cloudwatch.describe_alarms(AlarmNames=["share"])["MetricAlarms"][0]
    assert [query["Id"] for query in found["Metrics"]] == ["low", "total", "share"]
    assert eventually(lambda: state("share") == "OK")

    def rang() -> bool:
        before = (time.time() // 10) * 10 - 1  # in the last whole period
        put_values(twin, "share", before, Low=3, Total=4)
        put_values(twin, "few", before, Low=1)  # too few to say anything
        items = cloudwatch.describe_alarm_history(AlarmName="share")["AlarmHistoryItems"]
        return any(item["HistorySummary"].endswith("to ALARM") for item in items)

    assert eventually(rang, 15)
    assert eventually(lambda: state("share") == "OK", 25)
    history = cloudwatch.describe_alarm_history(AlarmName="few")["AlarmHistoryItems"]
    assert not any(item["HistorySummary"].endswith("to ALARM") for item in history)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Metrics": [{"Id": "Share", "Expression": "1"}]}, "must begin with a lower-case letter"),
        ({"Metrics": [{"Id": "share", "Expression": "FORECAST(low)"}]}, "uses FORECAST"),
        ({"Period": 15, "Metrics": None}, "Period must be 10, 20, 30 or a multiple of 60"),
    ],
)
def test_alarm_that_cannot_be_evaluated_is_refused(twin: Any, change: dict[str, Any], words: str) -> None:
    settings = {**share_of_low("refused"), **change}
    if settings["Metrics"] is None:
        del settings["Metrics"]
        settings |= {"Namespace": "Shop", "MetricName": "Low", "Statistic": "Sum"}
    with pytest.raises(ClientError, match=words):
        twin.client("cloudwatch", ACCOUNT).put_metric_alarm(**settings)


def test_alarm_on_metric_math_is_deployed_by_a_template(twin: Any) -> None:
    properties = {**share_of_low("by-template"), "Tags": [{"Key": "a", "Value": "b"}]}
    stacks.create(
        twin, "math-alarm", ACCOUNT, Alarm={"Type": "AWS::CloudWatch::Alarm", "Properties": properties}
    )
    (found,) = twin.client("cloudwatch", ACCOUNT).describe_alarms(AlarmNames=["by-template"])["MetricAlarms"]
    assert [query["Id"] for query in found["Metrics"]] == ["low", "total", "share"]
    assert "MetricName" not in found
    scheduled = {"ScheduleExpression": "rate(1 hour)", "EventBusName": "own"}
    refused = stacks.create(
        twin, "own-schedule", ACCOUNT, Rule={"Type": "AWS::Events::Rule", "Properties": scheduled}
    )
    assert "supported only on the default event bus" in refused["why"]


def test_alarm_on_a_queue_rings_while_messages_wait_in_it(twin: Any) -> None:
    sqs, cloudwatch = twin.client("sqs", ACCOUNT), twin.client("cloudwatch", ACCOUNT)
    url = sqs.create_queue(QueueName="kept")["QueueUrl"]
    cloudwatch.put_metric_alarm(
        AlarmName="kept",
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": "kept"}],
        Statistic="Maximum",
        Period=10,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )

    def state() -> str:
        return cloudwatch.describe_alarms(AlarmNames=["kept"])["MetricAlarms"][0]["StateValue"]

    sqs.send_message(QueueUrl=url, MessageBody="failed")
    assert eventually(lambda: state() == "ALARM", 30)
    sqs.purge_queue(QueueUrl=url)
    assert eventually(lambda: state() == "OK", 40)
    names = cloudwatch.list_metrics(Namespace="AWS/SQS")["Metrics"]
    assert {each["MetricName"] for each in names if each["Dimensions"][0]["Value"] == "kept"} == {
        "ApproximateNumberOfMessagesVisible",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateAgeOfOldestMessage",
    }
