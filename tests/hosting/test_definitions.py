"""The promotion workflow of every hosting mode: every way ends, failures are told, lines are freed."""

from __future__ import annotations

from typing import Any

import pytest

import tests.assembly
from tests.constructs.test_promotion import QUIET, successors
from tests.hosting.plans import SETTINGS, of_mode

__all__ = ["tests"]


@pytest.fixture(params=sorted(SETTINGS))
def states(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    return definition(request.param)["States"]


def definition(mode: str) -> dict[str, Any]:
    from vision_platform.promotion_definition import definition
    from vision_platform.promotion_language import PromotionParts
    from vision_platform.promotion_plan import HostingPlan, Rollout

    rollout = Rollout(
        strategy="all_at_once",
        step_percent=50,
        step_wait_seconds=0,
        bake_seconds=300,
        timeout_seconds=3600,
        alarms=["quality"],
    )
    base: dict[str, Any] = {
        "image": "image",
        "role": "role",
        "key": "key",
        "vpc_config": {"Subnets": ["a"], "SecurityGroupIds": ["b"]},
        "instance_type": "ml.c7i.large",
        "invocations_per_instance": 600,
        "instances": 1,
        "rollout": rollout,
    }
    return definition(
        PromotionParts(
            prefix="vision-dev",
            packages="packages/",
            packages_elsewhere="",
            table="table",
            bus="bus",
            gate_function="gate",
            hosting=HostingPlan(**base | of_mode(mode)),
        )
    )


def test_every_state_is_reached_and_every_way_ends(states: dict[str, dict[str, Any]]) -> None:
    reached, waiting = set[str](), ["Begin"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(successors(states[name]))
    assert reached == set(states)
    ends = {name for name, state in states.items() if not successors(state)}
    assert ends == {"Done", "Repeated", "NothingToTidy", "Tidied", "Failed"}


def test_every_task_catches_everything_and_the_first_failure_is_told(
    states: dict[str, dict[str, Any]],
) -> None:
    for name, state in states.items():
        if state["Type"] == "Task":
            last = state["Catch"][-1]
            assert last["ErrorEquals"] == ["States.ALL"], name
            quiet = name in QUIET or name.startswith("ScaleAgain") or name == "RemoveEndpoint"
            assert ("failure" in last.get("Assign", {})) is not quiet, name


def test_line_is_given_back_whatever_happens(states: dict[str, dict[str, Any]]) -> None:
    for name in ("Done", "Failed", "Tidied"):
        before = {each for each, state in states.items() if name in successors(state)}
        assert before <= {"ReleaseLine", "GiveLineBack", "WhoseFailure"}, name


@pytest.mark.parametrize("mode", sorted(SETTINGS))
def test_execution_outlives_the_watch_and_the_way_back(mode: str) -> None:
    watched = mode in ("serverless", "multi-model", "lambda")
    assert definition(mode)["TimeoutSeconds"] > (5 if watched else 3) * 3600


def test_serverless_endpoint_gets_neither_network_nor_guardrails() -> None:
    states = definition("serverless")["States"]
    assert set(states["UpdateEndpoint"]["Arguments"]) == {"EndpointName", "EndpointConfigName"}
    assert not {"VpcConfig", "EnableNetworkIsolation"} & set(states["CreateModel"]["Arguments"])
    config = states["CreateEndpointConfig"]["Arguments"]
    assert "KmsKeyId" not in config
    (variant,) = config["ProductionVariants"]
    assert not {"InstanceType", "InitialInstanceCount"} & set(variant)
    assert "'MaxConcurrency': $line = 'champion' ? 4 : 4" in variant["ServerlessConfig"]


def test_promotion_of_a_multi_model_endpoint_leaves_the_champions_fleet_as_it_is() -> None:
    states = definition("multi-model")["States"]
    assert "$line = 'champion' ? 'fleet-0123abcd' : $deployment_id" in states["Check"]["Assign"]["name"]
    container = states["CreateModel"]["Arguments"]["PrimaryContainer"]
    assert container["Mode"] == "MultiModel"
    assert "Environment" not in container


def test_asynchronous_endpoint_comes_back_from_zero_by_an_alarm_of_its_own() -> None:
    states = definition("asynchronous")["States"]
    assert states["Scale"]["Arguments"]["MinCapacity"] == 0
    assert states["ScaleFromZero"]["Assign"] == {"steps": "{% $states.result.PolicyARN %}"}
    assert states["ScaleWhenWaiting"]["Arguments"]["AlarmActions"] == ["{% $steps %}"]
    assert states["UpdateEndpoint"]["Arguments"]["DeploymentConfig"]


def test_promotion_on_functions_makes_nothing_and_takes_what_another_mode_has_left() -> None:
    states = definition("lambda")["States"]
    asked = {state["Resource"].rpartition(":::")[2] for state in states.values() if state["Type"] == "Task"}
    assert {each for each in asked if "sagemaker" in each} == {
        f"aws-sdk:sagemaker:{action}"
        for action in (
            "describeModelPackage",
            "describeEndpoint",
            "deleteEndpoint",
            "deleteEndpointConfig",
            "deleteModel",
        )
    }
    assert "$prefix & '-' & $line & '-' & 'model'" in states["Check"]["Assign"]["name"]


def test_function_has_loaded_the_model_before_any_request_turns_to_it() -> None:
    states = definition("lambda")["States"]
    assert {name for name, state in states.items() if "TurnToModel" in successors(state)} == {"TryModel"}
    assert states["TryModel"]["Arguments"]["FunctionName"] == "{% $name %}"
    refused = states["TryModel"]["Catch"][0]
    assert refused["ErrorEquals"] == ["ModelMissing", "ModelBroken"]
    assert states[refused["Next"]]["Assign"]["failure"]["Error"] == "DeploymentFailed"


def test_stopped_promotion_on_functions_does_not_begin_anew() -> None:
    known = definition("lambda")["States"]["TargetKnown"]["Choices"]
    ways = [each["Next"] for each in known]
    assert ways.index("GoOnShifting") < ways.index("Stopped") < ways.index("FindServed")
