"""Which stage conditions may be declared: checked without a running twin."""

import json
from typing import Any

import pytest

from tests.twin.pipelines.builders import conditions, variable_rule
from tests.twin.pipelines.test_definition import checked
from twin.json_service import ServiceError
from twin.services.codepipeline.records import ConditionRun, Execution, RuleRun

RULE = variable_rule("#{Code.BranchName}", "EQ", "main")


def other_rule(provider: str) -> dict[str, Any]:
    kind = {"Category": "Rule", "Owner": "AWS", "Provider": provider, "Version": "1"}
    return {"Name": "Other", "RuleTypeId": kind, "Configuration": {}}


def test_every_kind_of_condition_with_its_results_is_taken() -> None:
    for declared in (
        {"BeforeEntry": conditions("SKIP", RULE)},
        {"BeforeEntry": conditions("FAIL", RULE)},
        {"OnSuccess": conditions("FAIL", RULE)},
        {"OnSuccess": conditions("ROLLBACK", RULE)},
        {"OnFailure": conditions("ROLLBACK", RULE)},
        {"OnFailure": {"Result": "ROLLBACK"}},
        {"OnFailure": {"Result": "FAIL"}},
        {"OnFailure": {"Result": "RETRY", "RetryConfiguration": {"RetryMode": "ALL_ACTIONS"}}},
    ):
        found = checked(lambda stages, declared=declared: stages[1].update(declared))
        assert {"beforeEntry", "onSuccess", "onFailure"} & set(found["stages"][1])


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"BeforeEntry": conditions("ROLLBACK", RULE)}, "result 'ROLLBACK' is none of FAIL, SKIP"),
        ({"OnSuccess": conditions("SKIP", RULE)}, "result 'SKIP' is none of FAIL, ROLLBACK"),
        ({"OnFailure": {"Result": "SKIP"}}, "result SKIP is for entry conditions only"),
        ({"OnFailure": {"Result": "FAIL", "RetryConfiguration": {"RetryMode": "ALL_ACTIONS"}}},
         "retryConfiguration needs result RETRY"),
        ({"OnFailure": {"Result": "RETRY", **conditions("ROLLBACK", RULE)}},
         "conditions and automatic retry exclude each other"),
        ({"OnFailure": {"Result": "FAIL", **conditions("ROLLBACK", RULE)}},
         "a result beside conditions is not implemented"),
        ({"BeforeEntry": {"Conditions": []}}, "beforeEntry lacks conditions"),
        ({"BeforeEntry": {"Conditions": 2 * conditions("FAIL", RULE)["Conditions"]}}, "one condition is the"),
        ({"BeforeEntry": conditions("FAIL")}, "a condition has 1 to 5 rules"),
        ({"BeforeEntry": conditions("FAIL", RULE, RULE)}, "rule names must be unique"),
        ({"BeforeEntry": conditions("FAIL", other_rule("CloudWatchAlarm"))},
         "codepipeline rule provider CloudWatchAlarm (stage Build, beforeEntry, rule Other) is not"),
        ({"BeforeEntry": conditions("SKIP", other_rule("CloudWatchAlarm"))},
         "only LambdaInvoke and VariableCheck may skip a stage"),
        ({"BeforeEntry": conditions("FAIL", other_rule("Guess"))}, "there is no rule provider 'Guess'"),
        ({"BeforeEntry": conditions("FAIL", variable_rule("#{Code.A}", "GT", "1"))},
         "Operator 'GT' is none of EQ, NE, CONTAINS, MATCHES"),
        ({"BeforeEntry": conditions("FAIL", variable_rule("#{Code.A}", "MATCHES", "("))},
         "Value is no regular expression"),
        ({"BeforeEntry": conditions("FAIL", variable_rule("#{Later.A}", "EQ", "1"))},
         "no action before it has the namespace of #{Later.A}"),
        ({"BeforeEntry": conditions("FAIL", {**RULE, "Configuration": {"Variable": "#{Code.A}"}})},
         "configuration must hold exactly Variable, Operator, Value"),
        ({"BeforeEntry": conditions("FAIL", {**RULE, "Commands": ["ls"]})}, "takes no commands"),
    ],
)  # fmt: skip
def test_what_cannot_be_declared_is_named(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ServiceError) as found:
        checked(lambda stages: stages[1].update(declared))
    assert message in found.value.message


def test_conditions_need_type_v2_and_rollback_a_mode_that_has_it() -> None:
    def conditional(stages: list[dict[str, Any]]) -> None:
        stages[1]["OnSuccess"] = conditions("ROLLBACK", RULE)

    with pytest.raises(ServiceError, match="need a pipeline of type V2"):
        checked(conditional, PipelineType="V1")
    with pytest.raises(ServiceError, match="mode PARALLEL cannot roll stages back"):
        checked(conditional, ExecutionMode="PARALLEL")


def test_what_was_found_of_conditions_outlives_a_restart() -> None:
    kind = {"category": "Rule", "provider": "VariableCheck"}
    execution = Execution(pipeline="p", version=1, mode="QUEUED", trigger={"type": "t", "detail": "d"})
    rule = RuleRun(stage="Prod", kind="BEFORE_ENTRY", rule="Check", version=1, type_id=kind, summary="why")
    execution.add_condition(ConditionRun("Prod", "BEFORE_ENTRY", "FAIL", "Failed", "why", [rule]))
    execution.count_retry("Prod", "ManualStageRetry")
    saved = {**json.loads(json.dumps(execution.to_json())), "of an older twin": 1}
    assert Execution.from_json(saved) == execution


@pytest.mark.parametrize(("minutes", "message"), [(4, "must lie between 5 and 86400"), (86401, "must lie")])
def test_time_of_an_approval_has_limits(minutes: int, message: str) -> None:
    kind = {"Category": "Approval", "Owner": "AWS", "Provider": "Manual", "Version": "1"}
    approval = {"Name": "Approve", "ActionTypeId": kind, "TimeoutInMinutes": minutes}
    with pytest.raises(ServiceError, match=message):
        checked(lambda stages: stages[1]["Actions"].append(approval))
    with pytest.raises(ServiceError, match="only approval actions take timeoutInMinutes"):
        checked(lambda stages: stages[1]["Actions"][0].update(TimeoutInMinutes=10))
