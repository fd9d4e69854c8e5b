"""Tasks: calls made by the role, errors by their names, retries, time limits, tokens, nested executions."""

import json
import time
from typing import Any

import pytest

pytestmark = pytest.mark.twin
PUT_ITEM = "arn:aws:states:::dynamodb:putItem"
HANDLER = """
class ManifestError(Exception): pass
def handler(event, context):
    if event.get("bad"):
        raise ManifestError("image 3 has no label")
    return {"double": event["n"] * 2}
"""


def task(resource: str, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": resource, "Arguments": arguments, **more}


def allow(*actions: str, resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


@pytest.fixture(scope="module")
def table(machines: Any, twin: Any) -> str:
    twin.client("dynamodb", machines.account).create_table(
        TableName="runs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return "runs"


@pytest.fixture(scope="module")
def function(machines: Any, twin: Any) -> str:
    import io
    import zipfile

    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as packed:
        packed.writestr("index.py", HANDLER)
    twin.client("lambda", machines.account).create_function(
        FunctionName="doubles",
        Runtime="python3.13",
        Handler="index.handler",
        Role=machines.role(service="lambda.amazonaws.com"),
        Code={"ZipFile": package.getvalue()},
    )
    return f"arn:aws:lambda:us-east-1:{machines.account}:function:doubles"


def put_once(table: str) -> dict[str, Any]:
    arguments = {
        "TableName": table,
        "Item": {"pk": {"S": "{% $states.input.id %}"}},
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    caught = [{"ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"], "Next": "Known"}]
    return {
        "QueryLanguage": "JSONata",
        "StartAt": "Put",
        "States": {
            "Put": task(PUT_ITEM, arguments, Catch=caught, End=True),
            "Known": {"Type": "Pass", "Output": "already there", "End": True},
        },
    }


def test_conditional_put_that_fails_is_caught_by_its_name(machines: Any, table: str) -> None:
    role = machines.role(allow("dynamodb:PutItem"))
    first = machines.run(put_once(table), {"id": "run-1"}, role)
    assert first["result"]["SdkHttpMetadata"]["HttpStatusCode"] == 200
    assert machines.run(put_once(table), {"id": "run-1"}, role)["result"] == "already there"


def test_same_failure_of_an_sdk_integration_has_the_sdks_name(machines: Any, table: str) -> None:
    arguments = {
        "TableName": table,
        "Item": {"pk": {"S": "run-1"}},
        "ConditionExpression": "attribute_exists(nothing)",
    }
    failed = machines.state(task("arn:aws:states:::aws-sdk:dynamodb:putItem", arguments))
    assert failed["error"] == "DynamoDb.ConditionalCheckFailedException"
    assert "Status Code: 400" in failed["cause"]


def test_call_that_the_role_may_not_make_is_denied(machines: Any, table: str) -> None:
    role = machines.role(allow("dynamodb:GetItem"))
    failed = machines.run(put_once(table), {"id": "denied"}, role)
    assert failed["status"] == "FAILED"
    assert failed["error"] == "DynamoDB.AmazonDynamoDBException"
    assert "is not authorized to perform: dynamodb:PutItem" in failed["cause"]


def test_role_that_step_functions_may_not_assume_is_refused(machines: Any) -> None:
    role = machines.role(service="lambda.amazonaws.com")
    definition = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    with pytest.raises(
        machines.client.exceptions.ClientError, match="authorized to assume the provided role"
    ):
        machines.make(definition, role)


def test_role_that_may_not_make_the_rule_for_a_job_is_refused(machines: Any) -> None:
    inner = machines.make(INNER)
    state = task(
        "arn:aws:states:::states:startExecution.sync:2",
        {"StateMachineArn": inner, "Input": {"n": 1}},
        End=True,
    )
    definition = {"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": state}}
    needed = allow("states:StartExecution", "states:DescribeExecution", "states:StopExecution")
    with pytest.raises(machines.client.exceptions.ClientError, match="not authorized to create managed-rule"):
        machines.make(definition, machines.role(needed))
    rule = "arn:aws:events:*:*:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
    rules = allow("events:PutRule", "events:PutTargets", "events:DescribeRule", resource=rule)
    assert machines.run(definition, role=machines.role(needed, rules))["status"] == "SUCCEEDED"


def test_role_that_lost_its_trust_fails_the_execution(machines: Any) -> None:
    role = machines.role()
    machine = machines.make({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}, role)
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    machines.iam.update_assume_role_policy(
        RoleName=role.rpartition("/")[2], PolicyDocument=json.dumps({"Statement": [trust]})
    )
    assert machines.wait(machines.start(machine))["error"] == "States.Permissions"


def test_function_is_invoked_and_its_error_is_caught_by_its_type(machines: Any, function: str) -> None:
    catch = [{"ErrorEquals": ["ManifestError"], "Output": "{% $states.errorOutput %}", "Next": "Bad"}]
    invoke = task(
        "arn:aws:states:::lambda:invoke",
        {"FunctionName": function, "Payload": "{% $states.input %}"},
        Output="{% $states.result.Payload.double %}",
        Catch=catch,
        End=True,
    )
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "I",
        "States": {"I": invoke, "Bad": {"Type": "Pass", "End": True}},
    }
    role = machines.role(allow("lambda:InvokeFunction", resource=function))
    assert machines.run(definition, {"n": 21}, role)["result"] == 42
    caught = machines.run(definition, {"bad": True}, role)["result"]
    assert caught["Error"] == "ManifestError"
    assert json.loads(caught["Cause"])["errorMessage"] == "image 3 has no label"
    denied = machines.run(definition, {"n": 1}, machines.role())
    assert denied["error"] == "Lambda.AWSLambdaException"


def test_function_arn_as_resource_gets_the_input_itself(machines: Any, function: str) -> None:
    state = {"Type": "Task", "Resource": function, "ResultPath": "$.made"}
    assert machines.state(state, {"n": 2}, jsonata=False)["result"] == {"n": 2, "made": {"double": 4}}


def test_retry_waits_as_told_up_to_its_longest_delay(machines: Any) -> None:
    retry = {
        "ErrorEquals": ["S3.NoSuchBucketException"],
        "IntervalSeconds": 1,
        "BackoffRate": 10,
        "MaxAttempts": 2,
        "MaxDelaySeconds": 2,
    }
    arguments = {"Bucket": "there-is-none", "Key": "k"}
    began = time.monotonic()
    failed = machines.state(task("arn:aws:states:::aws-sdk:s3:getObject", arguments, Retry=[retry]))
    assert failed["error"] == "S3.NoSuchBucketException"
    assert time.monotonic() - began >= 3
    events = machines.events(failed["executionArn"])
    scheduled, ended = (
        [event["timestamp"] for event in events if event["type"] == kind]
        for kind in ("TaskScheduled", "TaskFailed")
    )
    assert len(scheduled) == len(ended) == 3
    assert (scheduled[2] - ended[1]).total_seconds() < 6


def test_task_that_exceeds_its_timeout_is_caught_as_such(machines: Any, twin: Any) -> None:
    queue = twin.client("sqs", machines.account).create_queue(QueueName="nobody-answers")["QueueUrl"]
    wait = task(
        "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        {"QueueUrl": queue, "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
        TimeoutSeconds="{% $states.input.limit %}",
    )
    failed = machines.state(wait, {"limit": 1})
    assert failed["error"] == "States.Timeout"
    kinds = [event["type"] for event in machines.events(failed["executionArn"])]
    assert "TaskTimedOut" in kinds
    silent = machines.state({**wait, "TimeoutSeconds": 60, "HeartbeatSeconds": 1})
    assert silent["error"] == "States.HeartbeatTimeout"


def test_task_token_brings_the_answer_from_outside(machines: Any, twin: Any) -> None:
    sqs = twin.client("sqs", machines.account)
    queue = sqs.create_queue(QueueName="approvals")["QueueUrl"]
    arguments = {"QueueUrl": queue, "MessageBody": {"token": "{% $states.context.Task.Token %}"}}
    state = task("arn:aws:states:::sqs:sendMessage.waitForTaskToken", arguments, End=True)
    machine = machines.make({"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": state}})

    def answer(method: str, **answered: Any) -> dict[str, Any]:
        execution = machines.start(machine)
        (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        token = json.loads(message["Body"])["token"]
        getattr(machines.client, method)(taskToken=token, **answered)
        return machines.wait(execution)

    assert json.loads(answer("send_task_success", output='{"approved": true}')["output"]) == {
        "approved": True
    }
    failed = answer("send_task_failure", error="Rejected", cause="too risky")
    assert (failed["error"], failed["cause"]) == ("Rejected", "too risky")


def test_events_name_the_execution_and_documents_are_sent_as_text(machines: Any, twin: Any) -> None:
    account = machines.account
    sqs, events = twin.client("sqs", account), twin.client("events", account)
    queue = sqs.create_queue(QueueName="announced")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{account}:announced"
    events.put_rule(Name="announced", EventPattern=json.dumps({"source": ["vision.platform"]}))
    events.put_targets(Rule="announced", Targets=[{"Id": "1", "Arn": arn}])
    permission = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**permission, "Resource": arn}]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    entry = {"Source": "vision.platform", "DetailType": "Training Complete", "Detail": {"run": 1}}
    done = machines.state(task("arn:aws:states:::events:putEvents", {"Entries": [entry]}))
    assert done["result"]["FailedEntryCount"] == 0
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
    event = json.loads(message["Body"])
    assert event["detail"] == {"run": 1}
    assert done["executionArn"] in event["resources"]


def test_sdk_result_has_pascal_case_members_and_keeps_keys_that_are_data(machines: Any) -> None:
    state = task("arn:aws:states:::aws-sdk:sfn:describeStateMachine", {})
    state["Arguments"] = {"StateMachineArn": "{% $states.context.StateMachine.Id %}"}
    result = machines.state(state)["result"]
    assert {"StateMachineArn", "Name", "RoleArn", "CreationDate"} <= set(result)
    assert result["CreationDate"].endswith("Z")


def test_unknown_parameter_is_named(machines: Any) -> None:
    failed = machines.state(task(PUT_ITEM, {"TabelName": "runs", "Item": {}}))
    assert failed["error"] == "States.Runtime"
    assert "TabelName" in failed["cause"]


INNER = {
    "QueryLanguage": "JSONata",
    "StartAt": "C",
    "States": {
        "C": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $exists($states.input.fail) %}", "Next": "F"}],
            "Default": "W",
        },
        "W": {"Type": "Wait", "Seconds": "{% $exists($states.input.s) ? $states.input.s : 0 %}", "Next": "P"},
        "P": {"Type": "Pass", "Output": {"seen": "{% $states.input.n %}"}, "End": True},
        "F": {"Type": "Fail", "Error": "Inner", "Cause": "asked to"},
    },
}


def test_nested_execution_is_waited_for_and_its_failure_fails_the_task(machines: Any) -> None:
    inner = machines.make(INNER)
    resource = "arn:aws:states:::states:startExecution.sync:2"
    nested = task(resource, {"StateMachineArn": inner, "Input": "{% $states.input %}"})
    result = machines.state(nested, {"n": 5})["result"]
    assert (result["Status"], result["Output"]) == ("SUCCEEDED", {"seen": 5})
    failed = machines.state(nested, {"fail": True})
    assert failed["error"] == "States.TaskFailed"
    assert json.loads(failed["cause"])["Error"] == "Inner"


def test_stopped_execution_stops_the_job_that_it_waits_for(machines: Any) -> None:
    inner = machines.make(INNER)
    state = task(
        "arn:aws:states:::states:startExecution.sync",
        {"StateMachineArn": inner, "Input": {"s": 120}},
        End=True,
    )
    outer = machines.make({"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": state}})
    execution = machines.start(outer)

    def inner_execution() -> Any:
        return machines.client.list_executions(stateMachineArn=inner)["executions"]

    deadline = time.monotonic() + 10
    while not inner_execution() and time.monotonic() < deadline:
        time.sleep(0.05)
    machines.client.stop_execution(executionArn=execution, error="Operator", cause="enough")
    stopped = machines.wait(execution)
    assert (stopped["status"], stopped["error"], stopped["cause"]) == ("ABORTED", "Operator", "enough")
    assert machines.wait(inner_execution()[0]["executionArn"], 10)["status"] == "ABORTED"
