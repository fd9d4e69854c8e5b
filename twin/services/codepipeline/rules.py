"""Runs the rules of a stage condition; when one of them fails, the condition's result engages."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from twin import glue
from twin.services.codepipeline.conditions import condition_of
from twin.services.codepipeline.records import FAILED, SUCCEEDED, ConditionRun, Execution, RuleRun
from twin.services.codepipeline.variables import VariableError, resolve

ERRORED = "Errored"
_CHECKS: dict[str, tuple[str, Callable[[str, str], bool]]] = {
    "EQ": ("equal", lambda found, value: found == value),
    "NE": ("differ from", lambda found, value: found != value),
    "CONTAINS": ("contain", lambda found, value: value in found),
    "MATCHES": ("match", lambda found, value: re.fullmatch(value, found) is not None),
}


def run_condition(execution: Execution, stage: Mapping[str, Any], kind: str) -> ConditionRun | None:
    """Run a stage's condition of this kind, and keep it with the execution; None where there is none.

    A rule whose variable nobody has produced makes the condition `Errored`.
    """
    declared = condition_of(stage, kind)
    if declared is None:
        return None
    runs = [_run_rule(execution, stage["name"], kind, rule) for rule in declared["rules"]]
    failed = [run for run in runs if run.status == FAILED]
    status = ERRORED if any(run.error for run in failed) else FAILED if failed else SUCCEEDED
    condition = ConditionRun(
        stage=stage["name"],
        kind=kind,
        result=declared["result"],
        status=status,
        summary="; ".join(f"{run.rule}: {run.summary}" for run in failed or runs),
        rules=runs,
    )
    execution.add_condition(condition)
    return condition


def _run_rule(execution: Execution, stage: str, kind: str, rule: Mapping[str, Any]) -> RuleRun:
    run = RuleRun(
        stage=stage,
        kind=kind,
        rule=rule["name"],
        version=execution.version,
        type_id=dict(rule["ruleTypeId"]),
        configuration=dict(rule["configuration"]),
        role_arn=rule.get("roleArn"),
        region=rule.get("region") or glue.current_scope().region,
    )
    try:
        run.resolved = resolve(run.configuration, execution.spaces())
        passed, run.summary = _check_variable(run.configuration["Variable"], run.resolved)
    except (VariableError, re.error) as fault:
        passed, run.summary = False, str(fault)
        run.error = {"code": "ConfigurationError", "message": str(fault)}
    run.end(SUCCEEDED if passed else FAILED)
    return run


def _check_variable(variable: str, settings: Mapping[str, str]) -> tuple[bool, str]:
    found, value = settings["Variable"], settings["Value"]
    words, check = _CHECKS[settings["Operator"]]
    passed = check(found, value)
    return passed, f"{variable} is {found!r}, {'as it must' if passed else 'but must'} {words} {value!r}"
