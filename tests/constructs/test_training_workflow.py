"""The training workflow as deployed: every way ends, and its role reaches what the states name, no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.assembly import Assembly, Resource, Statement

AFTER_FAILURE = {
    "RecordFailure",
    "AnnounceFailure",
    "AnnounceUnrecorded",
    "LeaveQueueAfterFailure",
    "Failed",
}
# Of AWS's limit of 1 MB for a definition; a reader's limit is lower.
MOST_BYTES = 120_000


def machine(assembly: Assembly, name: str) -> Resource:
    (found,) = [
        each
        for each in assembly.resources("AWS::StepFunctions::StateMachine", stack="vision-dev")
        if each.properties["StateMachineName"] == f"vision-dev-{name}"
    ]
    return found


def defined(resource: Resource) -> dict[str, Any]:
    _, parts = resource.properties["DefinitionString"]["Fn::Join"]
    return json.loads("".join(part if isinstance(part, str) else "token" for part in parts))


@pytest.fixture(scope="module", params=["training", "aftermath"])
def definition(request: pytest.FixtureRequest, assembly: Assembly) -> dict[str, Any]:
    return defined(machine(assembly, request.param))


@pytest.fixture(scope="module")
def training(assembly: Assembly) -> dict[str, Any]:
    return defined(machine(assembly, "training"))


def successors(state: dict[str, Any]) -> set[str]:
    routes = [state, *state.get("Choices", []), *state.get("Catch", [])]
    named = {route["Next"] for route in routes if "Next" in route}
    return named | ({state["Default"]} if "Default" in state else set())


def test_every_state_is_reached_and_every_way_ends(definition: dict[str, Any]) -> None:
    states = definition["States"]
    reached, waiting = set[str](), [definition["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(successors(states[name]))
    assert reached == set(states)
    ends = {name for name, state in states.items() if not successors(state)}
    assert {states[name]["Type"] for name in ends} == {"Succeed", "Fail"}
    assert len(json.dumps(definition)) < MOST_BYTES


def test_every_task_catches_everything_and_keeps_the_first_failure(definition: dict[str, Any]) -> None:
    for name, state in definition["States"].items():
        if state["Type"] in ("Task", "Map"):
            last = state["Catch"][-1]
            assert last["ErrorEquals"] == ["States.ALL"], name
            # What went wrong first is what people must hear.
            keeps = name in AFTER_FAILURE or name == "LeaveQueue"
            assert ("Assign" in last) != keeps, name
            assert state["Retry"], name


def test_a_caught_error_leads_to_its_record(training: dict[str, Any]) -> None:
    for name, state in training["States"].items():
        if state["Type"] in ("Task", "Map") and name not in AFTER_FAILURE | {"LeaveQueue"}:
            assert state["Catch"][-1]["Next"] == "ExplainFailure", name
    way, name = ["ExplainFailure"], "ExplainFailure"
    while "Next" in training["States"][name]:
        name = training["States"][name]["Next"]
        way.append(name)
    assert way == ["ExplainFailure", "RecordFailure", "AnnounceFailure", "LeaveQueueAfterFailure", "Failed"]


def test_batches_are_executions_of_their_own_at_most_so_many_at_once(training: dict[str, Any]) -> None:
    batches = training["States"]["PreprocessBatches"]
    assert batches["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
    assert batches["MaxConcurrency"] == 40
    assert "ToleratedFailurePercentage" not in batches


def test_jobs_are_encrypted_and_shut_off(training: dict[str, Any]) -> None:
    states = training["States"]
    job, evaluation = states["Train"]["Arguments"], states["Evaluate"]["Arguments"]
    trial = states["Tune"]["Arguments"]["TrainingJobDefinition"]
    for each in (job, trial):
        assert each["EnableInterContainerTrafficEncryption"] is True
        assert each["ResourceConfig"]["VolumeKmsKeyId"]
        assert each["OutputDataConfig"]["KmsKeyId"]
        assert each["VpcConfig"]
    assert evaluation["NetworkConfig"]["EnableNetworkIsolation"] is True
    assert evaluation["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"]


def test_training_runs_the_teams_code_in_awss_image(training: dict[str, Any]) -> None:
    arguments = training["States"]["Train"]["Arguments"]
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.13.0-cpu-amzn2023-sagemaker"
    assert arguments["AlgorithmSpecification"]["TrainingImage"] == image
    defaults = training["States"]["Plan"]["Assign"]["defaults"]
    assert defaults["sagemaker_program"] == "train.py"
    assert all(isinstance(value, str) for value in defaults.values())


def test_the_workflow_gives_up_some_time(training: dict[str, Any]) -> None:
    # A day in the queue, tuning or training, evaluation, promotion, and half a day of slack.
    assert training["TimeoutSeconds"] > 24 * 3600 + 36_000 + 1800 + 60 * 60
    assert training["TimeoutSeconds"] < 3 * 24 * 3600


def statements(assembly: Assembly, role: str = "WorkflowPermissions") -> list[Statement]:
    return list(assembly.statements(role=role, stack="vision-dev-training"))


def test_the_role_waits_by_step_functions_own_rules(assembly: Assembly) -> None:
    (rules,) = [each for each in statements(assembly) if "events:PutRule" in each.actions]
    names = {resource.rsplit("/", 1)[1] for resource in rules.resources}
    assert names == {
        "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
        "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
        "StepFunctionsGetEventsForSageMakerTuningJobsRule",
        "StepFunctionsGetEventsForStepFunctionsExecutionRule",
    }


@pytest.mark.parametrize("role", ["Workflow", "Aftermath", "SelectModel"])
def test_roles_touch_sagemaker_only_by_this_environments_names(assembly: Assembly, role: str) -> None:
    stack = "vision-dev-foundation"
    by_name = list(assembly.statements(role=f"IdentitiesAccountLevel{role}ByName", stack=stack))
    touched = [
        resource
        for statement in by_name
        if any(action.startswith("sagemaker:") for action in statement.actions)
        for resource in statement.resources
    ]
    assert touched
    assert set(touched) == {"arn:aws:sagemaker:us-east-1:222222222222:*/vision-dev-*"}
    for statement in statements(assembly, f"{role}Permissions"):
        assert not any(action.startswith("sagemaker:") for action in statement.actions)


def test_a_long_platform_name_gives_tuning_jobs_a_mark_of_their_own() -> None:
    from vision_platform.training_parts import tuning_prefix

    assert tuning_prefix("vision-dev") == "vision-dev-"
    assert len(tuning_prefix("a-long-platform-environment")) == 5


def test_the_role_starts_its_own_batches_and_the_promotion_and_nothing_else(assembly: Assembly) -> None:
    started = [
        resource
        for statement in statements(assembly)
        if "states:StartExecution" in statement.actions
        for resource in statement.resources
    ]
    assert len(started) == 2
    assert any(resource.endswith("stateMachine:vision-dev-training") for resource in started)


def rules(assembly: Assembly) -> Iterator[tuple[str, dict[str, Any], str]]:
    for rule in assembly.resources("AWS::Events::Rule", stack="training"):
        (target,) = rule.properties["Targets"]
        yield rule.logical_id, rule.properties, json.dumps(target)


def test_a_manifests_arrival_starts_the_champions_line_and_smoke_data_starts_nothing(
    assembly: Assembly,
) -> None:
    arrivals = [each for each in rules(assembly) if "DatasetArrival" in each[0]]
    assert len(arrivals) == 3
    for _, properties, target in arrivals:
        wanted = properties["EventPattern"]["detail"]["object"]["key"]
        assert wanted == [{"wildcard": "datasets/*manifest.json"}]
        assert "champion" in target
        assert "dataset" in target


def test_bad_ends_of_training_alone_start_the_aftermath(assembly: Assembly) -> None:
    ended = [properties for name, properties, _ in rules(assembly) if name.startswith("AftermathEnded")]
    assert len(ended) == 3
    for properties in ended:
        detail = properties["EventPattern"]["detail"]
        assert detail["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
        assert len(detail["stateMachineArn"]) == 1


def test_drift_of_the_champion_starts_training_unless_settings_forbid_it(assembly: Assembly) -> None:
    drift = [properties for name, properties, _ in rules(assembly) if "Drift" in name]
    assert len(drift) == 3
    for properties in drift:
        assert properties["EventPattern"]["detail-type"] == ["Drift Detected"]
        assert properties["EventPattern"]["detail"] == {"line": ["champion"]}
        assert "EventBusName" in properties
