"""Stage conditions and retries in the shapes that CodePipeline's API answers with."""

from typing import Any

from twin.services.codepipeline.conditions import BEFORE_ENTRY, ON_FAILURE, ON_SUCCESS, RULE_SETTINGS
from twin.services.codepipeline.records import ConditionRun, Execution, RuleRun

_STATES = {
    BEFORE_ENTRY: "beforeEntryConditionState",
    ON_SUCCESS: "onSuccessConditionState",
    ON_FAILURE: "onFailureConditionState",
}


def stage_members(record: Execution, stage: str) -> dict[str, Any]:
    """Return what GetPipelineState adds to a stage: its conditions' states, and how often it was retried."""
    shown: dict[str, Any] = {}
    for kind, member in _STATES.items():
        found = record.last_condition(stage, kind)
        if found is not None:
            shown[member] = _condition(found)
    if retried := record.retried.get(stage):
        shown["retryStageMetadata"] = {
            "autoStageRetryAttempt": retried.get("AutomatedStageRetry"),
            "manualStageRetryAttempt": retried.get("ManualStageRetry"),
            "latestRetryTrigger": retried["latest"],
        }
    return shown


def _condition(run: ConditionRun) -> dict[str, Any]:
    latest = {"status": run.status, "summary": run.summary}
    rules = [
        {
            "ruleName": rule.rule,
            "latestExecution": {
                "ruleExecutionId": rule.id,
                "status": rule.status,
                "summary": rule.summary,
                "lastStatusChange": rule.updated,
                "errorDetails": rule.error,
            },
        }
        for rule in run.rules
    ]
    state = {"latestExecution": {**latest, "lastStatusChange": run.updated}, "ruleStates": rules}
    return {"latestExecution": latest, "conditionStates": [state]}


def rule_detail(record: Execution, run: RuleRun) -> dict[str, Any]:
    """Return a rule's run as ListRuleExecutions shows it."""
    return {
        "pipelineExecutionId": record.id,
        "ruleExecutionId": run.id,
        "pipelineVersion": run.version,
        "stageName": run.stage,
        "ruleName": run.rule,
        "startTime": run.started,
        "lastUpdateTime": run.updated,
        "status": run.status,
        "input": {
            "ruleTypeId": run.type_id,
            "configuration": run.configuration,
            "resolvedConfiguration": run.resolved,
            "roleArn": run.role_arn,
            "region": run.region,
        },
        "output": {"executionResult": {"externalExecutionSummary": run.summary, "errorDetails": run.error}},
    }


def rule_types() -> list[dict[str, Any]]:
    """Return the rules that the twin runs, as ListRuleTypes shows them."""
    return [
        {
            "id": {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"},
            "ruleConfigurationProperties": [
                {"name": name, "required": True, "key": False, "secret": False} for name in settings
            ],
            "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 0},
        }
        for provider, settings in RULE_SETTINGS.items()
    ]
