"""The States Language itself: data flow, choices, waiting, branches, items, variables, errors."""

import itertools
import json
import time
from typing import Any

import pytest

pytestmark = pytest.mark.twin


def chain(**states: dict[str, Any]) -> dict[str, Any]:
    """A JSONata state machine of states that follow each other by their order."""
    names = list(states)
    for name, following in itertools.pairwise(names):
        if states[name]["Type"] not in ("Choice", "Fail", "Succeed"):
            states[name].setdefault("Next", following)
    if states[names[-1]]["Type"] not in ("Choice", "Fail", "Succeed"):
        states[names[-1]].setdefault("End", True)
    return {"QueryLanguage": "JSONata", "StartAt": names[0], "States": states}


def test_jsonata_reads_input_context_and_variables(machines: Any) -> None:
    definition = chain(
        Remember={"Type": "Pass", "Assign": {"total": "{% $sum($states.input.v) %}", "plain": 1}},
        Use={
            "Type": "Pass",
            "Output": {"total": "{% $total + $plain %}", "name": "{% $states.context.State.Name %}"},
        },
    )
    assert machines.run(definition, {"v": [1, 2, 3]})["result"] == {"total": 7, "name": "Use"}


def test_jsonpath_selects_fills_templates_and_merges_results(machines: Any) -> None:
    state = {
        "Type": "Pass",
        "InputPath": "$.in",
        "Parameters": {
            "first.$": "$.list[0]",
            "last.$": "$.list[-1]",
            "names.$": "$.people[*].name",
            "text.$": "States.Format('{}-{}', $.list[1], 'x')",
            "who.$": "$$.Execution.Name",
            "fixed": [1, {"deep.$": "$.list[1]"}],
        },
        "ResultPath": "$.made.here",
        "OutputPath": "$.made",
    }
    data = {"in": {"list": [1, 2, 3], "people": [{"name": "a"}, {"name": "b"}]}, "kept": 1}
    made = machines.state(state, data, jsonata=False)["result"]["here"]
    assert made.pop("who")
    assert made == {"first": 1, "last": 3, "names": ["a", "b"], "text": "2-x", "fixed": [1, {"deep": 2}]}


def test_path_that_leads_nowhere_fails_the_execution_with_its_name(machines: Any) -> None:
    failed = machines.state({"Type": "Pass", "Parameters": {"a.$": "$.gone"}}, {"x": 1}, jsonata=False)
    assert failed["status"] == "FAILED"
    assert failed["error"] == "States.ParameterPathFailure"
    assert "'$.gone' could not be found" in failed["cause"]


def test_undefined_jsonata_fails_as_a_query_error_that_a_catcher_gets(machines: Any) -> None:
    state = {"Type": "Pass", "Output": "{% $states.input.gone %}"}
    assert machines.state(state, {})["error"] == "States.QueryEvaluationError"


CHOICES = [
    ({"Variable": "$.n", "NumericGreaterThan": 3}, {"n": 4}, True),
    ({"Variable": "$.n", "NumericGreaterThan": 3}, {"n": "4"}, False),
    ({"Variable": "$.n", "NumericLessThanEqualsPath": "$.m"}, {"n": 4, "m": 4}, True),
    ({"Variable": "$.s", "StringMatches": "a*\\*z"}, {"s": "abc*z"}, True),
    ({"Variable": "$.s", "StringMatches": "a*\\*z"}, {"s": "abcz"}, False),
    ({"Variable": "$.gone", "IsPresent": False}, {}, True),
    ({"Variable": "$.s", "IsNull": True}, {"s": None}, True),
    (
        {"Variable": "$.t", "TimestampLessThan": "2026-01-02T00:00:00Z"},
        {"t": "2026-01-01T23:00:00-00:30"},
        True,
    ),
    ({"Variable": "$.b", "BooleanEquals": False}, {"b": False}, True),
    (
        {"And": [{"Variable": "$.a", "IsString": True}, {"Not": {"Variable": "$.a", "StringEquals": "no"}}]},
        {"a": "yes"},
        True,
    ),
    (
        {"Or": [{"Variable": "$.a", "IsBoolean": True}, {"Variable": "$.a", "IsTimestamp": True}]},
        {"a": "x"},
        False,
    ),
]


@pytest.mark.parametrize(("rule", "data", "expected"), CHOICES)
def test_choice_rules_compare_by_type(machines: Any, rule: Any, data: Any, expected: bool) -> None:
    states = {
        "C": {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"}], "Default": "No"},
        "Yes": {"Type": "Pass", "Result": True, "End": True},
        "No": {"Type": "Pass", "Result": False, "End": True},
    }
    assert machines.run({"StartAt": "C", "States": states}, data)["result"] is expected


def test_jsonata_choice_takes_the_first_true_condition_or_the_default(machines: Any) -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Condition": "{% $states.input.n > 1 %}", "Next": "Big", "Assign": {"size": "big"}}],
        "Default": "Small",
    }
    definition = chain(
        C=choice,
        Big={"Type": "Pass", "End": True, "Output": "{% $size %}"},
        Small={"Type": "Pass", "Output": "small"},
    )
    assert machines.run(definition, {"n": 2})["result"] == "big"
    assert machines.run(definition, {"n": 1})["result"] == "small"


def test_choice_without_a_match_fails_by_name(machines: Any) -> None:
    rule = {"Condition": "{% false %}", "Next": "End"}
    definition = chain(C={"Type": "Choice", "Choices": [rule]}, End={"Type": "Succeed"})
    assert machines.run(definition)["error"] == "States.NoChoiceMatched"


def test_fail_state_ends_with_its_error_and_cause(machines: Any) -> None:
    failed = machines.run(
        chain(F={"Type": "Fail", "Error": "Gate.Failed", "Cause": "{% 'accuracy ' & $states.input.a %}"}),
        {"a": 0.5},
    )
    assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "Gate.Failed", "accuracy 0.5")


def test_wait_waits_for_seconds_given_as_an_expression(machines: Any) -> None:
    began = time.monotonic()
    assert (
        machines.state({"Type": "Wait", "Seconds": "{% $states.input.s %}"}, {"s": 1})["status"]
        == "SUCCEEDED"
    )
    assert time.monotonic() - began >= 1


def test_parallel_branches_keep_their_variables_to_themselves(machines: Any) -> None:
    def branch(value: str) -> dict[str, Any]:
        first = {"Type": "Pass", "Assign": {"mine": value}, "Next": "B"}
        second = {"Type": "Pass", "Output": "{% $mine & $shared %}", "End": True}
        return {"StartAt": "A", "States": {"A": first, "B": second}}

    definition = chain(
        Set={"Type": "Pass", "Assign": {"shared": "!", "mine": "outer"}},
        P={"Type": "Parallel", "Branches": [branch("a"), branch("b")]},
        End={"Type": "Pass", "Output": "{% $append($states.input, $mine) %}"},
    )
    assert machines.run(definition)["result"] == ["a!", "b!", "outer"]


def test_failing_branch_ends_the_others_and_can_be_caught(machines: Any) -> None:
    slow = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}}
    bad = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Broken", "Cause": "c"}}}
    parallel = {
        "Type": "Parallel",
        "Branches": [slow, bad],
        "Catch": [{"ErrorEquals": ["Broken"], "Output": "{% $states.errorOutput %}", "Next": "Done"}],
    }
    began = time.monotonic()
    caught = machines.run(chain(P=parallel, Done={"Type": "Pass"}))
    assert caught["result"] == {"Error": "Broken", "Cause": "c"}
    assert time.monotonic() - began < 10


def test_map_runs_its_processor_over_items_in_order(machines: Any) -> None:
    processor = {
        "StartAt": "I",
        "States": {"I": {"Type": "Pass", "Output": "{% $states.input.n * $states.input.by %}", "End": True}},
    }
    state = {
        "Type": "Map",
        "Items": "{% $states.input.v %}",
        "MaxConcurrency": 2,
        "ItemSelector": {"n": "{% $states.context.Map.Item.Value %}", "by": "{% $states.input.by %}"},
        "ItemProcessor": processor,
    }
    assert machines.state(state, {"v": [1, 2, 3], "by": 10})["result"] == [10, 20, 30]
    assert machines.state(state, {"v": [], "by": 1})["result"] == []


def test_distributed_map_reads_batches_tolerates_failures_and_writes_results(
    machines: Any, twin: Any
) -> None:
    storage = twin.client("s3", machines.account)
    storage.create_bucket(Bucket="distributed-map")
    rows = "\n".join(["n,kind", *(f"{n},{'bad' if n == 2 else 'good'}" for n in range(5))])
    storage.put_object(Bucket="distributed-map", Key="items.csv", Body=rows.encode())
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "C",
        "States": {
            "C": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% 'bad' in $states.input.Items.kind %}", "Next": "Bad"}],
                "Default": "Good",
            },
            "Bad": {"Type": "Fail", "Error": "BadImage"},
            "Good": {"Type": "Pass", "Output": "{% $count($states.input.Items) %}", "End": True},
        },
    }
    state = {
        "Type": "Map",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            "Arguments": {"Bucket": "distributed-map", "Key": "items.csv"},
        },
        "ItemBatcher": {"MaxItemsPerBatch": 2},
        "ToleratedFailurePercentage": 40,
        "ItemProcessor": processor,
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Arguments": {"Bucket": "distributed-map", "Prefix": "results"},
        },
    }
    done = machines.state(state, {})
    where = done["result"]["ResultWriterDetails"]
    manifest = json.loads(storage.get_object(Bucket="distributed-map", Key=where["Key"])["Body"].read())
    (good,) = manifest["ResultFiles"]["SUCCEEDED"]
    (bad,) = manifest["ResultFiles"]["FAILED"]
    outputs = json.loads(storage.get_object(Bucket="distributed-map", Key=good["Key"])["Body"].read())
    assert sorted(json.loads(child["Output"]) for child in outputs) == [1, 2]
    errors = json.loads(storage.get_object(Bucket="distributed-map", Key=bad["Key"])["Body"].read())
    assert [child["Error"] for child in errors] == ["BadImage"]
    (run,) = machines.client.list_map_runs(executionArn=done["executionArn"])["mapRuns"]
    described = machines.client.describe_map_run(mapRunArn=run["mapRunArn"])
    items, children = described["itemCounts"], described["executionCounts"]
    assert (items["succeeded"], items["failed"], items["total"]) == (3, 2, 5)
    assert (children["succeeded"], children["failed"], children["total"]) == (2, 1, 3)
    strict = machines.state({**state, "ToleratedFailurePercentage": 10}, {})
    assert strict["error"] == "States.ExceedToleratedFailureThreshold"


def test_state_data_beyond_the_limit_fails_by_name(machines: Any) -> None:
    from_storage = "arn:aws:states:::aws-sdk:s3:getObject"
    storage = machines.twin.client("s3", machines.account)
    storage.create_bucket(Bucket="too-large")
    storage.put_object(Bucket="too-large", Key="k", Body=b"x" * 300_000)
    state = {"Type": "Task", "Resource": from_storage, "Arguments": {"Bucket": "too-large", "Key": "k"}}
    state["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": "S"}]
    assert machines.state(state)["error"] == "States.DataLimitExceeded"


@pytest.mark.parametrize(
    ("states", "fault"),
    [
        ({"S": {"Type": "Pass", "Next": "Gone"}}, "Next 'Gone' names no state"),
        (
            {"S": {"Type": "Task", "Resource": "arn:aws:states:::eks:call", "End": True}},
            "not implemented by the local",
        ),
        (
            {"S": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:nosuch:op", "End": True}},
            "no service 'nosuch'",
        ),
        (
            {"S": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.sync", "End": True}},
            "not support .sync",
        ),
        ({"S": {"Type": "Odd"}}, "Type 'Odd' is unknown"),
        ({"S": {"Type": "Pass"}}, "Next or End is missing"),
    ],
)
def test_definition_that_cannot_run_is_refused_when_it_is_created(
    machines: Any, states: Any, fault: str
) -> None:
    with pytest.raises(machines.client.exceptions.InvalidDefinition, match=fault):
        machines.make({"StartAt": "S", "States": states})
