"""Ways into a function other than a plain Invoke: aliases with weights, events, async retries, templates."""

import copy
import json
import time
import uuid
from collections import Counter
from typing import Any

import pytest

pytestmark = pytest.mark.twin


def wait_for(check: Any, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def received(sqs: Any, queue: str, seconds: float = 30) -> list[dict[str, Any]]:
    def take() -> list[dict[str, Any]]:
        return sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])

    return [json.loads(message["Body"]) for message in wait_for(take, seconds)]


def queue(twin: Any, account: str, name: str) -> tuple[str, str]:
    url = twin.client("sqs", account).create_queue(QueueName=name)["QueueUrl"]
    return url, f"arn:aws:sqs:us-east-1:{account}:{name}"


def test_weighted_alias_splits_traffic_and_names_the_version(lambdas: Any) -> None:
    name = lambdas.make("def handler(e, c): return ['one', c.function_version, c.invoked_function_arn]")
    first = lambdas.client.publish_version(FunctionName=name)["Version"]
    code = "def handler(e, c): return ['two', c.function_version, c.invoked_function_arn]"
    lambdas.client.update_function_code(FunctionName=name, ZipFile=lambdas.archive({"index.py": code}))
    second = lambdas.client.publish_version(FunctionName=name)["Version"]
    lambdas.client.create_alias(
        FunctionName=name,
        Name="live",
        FunctionVersion=first,
        RoutingConfig={"AdditionalVersionWeights": {second: 0.5}},
    )
    results = [lambdas.invoke(name, Qualifier="live") for _ in range(40)]
    split = Counter((result.payload[0], result.payload[1], result.version) for result in results)
    assert set(split) == {("one", first, first), ("two", second, second)}
    assert min(split.values()) >= 8
    assert {result.payload[2].rpartition(":")[2] for result in results} == {"live"}


def test_event_rule_needs_the_functions_permission(lambdas: Any, twin: Any) -> None:
    account = lambdas.account
    url, arn = queue(twin, account, "from-rule")
    role = lambdas.role({"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn})
    source = (
        f"import boto3, json\ndef handler(e, c):\n    boto3.client('sqs').send_message(QueueUrl={url!r}, "
    )
    source += "MessageBody=json.dumps(e['detail']))\n"
    name = lambdas.make(source, Role=role, Timeout=20)
    function = f"arn:aws:lambda:us-east-1:{account}:function:{name}"
    events = twin.client("events", account)
    rule = events.put_rule(Name=f"rule-{name}", EventPattern=json.dumps({"source": [name]}))["RuleArn"]
    events.put_targets(Rule=f"rule-{name}", Targets=[{"Id": "1", "Arn": function}])

    def put(number: int) -> None:
        entry = {"Source": name, "DetailType": "d", "Detail": json.dumps({"n": number})}
        events.put_events(Entries=[entry])

    put(1)
    watch = twin.client("cloudwatch", account)
    assert wait_for(
        lambda: [
            metric
            for metric in watch.list_metrics(Namespace="AWS/Events")["Metrics"]
            if {"Name": "RuleName", "Value": f"rule-{name}"} in metric["Dimensions"]
        ]
    )
    lambdas.client.add_permission(
        FunctionName=name,
        StatementId="s",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    put(2)
    assert received(twin.client("sqs", account), url) == [{"n": 2}]


def test_bucket_notification_needs_the_functions_permission(lambdas: Any, twin: Any) -> None:
    account, storage = lambdas.account, twin.client("s3", lambdas.account)
    name = lambdas.make("def handler(e, c): print('key', e['Records'][0]['s3']['object']['key'])")
    function = f"arn:aws:lambda:us-east-1:{account}:function:{name}"
    bucket = f"events-{name}"
    storage.create_bucket(Bucket=bucket)
    target = {"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}

    def allow() -> None:
        lambdas.client.add_permission(
            FunctionName=name,
            StatementId="s",
            Action="lambda:InvokeFunction",
            Principal="s3.amazonaws.com",
            SourceArn=f"arn:aws:s3:::{bucket}",
            SourceAccount=account,
        )

    storage.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [target]}
    )
    storage.put_object(Bucket=bucket, Key="before", Body=b"")
    log = twin.home / "server.log"
    assert wait_for(lambda: f"s3.amazonaws.com may not invoke {function} " in log.read_text())
    allow()
    storage.put_object(Bucket=bucket, Key="after", Body=b"")
    logs = twin.client("logs", account)

    def keys() -> list[str]:
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="key")
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"].strip() for event in found["events"]]

    assert wait_for(keys) == ["key after"]


def test_failed_asynchronous_invocation_is_retried_then_goes_to_its_destination(
    lambdas: Any, twin: Any
) -> None:
    url, arn = queue(twin, lambdas.account, "async-failures")
    name = lambdas.make("def handler(e, c): raise RuntimeError('still broken')")
    lambdas.client.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    lambdas.invoke(name, {"x": 1}, InvocationType="Event")
    (message,) = received(twin.client("sqs", lambdas.account), url)
    assert message["requestPayload"] == {"x": 1}
    assert message["responsePayload"]["errorType"] == "RuntimeError"
    logged = twin.client("logs", lambdas.account).filter_log_events(
        logGroupName=f"/aws/lambda/{name}", filterPattern="START"
    )
    assert len([e for e in logged["events"] if e["message"].startswith("START")]) == 2


def test_functions_that_invoke_each_other_in_a_circle_are_stopped(lambdas: Any, twin: Any) -> None:
    source = """
import boto3, json
def handler(event, context):
    client = boto3.client("lambda")
    try:
        answer = client.invoke(FunctionName=context.function_name, Payload="{}")
    except client.exceptions.ClientError as error:
        return [error.response["Error"]["Code"]]
    return [*json.loads(answer["Payload"].read()), "once more"]
"""
    role = lambdas.role({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"})
    name = lambdas.make(source, Role=role, Timeout=60)
    client = twin.client("lambda", lambdas.account)

    def as_if_called_by_thirteen(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["X-Amzn-Trace-Id"] = "Root=1-0-0;Sampled=0;Lineage=1:abcdef01:13"

    client.meta.events.register("before-call.lambda.Invoke", as_if_called_by_thirteen)
    answer = json.loads(client.invoke(FunctionName=name)["Payload"].read())
    assert answer == ["RecursiveInvocationException", "once more", "once more"]


TEMPLATE = {
    "Resources": {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ]
                }
            },
        },
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": "index.handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "ReservedConcurrentExecutions": 7,
                "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:222222222222:dead"},
                "Code": {
                    "ZipFile": "import cfnresponse\n"
                    "def handler(event, context):\n"
                    "    cfnresponse.send(event, context, cfnresponse.SUCCESS, {'Answer': '42'}, 'thing')\n"
                },
            },
        },
        "Thing": {
            "Type": "Custom::Thing",
            "Properties": {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}},
        },
    },
    "Outputs": {
        "Answer": {"Value": {"Fn::GetAtt": ["Thing", "Answer"]}},
        "Name": {"Value": {"Ref": "Function"}},
    },
}


def deploy(twin: Any, account: str, stack: str, template: dict[str, Any]) -> dict[str, Any]:
    formation = twin.client("cloudformation", account)
    formation.create_stack(
        StackName=stack, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
    )

    def done() -> Any:
        described = formation.describe_stacks(StackName=stack)["Stacks"][0]
        return None if described["StackStatus"].endswith("_IN_PROGRESS") else described

    return wait_for(done, 30)


def test_template_functions_keep_their_settings_and_inline_code_has_cfnresponse(
    lambdas: Any, twin: Any
) -> None:
    stack = deploy(twin, lambdas.account, "inline-function", TEMPLATE)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs["Answer"] == "42"
    name = outputs["Name"]
    assert lambdas.client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 7
    kept = lambdas.client.get_function_configuration(FunctionName=name)["DeadLetterConfig"]
    assert kept == {"TargetArn": "arn:aws:sqs:us-east-1:222222222222:dead"}


def test_custom_resource_whose_function_fails_is_not_waited_for(lambdas: Any, twin: Any) -> None:
    template = copy.deepcopy({"Resources": TEMPLATE["Resources"]})
    code = {"ZipFile": "def handler(e, c): raise KeyError('no such setting')"}
    template["Resources"]["Function"]["Properties"]["Code"] = code
    began = time.monotonic()
    stack = deploy(twin, lambdas.account, "failing-thing", template)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert time.monotonic() - began < 20
    found = twin.client("cloudformation", lambdas.account).describe_stack_events(StackName="failing-thing")
    reasons = [event.get("ResourceStatusReason", "") for event in found["StackEvents"]]
    assert any("KeyError: 'no such setting'" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("changes", "files", "fault"),
    [
        ({}, None, "NoSuchKey"),
        ({"Runtime": "nodejs22.x"}, {"index.js": ""}, "not runtime nodejs22.x"),
        ({}, {"index.py": "", "engine.so": b"\x7fELF foreign machine code"}, "engine.so was built for"),
    ],
)
def test_template_function_that_could_never_run_fails_the_stack(
    lambdas: Any, twin: Any, changes: Any, files: Any, fault: str
) -> None:
    name = f"refused-{uuid.uuid4().hex[:8]}"
    storage = twin.client("s3", lambdas.account)
    storage.create_bucket(Bucket=name)
    if files:
        storage.put_object(Bucket=name, Key="code.zip", Body=lambdas.archive(files))
    resources = {name: dict(TEMPLATE["Resources"][name]) for name in ("Role", "Function")}
    code = {"S3Bucket": name, "S3Key": "code.zip"}
    resources["Function"]["Properties"] = {**resources["Function"]["Properties"], **changes, "Code": code}
    stack = deploy(twin, lambdas.account, name, {"Resources": resources})
    assert stack["StackStatus"] in {"CREATE_FAILED", "ROLLBACK_COMPLETE"}
    events = twin.client("cloudformation", lambdas.account).describe_stack_events(StackName=name)[
        "StackEvents"
    ]
    assert any(fault in event.get("ResourceStatusReason", "") for event in events)
