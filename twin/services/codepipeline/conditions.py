"""Stage conditions as they may be declared: which results and rules each kind takes; the rest is refused."""

import re
from collections.abc import Mapping, Set
from typing import Any

from twin.json_service import NotImplementedInTwin, ServiceError
from twin.services.codepipeline.variables import references

BEFORE_ENTRY, ON_SUCCESS, ON_FAILURE = "BEFORE_ENTRY", "ON_SUCCESS", "ON_FAILURE"
# kind -> member of a stage's declaration
MEMBERS = {BEFORE_ENTRY: "beforeEntry", ON_SUCCESS: "onSuccess", ON_FAILURE: "onFailure"}
VARIABLE_CHECK = "VariableCheck"
OPERATORS = ("EQ", "NE", "CONTAINS", "MATCHES")
_RESULTS = {BEFORE_ENTRY: ("FAIL", "SKIP"), ON_SUCCESS: ("FAIL", "ROLLBACK"), ON_FAILURE: ("ROLLBACK",)}
_FAILURE_RESULTS = (None, "FAIL", "RETRY", "ROLLBACK")
_SKIPPING_RULES = ("LambdaInvoke", VARIABLE_CHECK)
_MOST_RULES = 5
# What the twin runs, with its settings, and what AWS offers besides.
RULE_SETTINGS = {VARIABLE_CHECK: ("Variable", "Operator", "Value")}
_OTHER_RULES = ("CloudWatchAlarm", "CodeBuild", "Commands", "DeploymentWindow", "LambdaInvoke")
_BUILT_IN_NAMESPACES = frozenset({"codepipeline", "variables"})


def condition_of(stage: Mapping[str, Any], kind: str) -> dict[str, Any] | None:
    """Return a stage's condition of this kind, or None; there is at most one."""
    found = (stage.get(MEMBERS[kind]) or {}).get("conditions")
    return found[0] if found else None


def check_conditions(
    declaration: Mapping[str, Any], stage: Mapping[str, Any], before: Set[str], within: Set[str]
) -> None:
    """Raise `ServiceError` for conditions that AWS or the twin would not take.

    `before` are the namespaces of earlier stages, `within` those of this stage's own actions.
    """
    for kind, member in MEMBERS.items():
        declared = stage.get(member)
        if not declared:
            continue
        where = f"stage {stage['name']}, {member}"
        if declaration["pipelineType"] != "V2":
            raise _invalid(f"{where}: stage conditions need a pipeline of type V2")
        if kind == ON_FAILURE:
            _check_failure(where, declared)
        elif not declared.get("conditions"):
            raise _invalid(f"{where} lacks conditions")
        if len(declared.get("conditions") or ()) > 1:
            raise _invalid(f"{where}: one condition is the most")
        results = {declared.get("result")}
        condition = condition_of(stage, kind)
        if condition is not None:
            known = before if kind == BEFORE_ENTRY else before | within
            _check_condition(where, kind, condition, known | _BUILT_IN_NAMESPACES)
            results.add(condition["result"])
        if "ROLLBACK" in results and declaration["executionMode"] == "PARALLEL":
            raise _invalid(f"{where}: a pipeline in mode PARALLEL cannot roll stages back")


def _check_failure(where: str, declared: Mapping[str, Any]) -> None:
    result, retry = declared.get("result"), declared.get("retryConfiguration")
    if result not in _FAILURE_RESULTS:
        raise _invalid(f"{where}: result {result} is for entry conditions only")
    if retry and result != "RETRY":
        raise _invalid(f"{where}: retryConfiguration needs result RETRY")
    if declared.get("conditions") and result == "RETRY":
        raise _invalid(f"{where}: conditions and automatic retry exclude each other")
    if declared.get("conditions") and result is not None:
        raise NotImplementedInTwin(f"codepipeline {where}: a result beside conditions")


def _check_condition(where: str, kind: str, condition: Mapping[str, Any], namespaces: Set[str]) -> None:
    result, rules = condition.get("result", ""), condition.get("rules") or []
    if result not in _RESULTS[kind]:
        raise _invalid(f"{where}: result {result!r} is none of {', '.join(_RESULTS[kind])}")
    if not 1 <= len(rules) <= _MOST_RULES:
        raise _invalid(f"{where}: a condition has 1 to {_MOST_RULES} rules")
    names = [rule["name"] for rule in rules]
    if len(set(names)) != len(names):
        raise _invalid(f"{where}: rule names must be unique")
    for rule in rules:
        _check_rule(f"{where}, rule {rule['name']}", rule, result, namespaces)


def _check_rule(where: str, rule: Mapping[str, Any], result: str, namespaces: Set[str]) -> None:
    provider = rule["ruleTypeId"]["provider"]
    if result == "SKIP" and provider not in _SKIPPING_RULES:
        raise _invalid(f"{where}: only {' and '.join(_SKIPPING_RULES)} may skip a stage, not {provider}")
    if provider in _OTHER_RULES:
        raise NotImplementedInTwin(f"codepipeline rule provider {provider} ({where})")
    if provider not in RULE_SETTINGS:
        raise _invalid(f"{where}: there is no rule provider {provider!r}")
    for member in ("commands", "inputArtifacts"):
        if rule.get(member):
            raise _invalid(f"{where}: {provider} takes no {member}")
    settings, wanted = rule.get("configuration") or {}, RULE_SETTINGS[provider]
    if set(settings) != set(wanted):
        raise _invalid(f"{where}: configuration must hold exactly {', '.join(wanted)}")
    if settings["Operator"] not in OPERATORS:
        raise _invalid(f"{where}: Operator {settings['Operator']!r} is none of {', '.join(OPERATORS)}")
    if settings["Operator"] == "MATCHES" and not references(settings["Value"]):
        try:
            re.compile(settings["Value"])
        except re.error as fault:
            raise _invalid(f"{where}: Value is no regular expression: {fault}") from fault
    for space, name in references(*settings.values()):
        if space not in namespaces:
            raise _invalid(f"{where}: no action before it has the namespace of #{{{space}.{name}}}")


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidStructureException", message)
