"""Distributed Map as workflows use it: items from S3, limits by expressions, both kinds of children, runs."""

import json
import time
from typing import Any

import pytest

from tests.twin.stepfunctions.conftest import EVERYTHING

pytestmark = pytest.mark.twin
BUCKET = "batches-of-maps"


@pytest.fixture(scope="module")
def batches(machines: Any, twin: Any) -> str:
    storage = twin.client("s3", machines.account)
    storage.create_bucket(Bucket=BUCKET)
    items = [{"shards": [{"split": "train", "number": number}]} for number in range(6)]
    storage.put_object(Bucket=BUCKET, Key="batches.json", Body=json.dumps(items).encode())
    return "batches.json"


def state(kind: str = "STANDARD", **changes: Any) -> dict[str, Any]:
    """A Map whose children give the number of their shard; one whose number is `bad` fails."""
    number = "$states.input.shards[0].number"
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind},
        "StartAt": "C",
        "States": {
            "C": {
                "Type": "Choice",
                "Choices": [{"Condition": f"{{% {number} in $states.input.bad %}}", "Next": "Bad"}],
                "Default": "Good",
            },
            "Bad": {"Type": "Fail", "Error": "BadShard"},
            "Good": {"Type": "Pass", "Output": f"{{% {number} %}}", "End": True},
        },
    }
    return {
        "Type": "Map",
        "Label": "Shards",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Arguments": {"Bucket": "{% $states.input.bucket %}", "Key": "{% $states.input.key %}"},
        },
        "ItemSelector": {
            "shards": "{% $states.context.Map.Item.Value.shards %}",
            "bad": "{% $states.input.bad %}",
        },
        "MaxConcurrency": "{% $states.input.concurrency %}",
        "ToleratedFailurePercentage": "{% $states.input.tolerated %}",
        "ItemProcessor": processor,
        **changes,
    }


def given(bad: list[int], tolerated: float = 0, concurrency: int = 2) -> dict[str, Any]:
    place = {"bucket": BUCKET, "key": "batches.json"}
    return {**place, "bad": bad, "tolerated": tolerated, "concurrency": concurrency}


def run_of(machines: Any, execution: str) -> dict[str, Any]:
    (run,) = machines.client.list_map_runs(executionArn=execution)["mapRuns"]
    return machines.client.describe_map_run(mapRunArn=run["mapRunArn"])


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_items_come_from_s3_and_limits_from_expressions(machines: Any, batches: str, kind: str) -> None:
    done = machines.state(state(kind), given(bad=[1], tolerated=20))
    assert sorted(done["result"]) == [0, 2, 3, 4, 5]
    run = run_of(machines, done["executionArn"])
    assert (run["status"], run["maxConcurrency"], run["toleratedFailurePercentage"]) == ("SUCCEEDED", 2, 20)
    assert (run["itemCounts"]["succeeded"], run["itemCounts"]["failed"]) == (5, 1)
    strict = machines.state(state(kind), given(bad=[1, 2], tolerated=20))
    assert strict["error"] == "States.ExceedToleratedFailureThreshold"
    assert run_of(machines, strict["executionArn"])["status"] == "FAILED"


def test_standard_children_can_be_described_and_express_ones_cannot(machines: Any, batches: str) -> None:
    for kind, count in (("STANDARD", 6), ("EXPRESS", 0)):
        done = machines.state(state(kind), given(bad=[]))
        run = run_of(machines, done["executionArn"])
        listed = machines.client.list_executions(mapRunArn=run["mapRunArn"])["executions"]
        assert len(listed) == count


def test_stop_of_the_parent_aborts_the_run_and_its_children(machines: Any, batches: str) -> None:
    slow = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "W",
        "States": {"W": {"Type": "Wait", "Seconds": 120, "End": True}},
    }
    states = {"S": {**state(ItemProcessor=slow), "End": True}}
    machine = machines.make({"QueryLanguage": "JSONata", "StartAt": "S", "States": states})
    execution = machines.start(machine, given(bad=[]))

    def run() -> dict[str, Any] | None:
        found = machines.client.list_map_runs(executionArn=execution)["mapRuns"]
        return run_of(machines, execution) if found else None

    await_that(lambda: (seen := run()) is not None and seen["itemCounts"]["running"] == 2)
    machines.client.stop_execution(executionArn=execution)
    await_that(lambda: (seen := run()) is not None and seen["status"] == "ABORTED")
    assert run_of(machines, execution)["itemCounts"]["aborted"] == 6


def await_that(is_so: Any, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_role_must_be_allowed_to_start_children(machines: Any, batches: str) -> None:
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    failed = machines.state(state(), given(bad=[]), role=machines.role(read))
    assert failed["error"] == "States.Permissions"
    assert "states:StartExecution" in failed["cause"]
    start = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": EVERYTHING["Resource"]}
    assert machines.state(state(), given(bad=[]), role=machines.role(read, start))["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
                    "StartAt": "T",
                    "States": {
                        "T": {
                            "Type": "Task",
                            "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
                            "End": True,
                        }
                    },
                }
            },
            "not allowed in an EXPRESS",
        ),
        (
            {"ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}},
            "Mode DISTRIBUTED",
        ),
        (
            {"ResultWriter": {"WriterConfig": {"Transformation": "COMPACT"}}},
            "WriterConfig is not implemented",
        ),
    ],
)
def test_map_that_cannot_run_is_refused_when_it_is_created(
    machines: Any, changes: dict[str, Any], said: str
) -> None:
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "S",
        "States": {"S": {**state(**changes), "End": True}},
    }
    with pytest.raises(machines.client.exceptions.InvalidDefinition, match=said):
        machines.make(definition)
