"""The gate before prod: what is made for the approver, who is asked what, and what a no or a failure does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_codepipeline as codepipeline

from delivery.dossier.settings import Settings
from delivery.stage_rules import RETRY, Said, StageRule, apply_stage_rules
from tests.assembly import Assembly, Resource

DOSSIER = "#{Review@Dossier."


@pytest.fixture(scope="module")
def stages(assembly: Assembly) -> dict[str, dict[str, Any]]:
    pipeline = assembly.only("AWS::CodePipeline::Pipeline")
    return {stage["Name"]: stage for stage in pipeline.properties["Stages"]}


@pytest.fixture(scope="module")
def project(assembly: Assembly) -> Resource:
    (found,) = [
        each for each in assembly.resources("AWS::CodeBuild::Project") if "Dossier" in each.logical_id
    ]
    return found


def only_action(stage: dict[str, Any]) -> dict[str, Any]:
    (action,) = stage["Actions"]
    return action


def test_the_dossier_is_made_of_the_assembly_by_the_commits_own_code(
    stages: dict[str, Any], project: Resource
) -> None:
    action = only_action(stages["Review"])
    source, assembly = (each["Name"] for each in action["InputArtifacts"])
    assert action["Configuration"]["PrimarySource"] == source == "example_vision_platform_Source"
    assert assembly == "Synth_Output"
    specification = json.loads(project.properties["Source"]["BuildSpec"])
    assert specification["phases"]["build"]["commands"] == [
        "python3 ops/set_up.py dev",
        ".venv/bin/python -m delivery.dossier",
        ". build/dossier/variables.sh",
    ]
    (linking,) = specification["phases"]["install"]["commands"]
    assert linking.endswith('ln -s -- "$CODEBUILD_SRC_DIR_Synth_Output" "build/assembly"')


def test_the_dossier_knows_what_it_is_about(stages: dict[str, Any], project: Resource) -> None:
    variables = {
        each["Name"]: each["Value"] for each in project.properties["Environment"]["EnvironmentVariables"]
    }
    variables.pop("REPORTS_BUCKET")
    assert variables == {
        "PIPELINE_NAME": "vision-delivery",
        "ENVIRONMENT": "prod",
        "TARGET_ACCOUNT": "444444444444",
        "TARGET_REGIONS": "us-east-1",
        "ASSEMBLY": "build/assembly",
        "LOOKUP_ROLE_ARN": "arn:aws:iam::444444444444:role/cdk-hnb659fds-lookup-role-444444444444-us-east-1",
        "DOSSIER_ROLE_ARN": "arn:aws:iam::444444444444:role/vision-prod-dossier",
        "BEFORE": "staging",
    }
    (execution,) = json.loads(only_action(stages["Review"])["Configuration"]["EnvironmentVariables"])
    assert execution["value"] == "#{codepipeline.PipelineExecutionId}"


def test_the_dossiers_step_gives_all_that_the_dossier_wants(
    stages: dict[str, dict[str, Any]], project: Resource
) -> None:
    given = {each["Name"] for each in project.properties["Environment"]["EnvironmentVariables"]}
    given |= {
        each["name"]
        for each in json.loads(only_action(stages["Review"])["Configuration"]["EnvironmentVariables"])
    }
    known = {name: required for name, required, _ in Settings.variables()}
    assert {name for name, required in known.items() if required} <= given <= set(known)


def test_the_dossier_tells_the_pipeline_what_the_next_stages_ask(project: Resource) -> None:
    exported = json.loads(project.properties["Source"]["BuildSpec"])["env"]["exported-variables"]
    assert set(exported) == {"DOSSIER_URL", "DOSSIER_SUMMARY", "DOSSIER_RISK", "DOSSIER_RISKS"}


def test_a_dossier_that_names_no_risk_skips_the_confirmation_and_nothing_else_does(
    stages: dict[str, Any],
) -> None:
    (condition,) = stages["Confirm"]["BeforeEntry"]["Conditions"]
    (rule,) = condition["Rules"]
    assert condition["Result"] == "SKIP"
    assert rule["RuleTypeId"]["Provider"] == "VariableCheck"
    # A failing rule skips: only the word `none` fails this one, and no typing error does.
    assert rule["Configuration"] == {
        "Variable": f"{DOSSIER}DOSSIER_RISK}}",
        "Operator": "NE",
        "Value": "none",
    }
    assert [name for name, stage in stages.items() if "BeforeEntry" in stage] == ["Confirm"]


def test_people_are_asked_with_the_dossiers_words_and_its_page(stages: dict[str, Any]) -> None:
    confirm, approve = (only_action(stages[name]) for name in ("Confirm", "Approve"))
    assert (confirm["Name"], approve["Name"]) == ("ConfirmRisks", "Promote")
    assert f"{DOSSIER}DOSSIER_RISKS}}" in confirm["Configuration"]["CustomData"]
    assert f"{DOSSIER}DOSSIER_SUMMARY}}" in approve["Configuration"]["CustomData"]
    assert (
        f"#{{{only_action(stages['Source'])['Namespace']}.CommitId}}"
        in approve["Configuration"]["CustomData"]
    )
    for action in (confirm, approve):
        page = "".join(part for part in action["Configuration"]["ExternalEntityLink"]["Fn::Join"][1][2:])
        assert page.endswith("prefix=dossier/#{codepipeline.PipelineExecutionId}/prod/index.html")
        assert "waits" in action["Configuration"]["CustomData"]


def test_what_people_are_asked_stays_within_what_an_approval_can_show(stages: dict[str, Any]) -> None:
    text = only_action(stages["Approve"])["Configuration"]["CustomData"]
    fixed = text.replace(f"{DOSSIER}DOSSIER_SUMMARY}}", "").replace("#{Source@example_vision-platform.", "")
    # A commit has 40 characters, a summary less than 900; CodePipeline cuts at 1000.
    assert len(fixed) + 40 + 900 <= 1000


def test_the_approvals_topic_brings_the_question_to_people(
    assembly: Assembly, stages: dict[str, Any]
) -> None:
    topic = assembly.only("AWS::SNS::Topic", stack="vision-delivery")
    for name in ("Confirm", "Approve"):
        assert only_action(stages[name])["Configuration"]["NotificationArn"] == {"Ref": topic.logical_id}
    publishing = [each for each in assembly.statements(role="PipelineRole") if "sns:Publish" in each.actions]
    assert [each.resources for each in publishing] == [(f"<{topic.logical_id}>",)]


def test_a_no_touches_nothing_and_a_rollback_asks_nobody(stages: dict[str, Any]) -> None:
    assert stages["Prod"]["OnFailure"] == {"Result": "ROLLBACK"}
    assert [
        name for name, stage in stages.items() if stage.get("OnFailure", {}) == {"Result": "ROLLBACK"}
    ] == ["Prod"]
    categories = {action["ActionTypeId"]["Category"] for action in stages["Prod"]["Actions"]}
    assert categories == {"Deploy", "Build"}


def test_publishing_is_tried_again_and_smoke_tests_are_not(stages: dict[str, Any]) -> None:
    retried = {name for name, stage in stages.items() if stage.get("OnFailure", {}).get("Result") == "RETRY"}
    assert retried == {"Assets"}
    assert stages["Assets"]["OnFailure"]["RetryConfiguration"] == {"RetryMode": "FAILED_ACTIONS"}


def test_approvals_wait_for_three_days_unless_the_settings_say_otherwise(stages: dict[str, Any]) -> None:
    waits = {
        action["Name"]: action["TimeoutInMinutes"]
        for stage in stages.values()
        for action in stage["Actions"]
        if action["ActionTypeId"]["Category"] == "Approval"
    }
    assert waits == {"ConfirmRisks": 72 * 60, "Promote": 72 * 60}


def test_only_what_is_approved_has_a_role_for_its_dossier(assembly: Assembly) -> None:
    roles = [
        each
        for each in assembly.resources("AWS::IAM::Role", stack="vision")
        if str(each.properties.get("RoleName", "")).endswith("-dossier")
    ]
    assert {each.properties["RoleName"] for each in roles} == {
        "vision-delivery-prod-dossier",
        "vision-prod-dossier",
    }
    (role,) = [each for each in roles if each.properties["RoleName"] == "vision-prod-dossier"]
    assert role.stack == "vision-prod-foundation"
    (trust,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
    assert "111111111111" in json.dumps(trust["Principal"])
    assert trust["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/vision-delivery-prod-dossier"}
    }


def test_the_dossier_prepares_change_sets_of_its_environment_and_runs_none(assembly: Assembly) -> None:
    statements = list(assembly.statements(role="Dossier", stack="vision-prod-foundation"))
    actions = {action for each in statements for action in each.actions}
    assert "cloudformation:CreateChangeSet" in actions
    assert not {"cloudformation:ExecuteChangeSet", "iam:PassRole", "cloudformation:UpdateStack"} & actions
    for each in statements:
        if "cloudformation:CreateChangeSet" in each.actions:
            assert each.condition == {"StringLike": {"cloudformation:ChangeSetName": "dossier-*"}}
        if any(action.startswith("cloudformation:") for action in each.actions):
            assert each.resources == ("arn:aws:cloudformation:us-east-1:444444444444:stack/vision-prod-*/*",)


def test_the_dossier_leaves_published_assets_alone(assembly: Assembly) -> None:
    resources = {
        resource
        for each in assembly.statements(role="Dossier", stack="vision-prod-foundation")
        if any(action.startswith("s3:") for action in each.actions)
        for resource in each.resources
    }
    assert resources == {"arn:aws:s3:::cdk-hnb659fds-assets-444444444444-us-east-1/dossier/*"}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"Assetts": StageRule(on_failure=RETRY)}, "the pipeline has no stage Assetts"),
        (
            {"Deploy": StageRule(skipped_if=Said(stage="Review", action="Dossier", variable="X", value="y"))},
            "no action Dossier in stage Review has variables",
        ),
    ],
)
def test_a_rule_for_what_is_not_there_is_refused(rules: dict[str, StageRule], message: str) -> None:
    stack = Stack(App(), "Stack")
    pipeline = codepipeline.Pipeline(stack, "Pipeline")
    template: Any = pipeline.node.default_child
    template.stages = [{"name": "Deploy", "actions": []}]
    with pytest.raises(ValueError, match=message):
        apply_stage_rules(pipeline, rules, approval_timeout_hours=1)
