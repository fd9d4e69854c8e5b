"""What the twin keeps of functions, APIs and state machines over a stop."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.twin.apigateway.conftest import Apis
from tests.twin.lambda_runtime.conftest import Lambdas
from tests.twin.stepfunctions.conftest import Machines

pytestmark = pytest.mark.twin


def test_functions_apis_and_machines_work_after_a_restart(new_twin: Callable[..., Any]) -> None:
    first = new_twin()
    apis, machines = Apis(first), Machines(first)
    api = apis.make()
    assert apis.call(api).status_code == 200
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": apis.function, "Payload": {}},
        "OutputPath": "$.Payload.statusCode",
        "End": True,
    }
    machine = machines.make({"StartAt": "S", "States": {"S": state}})
    first.stop()
    again = new_twin(port=first.port)
    apis.twin = again
    machines.client = again.client("stepfunctions", machines.account)
    assert apis.call(api).status_code == 200
    assert apis.call(api, credentials=None).status_code == 403
    assert machines.wait(machines.start(machine))["output"] == "200"


def test_reset_ends_warm_functions_and_running_executions(new_twin: Callable[..., Any]) -> None:
    twin = new_twin()
    lambdas, machines = Lambdas(twin), Machines(twin)
    name = lambdas.make("import os\ndef handler(e, c): return os.getpid()")
    pid = lambdas.invoke(name).payload
    machines.start(
        machines.make({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 300, "End": True}}})
    )
    os.kill(pid, 0)
    twin.post("reset")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert lambdas.client.list_functions()["Functions"] == []
    assert machines.client.list_state_machines()["stateMachines"] == []
    again = Lambdas(twin)
    assert again.invoke(again.make("def handler(e, c): return 'works'")).payload == "works"
