"""The promotion workflow as it is deployed: no way leads nowhere; rollout and permissions are as set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.assembly import Assembly
from tests.constructs.sharing_app import synthesize
from twin import metric_math

STACK = "vision-dev-promotion"
# Whatever happens in these, the execution goes on to say what went wrong first.
QUIET = {
    "ExamineEndpoint",
    "RemoveBacklogAlarm",
    "RemoveDeadEndpoint",
    "RemoveRefusedConfig",
    "RemoveRefusedModel",
    "RemoveSupersededConfig",
    "RemoveSupersededModel",
    "RecordFailure",
    "AnnounceRolledBack",
    "AnnounceFailed",
    "AnnouncePromoted",
    "GiveLineBack",
    "ReleaseLine",
}


def machine(assembly: Assembly, stack: str) -> dict[str, Any]:
    found = assembly.only("AWS::StepFunctions::StateMachine", stack=stack)
    _, parts = found.properties["DefinitionString"]["Fn::Join"]
    return json.loads("".join(part if isinstance(part, str) else "token" for part in parts))


@pytest.fixture(scope="module")
def states(assembly: Assembly) -> dict[str, dict[str, Any]]:
    return machine(assembly, STACK)["States"]


def successors(state: dict[str, Any]) -> set[str]:
    routes = [state, *state.get("Choices", []), *state.get("Catch", [])]
    named = {route["Next"] for route in routes if "Next" in route}
    return named | ({state["Default"]} if "Default" in state else set())


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
            assert ("failure" in last.get("Assign", {})) is (name not in QUIET), name


def test_passing_trouble_is_tried_again_and_what_sagemaker_refuses_is_looked_at(
    states: dict[str, dict[str, Any]],
) -> None:
    for name, state in states.items():
        if state["Type"] == "Task":
            (retry,) = state["Retry"]
            looked_at = any("SageMaker.SageMakerException" in each["ErrorEquals"] for each in state["Catch"])
            assert ("SageMaker.SageMakerException" in retry["ErrorEquals"]) is not looked_at, name


def test_line_is_given_back_whatever_happens(states: dict[str, dict[str, Any]]) -> None:
    for name in ("Done", "Failed", "Tidied"):
        before = {each for each, state in states.items() if name in successors(state)}
        assert before <= {"ReleaseLine", "GiveLineBack", "WhoseFailure"}, name


def deployment(states: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """DeploymentConfig for the champion's new models, and for everything else."""
    text = states["UpdateEndpoint"]["Arguments"]["DeploymentConfig"].strip("{% }")
    condition, _, choice = text.partition(" ? ")
    assert condition == "$line = 'champion' and $reason != 'rollback'"
    guarded, at_once = (text + "}" * (text.count("{") - text.count("}")) for text in choice.split(" : "))
    return json.loads(guarded), json.loads(at_once)


def test_champion_changes_in_steps_under_three_alarms_and_the_rest_at_once(
    assembly: Assembly, states: dict[str, dict[str, Any]]
) -> None:
    guarded, at_once = deployment(states)
    settings = json.loads((Path(__file__).parents[1] / "platform.json").read_text())
    strategy = settings.get("hosting", {}).get("strategy", "canary")
    assert guarded["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == strategy.upper()
    named = {each["AlarmName"] for each in guarded["AutoRollbackConfiguration"]["Alarms"]}
    deployed = {
        each.properties["AlarmName"]
        for each in assembly.resources("AWS::CloudWatch::Alarm", stack="vision-dev")
    }
    assert named == {f"vision-dev-champion-{kind}" for kind in ("quality", "5xx", "latency")}
    assert named <= deployed
    assert "AutoRollbackConfiguration" not in at_once


@pytest.mark.parametrize(
    ("hosting", "routing"),
    [
        (
            {"strategy": "canary", "step_percent": 25, "step_wait_seconds": 60},
            {
                "Type": "CANARY",
                "WaitIntervalInSeconds": 60,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
            },
        ),
        (
            {"strategy": "linear", "step_percent": 10, "step_wait_seconds": 60},
            {
                "Type": "LINEAR",
                "WaitIntervalInSeconds": 60,
                "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 10},
            },
        ),
        ({"strategy": "all_at_once"}, {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}),
    ],
)
def test_rollout_comes_from_the_settings(hosting: dict[str, Any], routing: dict[str, Any]) -> None:
    policy = rollout(**hosting).guarded()["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"] == routing
    assert policy["TerminationWaitInSeconds"] == 300
    assert policy["MaximumExecutionTimeoutInSeconds"] == 3600


def test_steps_that_take_longer_than_the_deployment_may_are_refused() -> None:
    with pytest.raises(ValueError, match=r"take 8700 s, more than deployment_timeout_minutes allows"):
        rollout(strategy="linear", step_percent=10, step_wait_seconds=900, bake_seconds=600)


def rollout(**more: Any) -> Any:
    from vision_platform.promotion_plan import Rollout

    usual = {"step_percent": 50, "step_wait_seconds": 300, "bake_seconds": 300, "timeout_seconds": 3600}
    return Rollout(**{**usual, "alarms": ["a"], **more})


def test_execution_outlives_what_it_waits_for(assembly: Assembly) -> None:
    definition = machine(assembly, STACK)
    guarded, _ = deployment(definition["States"])
    longest = guarded["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"]
    assert definition["TimeoutSeconds"] > 3 * longest


def uncertain_percent(
    expression: str, *, api: tuple[int, int] | None = None, burst: tuple[int, int] | None = None
) -> float:
    """What the expression gives for (answers, uncertain ones) of a period; None is a path that is quiet."""
    values: dict[str, Any] = {}
    for path, counts in (("api", api), ("burst", burst)):
        for kind, place in (("answers", 0), ("uncertain", 1)):
            values[f"{path}_{kind}"] = {} if counts is None else {0: float(counts[place])}
    return metric_math.Evaluation(values, values, range(1)).series(metric_math.parse(expression))[0]


def test_quality_alarm_is_the_share_of_uncertain_answers(assembly: Assembly) -> None:
    alarms = {
        each.properties["AlarmName"]: each.properties
        for each in assembly.resources("AWS::CloudWatch::Alarm", stack="vision-dev")
    }
    quality = alarms["vision-dev-champion-quality"]
    by_id = {each["Id"]: each for each in quality["Metrics"]}
    (expression,) = [each["Expression"] for each in quality["Metrics"] if "Expression" in each]
    for path, service in (("api", "predict"), ("burst", "consume")):
        dimensions = [{"Name": "line", "Value": "champion"}, {"Name": "service", "Value": service}]
        for id, name in (("uncertain", "LowConfidence"), ("answers", "Predictions")):
            metric = by_id[f"{path}_{id}"]["MetricStat"]["Metric"]
            assert (metric["MetricName"], metric["Dimensions"]) == (name, dimensions)
    assert uncertain_percent(expression, api=(10, 1)) == 10
    assert uncertain_percent(expression, burst=(10, 6)) == 60
    assert uncertain_percent(expression, api=(30, 0), burst=(10, 6)) == 15
    assert uncertain_percent(expression, burst=(4, 4)) == 0  # too few to tell
    assert quality["TreatMissingData"] == "notBreaching"
    # SageMaker counts microseconds.
    assert alarms["vision-dev-champion-latency"]["Threshold"] == 500_000


def test_what_was_stopped_is_cleared_up_after(assembly: Assembly) -> None:
    rule = assembly.only("AWS::Events::Rule", stack=STACK)
    assert rule.properties["EventPattern"]["detail"]["status"] == ["ABORTED", "FAILED", "TIMED_OUT"]
    (target,) = rule.properties["Targets"]
    assert json.loads(
        target["InputTransformer"]["InputTemplate"].replace("<detail-executionArn>", '"x"')
    ) == {"after": "x"}


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Staging, and prod that promotes its models."""
    return synthesize(tmp_path_factory.mktemp("sharing"))


READERS = [f"arn:aws:iam::444444444444:role/vision-prod-{kind}" for kind in ("hosting", "evaluation", "gate")]


def test_source_lets_the_readers_roles_have_packages_models_and_evaluations(sharing: Assembly) -> None:
    groups = sharing.resources("AWS::SageMaker::ModelPackageGroup", stack="vision-staging-data")
    shared = {
        group.properties["ModelPackageGroupName"]: group.properties["ModelPackageGroupPolicy"]
        for group in groups
        if "ModelPackageGroupPolicy" in group.properties
    }
    (statement,) = shared.pop("vision-staging-champion")["Statement"]
    assert not shared
    assert statement["Action"] == "sagemaker:DescribeModelPackage"
    assert statement["Resource"].endswith(":model-package/vision-staging-champion/*")
    promoting = "arn:aws:iam::444444444444:role/vision-prod-promotion"
    assert statement["Condition"] == {"ArnEquals": {"aws:PrincipalArn": [promoting]}}

    (policy,) = [
        each
        for each in sharing.resources("AWS::S3::BucketPolicy", stack="vision-staging-data")
        if "Artifacts" in each.logical_id and "Access" not in each.logical_id
    ]
    read = {
        json.dumps(each["Resource"]).split("/", 1)[1].split('"')[0]: each["Condition"]["ArnEquals"]
        for each in policy.properties["PolicyDocument"]["Statement"]
        if "ArnEquals" in each.get("Condition", {}) and each["Action"] == "s3:GetObject"
    }
    assert read == {
        "models/champion/*": {"aws:PrincipalArn": READERS[:2]},
        "evaluations/champion/*": {"aws:PrincipalArn": READERS[2:]},
    }
    key = sharing.only("AWS::KMS::Key", stack="vision-staging-foundation").properties["KeyPolicy"]
    (decrypts,) = [each for each in key["Statement"] if "ArnEquals" in each.get("Condition", {})]
    assert decrypts["Action"] == "kms:Decrypt"
    assert decrypts["Condition"]["ArnEquals"]["aws:PrincipalArn"] == READERS
    assert decrypts["Condition"]["StringEquals"] == {"kms:ViaService": "s3.us-east-1.amazonaws.com"}


def test_reader_has_the_roles_that_the_source_names_and_judges_for_itself(sharing: Assembly) -> None:
    named = {
        each.properties["RoleName"]
        for each in sharing.resources("AWS::IAM::Role", stack="vision-prod-foundation")
        if "RoleName" in each.properties
    }
    assert {name.rpartition("/")[2] for name in READERS} | {"vision-prod-promotion"} <= named
    states = machine(sharing, "vision-prod-promotion")["States"]
    begins = "arn:aws:sagemaker:us-east-1:333333333333:model-package/vision-staging-champion/"
    assert states["Begin"]["Assign"]["packages_elsewhere"] == begins
    image = json.dumps(states["CreateModel"]["Arguments"]["PrimaryContainer"]["Image"])
    assert "333333333333" not in image
    workflow = sharing.statements(role="WorkflowPermissions", stack="vision-prod-promotion")
    assert any("lambda:InvokeFunction" in each.actions for each in workflow)


def test_nobody_else_may_promote_anothers_models(sharing: Assembly) -> None:
    states = machine(sharing, "vision-staging-promotion")["States"]
    assert states["Begin"]["Assign"]["packages_elsewhere"] == ""
    workflow = list(sharing.statements(role="WorkflowPermissions", stack="vision-staging-promotion"))
    assert not any("lambda:InvokeFunction" in each.actions for each in workflow)


def test_models_are_not_served_in_a_region_where_they_do_not_lie(tmp_path: Path) -> None:
    from stages.settings import SettingsError

    def elsewhere(platform: dict[str, Any]) -> None:
        platform["environments"][1]["region"] = "eu-west-1"

    with pytest.raises(SettingsError, match=r"prod.models_from: 'staging' is not in eu-west-1"):
        synthesize(tmp_path, elsewhere)
