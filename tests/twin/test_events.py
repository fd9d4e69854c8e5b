"""Rules reach their targets with their role, or as far as the target's own policy lets EventBridge in."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from requests import HTTPError

pytestmark = pytest.mark.twin
ACCOUNT = "333333333333"


def eventually(condition: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def denials_of(twin: Any, resource: str, since: float) -> list[dict[str, Any]]:
    """What was refused on one resource: what other tests have left in this twin is refused meanwhile too."""
    return [each for each in twin.get(f"iam?since={since}")["denials"] if each["resource"] == resource]


def make_role(twin: Any, name: str, service: str, action: str) -> str:
    iam = twin.client("iam", ACCOUNT)
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]
    }
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({"Statement": [statement]}))
    return role


def make_machine(twin: Any, name: str) -> Callable[[], list[Any]]:
    states = twin.client("stepfunctions", ACCOUNT)
    role = make_role(twin, f"{name}-machine", "states.amazonaws.com", "s3:ListAllMyBuckets")
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    arn = states.create_state_machine(name=name, definition=definition, roleArn=role)["stateMachineArn"]

    def inputs() -> list[Any]:
        runs = states.list_executions(stateMachineArn=arn)["executions"]
        found = [states.describe_execution(executionArn=run["executionArn"]) for run in runs]
        return [json.loads(run["input"]) for run in found]

    return inputs


def test_object_arrival_starts_a_state_machine_with_the_role_of_the_target(twin: Any) -> None:
    inputs = make_machine(twin, "arrival")
    role = make_role(twin, "arrival-rule", "events.amazonaws.com", "states:StartExecution")
    s3, events = twin.client("s3", ACCOUNT), twin.client("events", ACCOUNT)
    s3.create_bucket(Bucket="arrivals")
    s3.put_bucket_notification_configuration(
        Bucket="arrivals", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": {"name": ["arrivals"]},
            "object": {"key": [{"wildcard": "datasets/*manifest.json"}]},
        },
    }
    events.put_rule(Name="arrival", EventPattern=json.dumps(pattern))
    paths = {"key": "$.detail.object.key"}
    transformer = {"InputPathsMap": paths, "InputTemplate": '{"uri": "s3://arrivals/<key>"}'}
    arn = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:arrival"
    target = {"Id": "t", "Arn": arn, "RoleArn": role, "InputTransformer": transformer}
    events.put_targets(Rule="arrival", Targets=[target])
    s3.put_object(Bucket="arrivals", Key="smoke/manifest.json", Body=b"{}")
    s3.put_object(Bucket="arrivals", Key="datasets/a/manifest.json", Body=b"{}")
    assert eventually(inputs) == [{"uri": "s3://arrivals/datasets/a/manifest.json"}]


def test_target_role_without_permission_starts_nothing_and_is_counted(twin: Any) -> None:
    inputs = make_machine(twin, "denied")
    role = make_role(twin, "denied-rule", "events.amazonaws.com", "sqs:SendMessage")
    events = twin.client("events", ACCOUNT)
    events.put_rule(Name="denied", EventPattern='{"source": ["shop"]}')
    arn = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:denied"
    events.put_targets(Rule="denied", Targets=[{"Id": "t", "Arn": arn, "RoleArn": role}])
    before = time.time()
    events.put_events(Entries=[{"Source": "shop", "DetailType": "x", "Detail": "{}"}])
    denials = eventually(lambda: denials_of(twin, arn, before))
    assert denials[0]["action"] == "states:StartExecution"
    cloudwatch = twin.client("cloudwatch", ACCOUNT)
    metric = {"Namespace": "AWS/Events", "MetricName": "FailedInvocations"}
    assert eventually(
        lambda: cloudwatch.get_metric_statistics(
            **metric,
            Dimensions=[{"Name": "RuleName", "Value": "denied"}],
            StartTime=before - 60,
            EndTime=time.time() + 60,
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
    )
    assert inputs() == []


def test_queue_without_a_policy_for_eventbridge_gets_nothing(twin: Any) -> None:
    url = twin.client("sqs", ACCOUNT).create_queue(QueueName="closed-to-events")["QueueUrl"]
    events = twin.client("events", ACCOUNT)
    events.put_rule(Name="to-queue", EventPattern='{"source": ["till"]}')
    target = {"Id": "t", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:closed-to-events"}
    events.put_targets(Rule="to-queue", Targets=[target])
    before = time.time()
    events.put_events(Entries=[{"Source": "till", "DetailType": "x", "Detail": "{}"}])
    denials = eventually(lambda: denials_of(twin, target["Arn"], before))
    assert denials[0]["principal"] == "events.amazonaws.com"
    assert "Messages" not in twin.client("sqs", ACCOUNT).receive_message(QueueUrl=url)


def test_event_that_cannot_be_delivered_goes_to_the_queue_that_lets_the_rule_in(twin: Any) -> None:
    sqs, events, kms = (twin.client(name, ACCOUNT) for name in ("sqs", "events", "kms"))
    role = make_role(twin, "lost-rule", "events.amazonaws.com", "s3:ListAllMyBuckets")
    rule = events.put_rule(Name="lost", EventPattern='{"source": ["bakery"]}')["RuleArn"]
    key = kms.create_key()["KeyMetadata"]["Arn"]
    urls = {
        name: sqs.create_queue(QueueName=name, Attributes=more)["QueueUrl"]
        for name, more in (("lost", {}), ("lost-closed", {}), ("lost-locked", {"KmsMasterKeyId": key}))
    }
    for name in ("lost", "lost-locked"):
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}",
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        sqs.set_queue_attributes(
            QueueUrl=urls[name], Attributes={"Policy": json.dumps({"Statement": [statement]})}
        )
    targets = [
        {
            "Id": name,
            "Arn": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/none",
            "RoleArn": role,
            "Input": '{"made": "of it"}',
            "DeadLetterConfig": {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"},
        }
        for name in urls
    ]
    events.put_targets(Rule="lost", Targets=targets)
    events.put_events(Entries=[{"Source": "bakery", "DetailType": "bread", "Detail": '{"loaves": 3}'}])
    (message,) = eventually(lambda: sqs.receive_message(QueueUrl=urls["lost"]).get("Messages"))
    kept = json.loads(message["Body"])
    assert (kept["source"], kept["detail-type"], kept["detail"]) == ("bakery", "bread", {"loaves": 3})
    assert "Messages" not in sqs.receive_message(QueueUrl=urls["lost-closed"])
    assert "Messages" not in sqs.receive_message(QueueUrl=urls["lost-locked"])


def test_scheduled_rule_is_fired_on_demand_with_its_own_input(twin: Any) -> None:
    inputs = make_machine(twin, "nightly")
    role = make_role(twin, "nightly-rule", "events.amazonaws.com", "states:StartExecution")
    events = twin.client("events", ACCOUNT)
    events.put_rule(Name="nightly", ScheduleExpression="cron(0 3 * * ? *)")
    arn = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:nightly"
    target = {"Id": "t", "Arn": arn, "RoleArn": role, "Input": '{"reason": "schedule"}'}
    events.put_targets(Rule="nightly", Targets=[target])
    fired = twin.post(f"fire/nightly?account={ACCOUNT}")
    assert (fired["account"], fired["targets"]) == (ACCOUNT, 1)
    assert eventually(inputs) == [{"reason": "schedule"}]
    events.disable_rule(Name="nightly")
    for path in ("fire/nightly", "fire/nobody", f"fire/nightly?account={ACCOUNT[::-1]}"):
        with pytest.raises(HTTPError):
            twin.post(path)


def test_schedule_reaches_its_target_with_its_role(twin: Any) -> None:
    inputs = make_machine(twin, "hourly")
    role = make_role(twin, "hourly-schedule", "scheduler.amazonaws.com", "states:StartExecution")
    foreign = make_role(twin, "hourly-rule", "events.amazonaws.com", "states:StartExecution")
    scheduler = twin.client("scheduler", ACCOUNT)
    arn = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:hourly"
    for name, with_role in (("good", role), ("untrusted", foreign)):
        scheduler.create_schedule(
            Name=name,
            ScheduleExpression="rate(1 hour)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": arn, "RoleArn": with_role, "Input": json.dumps({"by": name})},
        )
        twin.post(f"fire/schedule/default/{name}?account={ACCOUNT}")
    assert eventually(inputs) == [{"by": "good"}]
    failed = {"Namespace": "AWS/Scheduler", "MetricName": "TargetErrorCount"}
    assert eventually(lambda: twin.client("cloudwatch", ACCOUNT).list_metrics(**failed)["Metrics"])


def test_rule_of_a_custom_bus_starts_a_machine_and_tells_a_topic_in_words(twin: Any) -> None:
    inputs = make_machine(twin, "on-bus")
    role = make_role(twin, "on-bus-rule", "events.amazonaws.com", "states:StartExecution")
    events, sns, sqs = (twin.client(service, ACCOUNT) for service in ("events", "sns", "sqs"))
    events.create_event_bus(Name="platform")
    topic = sns.create_topic(Name="told-by-bus")["TopicArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish"}
    policy = json.dumps({"Statement": [{**allow, "Resource": topic}]})
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    url = sqs.create_queue(QueueName="told-by-bus")["QueueUrl"]
    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:told-by-bus"
    allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Statement": [{**allow, "Resource": queue}]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    events.put_rule(Name="drift", EventBusName="platform", EventPattern='{"detail-type": ["Drift Detected"]}')
    words = {"InputPathsMap": {"line": "$.detail.line"}, "InputTemplate": '"Line <line> has drifted."'}
    machine = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:on-bus"
    started = {"InputPathsMap": {"line": "$.detail.line"}, "InputTemplate": '{"line": <line>}'}
    events.put_targets(
        Rule="drift",
        EventBusName="platform",
        Targets=[
            {"Id": "m", "Arn": machine, "RoleArn": role, "InputTransformer": started},
            {"Id": "t", "Arn": topic, "InputTransformer": words},
        ],
    )
    entry = {"Source": "shop", "DetailType": "Drift Detected", "Detail": '{"line": "champion"}'}
    events.put_events(Entries=[entry])  # to the default bus, which has no such rule
    events.put_events(Entries=[{**entry, "EventBusName": "platform"}])
    assert eventually(inputs) == [{"line": "champion"}]
    (message,) = eventually(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))
    assert json.loads(message["Body"])["Message"] == '"Line champion has drifted."'
