"""Faults that are injected reach Retry and Catch of a state by the names that AWS gives them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.twin
LIST = "arn:aws:states:::aws-sdk:dynamodb:listTables"


@pytest.fixture
def inject(twin: Any) -> Iterator[Callable[..., None]]:
    url = f"{twin.endpoint}/_twin/faults"

    def post(error: str, times: int = 1, match: str = "") -> None:
        wanted: dict[str, Any] = {"service": "dynamodb", "operation": "ListTables", "error": error}
        wanted |= {"times": times, "match": match}
        requests.post(url, json=wanted, timeout=10).raise_for_status()

    yield post
    requests.delete(url, timeout=10)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ("throttle", "DynamoDb.ProvisionedThroughputExceededException"),
        ("denied", "DynamoDb.DynamoDbException"),
        ("unavailable", "DynamoDb.InternalServerErrorException"),
        ("connection", "DynamoDb.SdkClientException"),
    ],
)
def test_fault_is_caught_by_its_name(machines: Any, inject: Any, error: str, name: str) -> None:
    state = {"Type": "Task", "Resource": LIST, "Arguments": {}}
    inject(error)
    assert machines.state(state)["error"] == name
    assert machines.state(state)["status"] == "SUCCEEDED"


def test_retry_gets_over_as_many_faults_as_it_has_attempts(machines: Any, inject: Any) -> None:
    retry = {"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 2}
    state = {"Type": "Task", "Resource": LIST, "Arguments": {}, "Retry": [retry]}
    inject("throttle", times=2)
    assert machines.state(state)["status"] == "SUCCEEDED"
    inject("throttle", times=3)
    assert machines.state(state)["error"] == "DynamoDb.ProvisionedThroughputExceededException"


def test_a_fault_meant_for_one_state_passes_the_others_by(machines: Any, inject: Any) -> None:
    task = {"Type": "Task", "Resource": LIST, "Arguments": {}}
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "First",
        "States": {
            "First": {**task, "Next": "Second"},
            "Second": {**task, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}], "End": True},
            "Caught": {"Type": "Succeed", "Output": "the second"},
        },
    }
    inject("denied", match="/Second;")
    told = machines.run(definition)
    assert (told["status"], told["output"]) == ("SUCCEEDED", '"the second"')
