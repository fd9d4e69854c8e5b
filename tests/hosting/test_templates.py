"""Templates of every hosting mode: nothing open in the rules, nothing that the twin does not know."""

from __future__ import annotations

from typing import Any

import pytest

from tests.assembly import Assembly, synthesize
from tests.hosting.plans import SETTINGS
from twin import fidelity

MODES = {"dev": "serverless", "staging": "asynchronous", "prod": "multi-model", "lab": "lambda"}

_WAYS = {"asynchronous": "sagemaker:InvokeEndpointAsync", "lambda": "lambda:InvokeFunction"}


@pytest.fixture(scope="module")
def modes(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Each environment in another mode; the settings that everybody has are real-time."""

    def change(platform: dict[str, Any]) -> None:
        first = platform["environments"][0]
        platform["environments"].insert(1, {**first, "name": "lab", "account": "222222222226"})
        for environment in platform["environments"]:
            environment["hosting"] = SETTINGS[MODES[environment["name"]]]

    return synthesize(tmp_path_factory.mktemp("cdk.out"), change=change)


def test_every_mode_is_tried() -> None:
    assert {*MODES.values(), "real-time"} == set(SETTINGS)


def test_no_pack_finds_anything_open_in_any_mode(modes: Assembly) -> None:
    open_findings = {
        (pack, finding["ruleName"], construct["constructPath"])
        for pack, report in modes.reports.items()
        for finding in report["violations"]
        for construct in finding["violatingConstructs"]
    }
    assert open_findings == set()


def test_everything_in_the_templates_is_classed(modes: Assembly) -> None:
    assert [str(use) for use in fidelity.unclassed(modes.folder)] == []


def test_functions_may_ask_models_in_their_mode_only(modes: Assembly) -> None:
    for environment, mode in MODES.items():
        for stack, role in (("inference", "Predict"), ("streaming", "Consume")):
            found = modes.statements(role=role, stack=f"vision-{environment}-{stack}")
            asking = {a for each in found for a in each.actions if a.partition(":")[2].startswith("Invoke")}
            assert asking == {_WAYS.get(mode, "sagemaker:InvokeEndpoint")}, (environment, stack)
        for folder, stack in (("predict", "inference"), ("consume", "streaming")):
            functions = modes.resources("AWS::Lambda::Function", stack=f"vision-{environment}-{stack}")
            variables = [each.properties["Environment"]["Variables"] for each in functions]
            found = [each for each in variables if each["POWERTOOLS_SERVICE_NAME"] == folder]
            assert [each["HOSTING_MODE"] for each in found] == [mode]


def test_only_the_mode_lambda_has_functions_for_models(modes: Assembly) -> None:
    for environment, mode in MODES.items():
        stack = f"vision-{environment}-promotion"
        found = modes.resources("AWS::Lambda::Function", stack=stack)
        names = {each.properties.get("FunctionName") for each in found} - {None}
        lines = [f"vision-{environment}-{line}-model" for line in ("champion", "smoke")]
        assert names == ({*lines} if mode == "lambda" else set())
        endpoint_logs = [
            each
            for each in modes.resources("AWS::Logs::LogGroup", stack=stack)
            if "Endpoints" in str(each.properties.get("LogGroupName"))
        ]
        assert bool(endpoint_logs) is (mode != "lambda")


def test_guardrails_of_functions_look_at_lambda(modes: Assembly) -> None:
    alarms = modes.resources("AWS::CloudWatch::Alarm", stack="vision-lab-monitoring")
    found = {each.properties["AlarmName"]: each.properties for each in alarms}
    latency = found["vision-lab-champion-latency"]
    assert (latency["Namespace"], latency["MetricName"], latency["Threshold"]) == (
        "AWS/Lambda",
        "Duration",
        500,
    )
    assert latency["Dimensions"] == [{"Name": "FunctionName", "Value": "vision-lab-champion-model"}]
    asked = {
        each["MetricStat"]["Metric"]["MetricName"]
        for each in found["vision-lab-champion-5xx"]["Metrics"]
        if "MetricStat" in each
    }
    assert asked == {"Errors", "Throttles", "Invocations"}


def test_functions_read_models_alone_and_promotion_makes_nothing_in_sagemaker(modes: Assembly) -> None:
    made = [
        *modes.statements(role="WorkflowPermissions", stack="vision-lab-promotion"),
        *modes.statements(role="PromotionByName", stack="vision-lab-foundation"),
    ]
    actions = {action for each in made for action in each.actions}
    assert not {each for each in actions if each.startswith(("sagemaker:Create", "sagemaker:Update"))}
    assert "iam:PassRole" not in actions
    functions = modes.statements(role="ChampionPermissions", stack="vision-lab-promotion")
    assert {action.partition(":")[0] for each in functions for action in each.actions} <= {
        "kms",
        "logs",
        "sqs",
    }


def test_network_has_a_way_from_function_to_function_in_that_mode_only(modes: Assembly) -> None:
    for environment, mode in MODES.items():
        found = modes.resources("AWS::EC2::VPCEndpoint", stack=f"vision-{environment}-foundation")
        names = " ".join(str(each.properties["ServiceName"]) for each in found)
        assert (".lambda" in names) is (mode == "lambda"), environment
