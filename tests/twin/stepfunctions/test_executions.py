"""An execution's life: stop, time limit, repetition, events, metrics, logs, and a restart of the twin."""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.twin.conftest import ROOT, SERVER_PYTHON
from tests.twin.sagemaker.conftest import until

pytestmark = pytest.mark.twin
SLOW = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 120, "End": True}}}
QUICK = {"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": {"done": 1}, "End": True}}}


def test_stopped_execution_ends_at_once_and_runs_no_further_state(machines: Any) -> None:
    execution = machines.start(machines.make(SLOW))
    machines.client.stop_execution(executionArn=execution, error="Operator", cause="enough")
    described = machines.client.describe_execution(executionArn=execution)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Operator", "enough")
    time.sleep(0.2)
    assert machines.events(execution)[-1]["type"] == "ExecutionAborted"


# In the server's Python, on records alone: a stop is hardly ever so early that the thread has not begun.
STOPPED_BEFORE = """
import json
from twin import glue
from twin.glue import stepfunctions as seam
from twin.stepfunctions import executions, history
from twin.stepfunctions.history import History

counted = []
executions._count = lambda execution, metric: counted.append(metric)
executions._walk = lambda *_: counted.append("walked")
machine = "arn:aws:states:us-east-1:222222222222:stateMachine:m"
with glue.scope("222222222222", "us-east-1"):
    seam.machines()[machine] = {"name": "m"}
    for name, status in (("stopped", "ABORTED"), ("running", "RUNNING")):
        arn = machine.replace("stateMachine", "execution") + ":" + name
        execution = {"executionArn": arn, "stateMachineArn": machine, "status": status, "events": []}
        seam.executions()[arn] = execution
        executions.run(arn)
        executions.stopped(arn)
        told = History(execution, {}, "m")
        told.add("PassStateEntered")
        told.add("ExecutionAborted")
        print(json.dumps([counted, [event["type"] for event in execution["events"]]]))
        counted.clear()
"""


def test_execution_stopped_before_its_thread_has_begun_does_nothing() -> None:
    command = [str(SERVER_PYTHON), "-c", STOPPED_BEFORE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    stopped, running = (json.loads(line) for line in done.stdout.splitlines())
    assert stopped == [["ExecutionsStarted", "ExecutionsAborted"], ["ExecutionAborted"]]
    assert running == [["ExecutionsStarted", "walked"], ["PassStateEntered", "ExecutionAborted"]]


def test_each_stop_is_counted_and_nothing_follows_it(machines: Any, twin: Any) -> None:
    machine = machines.make({**SLOW, "States": {"W": {**SLOW["States"]["W"], "Seconds": 1}}})
    started = list[str]()
    for _ in range(30):
        started.append(machines.start(machine))
        machines.client.stop_execution(executionArn=started[-1])
    time.sleep(1.5)  # by then each would have gone on to its end
    for execution in started:
        assert machines.client.describe_execution(executionArn=execution)["status"] == "ABORTED"
        assert machines.events(execution)[-1]["type"] == "ExecutionAborted"
    counted = twin.statistic(machines.account, "AWS/States:ExecutionsAborted", "Sum", StateMachineArn=machine)
    assert sum(counted) == len(started)


def test_execution_that_exceeds_its_time_limit_times_out(machines: Any) -> None:
    done = machines.run({**SLOW, "TimeoutSeconds": 1})
    assert (done["status"], done["error"]) == ("TIMED_OUT", "States.Timeout")
    assert machines.events(done["executionArn"])[-1]["type"] == "ExecutionTimedOut"


def test_repeated_start_of_a_running_execution_is_answered_and_another_input_refused(machines: Any) -> None:
    machine = machines.make(SLOW)
    execution = machines.start(machine, {"a": 1}, name="once")
    assert machines.start(machine, {"a": 1}, name="once") == execution
    with pytest.raises(machines.client.exceptions.ExecutionAlreadyExists):
        machines.start(machine, {"a": 2}, name="once")
    machines.client.stop_execution(executionArn=execution)
    with pytest.raises(machines.client.exceptions.ExecutionAlreadyExists):
        machines.start(machine, {"a": 1}, name="once")


def test_input_that_is_not_json_is_refused(machines: Any) -> None:
    with pytest.raises(machines.client.exceptions.InvalidExecutionInput):
        machines.client.start_execution(stateMachineArn=machines.make(QUICK), input="{broken")


def test_history_tells_every_state_with_its_input_and_output(machines: Any) -> None:
    done = machines.run(QUICK, {"x": 1})
    events = machines.events(done["executionArn"])
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    assert json.loads(events[1]["stateEnteredEventDetails"]["input"]) == {"x": 1}
    assert json.loads(events[2]["stateExitedEventDetails"]["output"]) == {"done": 1}
    assert [event["previousEventId"] for event in events[1:]] == [1, 2, 3]


def test_every_change_of_status_is_an_event_on_the_default_bus(machines: Any, twin: Any) -> None:
    account = machines.account
    sqs, events = twin.client("sqs", account), twin.client("events", account)
    queue = sqs.create_queue(QueueName="execution-events")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{account}:execution-events"
    permission = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**permission, "Resource": arn}]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    machine = machines.make({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "c"}}})
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [machine]}}
    events.put_rule(Name="executions", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="executions", Targets=[{"Id": "1", "Arn": arn}])
    machines.wait(machines.start(machine))
    seen: list[dict[str, Any]] = []
    deadline = time.monotonic() + 10
    while len(seen) < 2 and time.monotonic() < deadline:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        seen += [json.loads(message["Body"])["detail"] for message in messages]
        time.sleep(0.05)
    assert [(detail["status"], detail["error"]) for detail in seen] == [("RUNNING", None), ("FAILED", "E")]


def test_executions_are_counted_and_timed(machines: Any, twin: Any) -> None:
    done = machines.run(QUICK)
    machine = done["stateMachineArn"]
    watch = twin.client("cloudwatch", machines.account)

    def names() -> set[str]:
        found = watch.list_metrics(Namespace="AWS/States")["Metrics"]
        of_machine = {"Name": "StateMachineArn", "Value": machine}
        return {m["MetricName"] for m in found if of_machine in m["Dimensions"]}

    until(lambda: "ExecutionTime" in names())  # the last of them, and later than the status
    assert names() == {"ExecutionsStarted", "ExecutionsSucceeded", "ExecutionTime"}


@pytest.mark.parametrize(("level", "kinds"), [("ALL", 4), ("ERROR", 1), ("OFF", 0)])
def test_history_goes_to_the_log_group_as_the_level_says(
    machines: Any, twin: Any, level: str, kinds: int
) -> None:
    logs = twin.client("logs", machines.account)
    group = f"/states/{level}"
    logs.create_log_group(logGroupName=group)
    arn = f"arn:aws:logs:us-east-1:{machines.account}:log-group:{group}:*"
    configuration = {
        "level": level,
        "includeExecutionData": False,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}],
    }
    failing = {
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "Next": "F"}, "F": {"Type": "Fail", "Error": "E"}},
    }
    machine = machines.make(failing, loggingConfiguration=configuration)
    execution = machines.start(machine)
    machines.wait(execution)
    written = [json.loads(e["message"]) for e in logs.filter_log_events(logGroupName=group)["events"]]
    assert len(written) == kinds
    assert all(line["execution_arn"] == execution and "input" not in line["details"] for line in written)


def test_role_that_may_not_deliver_logs_is_refused(machines: Any, twin: Any) -> None:
    group = f"arn:aws:logs:us-east-1:{machines.account}:log-group:refused:*"
    destination = {"cloudWatchLogsLogGroup": {"logGroupArn": group}}
    configuration = {"level": "ALL", "destinations": [destination]}
    with pytest.raises(
        machines.client.exceptions.ClientError, match=r"Log Destination.*logs:CreateLogDelivery"
    ):
        machines.make(QUICK, machines.role(), loggingConfiguration=configuration)


def test_execution_cut_off_by_a_stop_of_the_twin_ends_with_a_clear_cause(
    new_twin: Callable[..., Any],
) -> None:
    from tests.twin.stepfunctions.conftest import Machines

    first = new_twin()
    machines = Machines(first)
    machine = machines.make(SLOW)
    execution = machines.start(machine)
    finished = machines.run(QUICK)["executionArn"]
    first.stop()
    again = Machines.__new__(Machines)
    again.client = new_twin(port=first.port).client("stepfunctions", machines.account)
    described = again.client.describe_execution(executionArn=execution)
    assert described["status"] == "ABORTED"
    assert "twin was stopped" in described["cause"]
    assert again.events(execution)[-1]["type"] == "ExecutionAborted"
    assert again.client.describe_execution(executionArn=finished)["status"] == "SUCCEEDED"
    started = again.client.start_execution(stateMachineArn=machine)["executionArn"]
    assert again.client.describe_execution(executionArn=started)["status"] == "RUNNING"


def test_machine_that_cannot_run_fails_its_stack(machines: Any, twin: Any) -> None:
    definition = {"StartAt": "S", "States": {"S": {"Type": "Pass", "Next": "Gone"}}}
    properties = {"RoleArn": machines.role(), "DefinitionString": json.dumps(definition)}
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    formation = twin.client("cloudformation", machines.account)
    formation.create_stack(StackName="broken-machine", TemplateBody=json.dumps({"Resources": {"M": machine}}))
    deadline = time.monotonic() + 20
    status = "CREATE_IN_PROGRESS"
    while status.endswith("IN_PROGRESS") and time.monotonic() < deadline:
        time.sleep(0.05)
        status = formation.describe_stacks(StackName="broken-machine")["Stacks"][0]["StackStatus"]
    assert status in ("CREATE_FAILED", "ROLLBACK_COMPLETE")
    events = formation.describe_stack_events(StackName="broken-machine")["StackEvents"]
    assert any("Next 'Gone' names no state" in event.get("ResourceStatusReason", "") for event in events)
