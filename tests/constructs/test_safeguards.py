"""What guards an environment is there by default; what the settings leave out is acknowledged by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.assembly import Assembly, synthesize
from vision_platform.references import flatten

DEV = "vision-dev"


def silenced(assembly: Assembly) -> set[tuple[str, str]]:
    """Each acknowledgement that was used: at which construct, and of which rule in whatever pack."""
    return {
        (each["acknowledgedAt"], each["ruleName"].split("-", 1)[1])
        for report in assembly.reports.values()
        for each in report.get("suppressedViolations", [])
    }


def test_functions_run_in_the_network_within_a_limit_and_keep_what_failed(assembly: Assembly) -> None:
    functions = assembly.resources("AWS::Lambda::Function", stack=DEV)
    assert len(functions) >= 6
    queues = {each.logical_id for each in assembly.resources("AWS::SQS::Queue", stack=DEV)}
    for function in functions:
        assert function.properties["VpcConfig"]["SubnetIds"]
        assert function.properties["ReservedConcurrentExecutions"] > 0
        assert function.properties["DeadLetterConfig"]["TargetArn"]["Fn::GetAtt"][0] in queues


def test_requests_pass_a_web_acl_that_lets_images_through(assembly: Assembly) -> None:
    association = assembly.only("AWS::WAFv2::WebACLAssociation", stack=DEV)
    assert "/stages/" in str(association.properties["ResourceArn"])
    rules = {
        rule["Name"]: rule for rule in assembly.only("AWS::WAFv2::WebACL", stack=DEV).properties["Rules"]
    }
    assert rules["Flood"]["Action"] == {"Block": {}}
    common = rules["AWSManagedRulesCommonRuleSet"]["Statement"]["ManagedRuleGroupStatement"]
    counted = {each["Name"] for each in common["RuleActionOverrides"] if each["ActionToUse"] == {"Count": {}}}
    # Images are larger than 8 KB.
    assert "SizeRestrictions_BODY" in counted
    assert all(each.endswith("_BODY") for each in counted)


def test_signatures_and_keys_stay_out_of_the_web_acls_log(assembly: Assembly) -> None:
    logging = assembly.only("AWS::WAFv2::LoggingConfiguration", stack=DEV)
    assert logging.properties["RedactedFields"] == [
        {"SingleHeader": {"Name": "authorization"}},
        {"SingleHeader": {"Name": "x-api-key"}},
    ]
    (destination,) = map(flatten, logging.properties["LogDestinationConfigs"])
    assert destination.endswith(":log-group:aws-waf-logs-vision-dev")


def test_tables_are_copied_daily_by_a_role_that_reaches_them_alone(assembly: Assembly) -> None:
    selection = assembly.only("AWS::Backup::BackupSelection", stack=DEV).properties["BackupSelection"]
    tables = {each.logical_id for each in assembly.resources("AWS::DynamoDB::Table", stack=DEV)}
    copied = {each["Fn::GetAtt"][0] for each in selection["Resources"]}
    assert copied == tables
    for statement in assembly.statements(role="BackupsRole", stack=DEV):
        assert not [each for each in statement.resources if "*" in each]


def test_logs_of_jobs_are_encrypted_and_end(assembly: Assembly) -> None:
    groups = {
        str(each.properties.get("LogGroupName")): each.properties
        for each in assembly.resources("AWS::Logs::LogGroup", stack=DEV)
    }
    for kind in ("TrainingJobs", "ProcessingJobs", "Endpoints/vision-dev-champion"):
        group = groups[f"/aws/sagemaker/{kind}"]
        assert group["KmsKeyId"]
        assert group["RetentionInDays"] == 365


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    def cheap(platform: Any) -> None:
        platform["network"] = {"vpc": False}
        platform["safeguards"] = {"web_acl": False, "backups": False}
        platform["api"] = {"reserved_concurrency": 0}

    return synthesize(tmp_path_factory.mktemp("cheap"), change=cheap, context={"sandbox": "dev"})


def test_what_a_sandbox_does_without_is_not_there(sandbox: Assembly) -> None:
    assert not sandbox.resources(
        "AWS::EC2::VPC", "AWS::WAFv2::WebACL", "AWS::WAFv2::WebACLAssociation", "AWS::Backup::BackupPlan"
    )
    assert not [each for each in sandbox.resources("AWS::Lambda::Function") if "VpcConfig" in each.properties]


@pytest.mark.parametrize(
    ("construct", "rule"),
    [
        ("Dev/Training/Preprocess/Function", "LambdaInsideVPC"),
        ("Dev/Promotion/Gate/Function", "LambdaInsideVPC"),
        ("Dev/Inference/Predict/Function", "LambdaInsideVPC"),
        ("Dev/Inference/Predict/Function", "LambdaConcurrency"),
        ("Dev/Inference/Predictions/Api/DeploymentStage.live", "APIG3"),
        ("Dev/Inference/Predictions/Api/DeploymentStage.live", "APIGWAssociatedWithWAF"),
        ("Dev/Data/Lineage/Table", "DynamoDBInBackupPlan"),
    ],
)
def test_and_is_acknowledged_beside_what_lacks_it(sandbox: Assembly, construct: str, rule: str) -> None:
    assert all(report["conclusion"] == "success" for report in sandbox.reports.values())
    assert (construct, rule) in silenced(sandbox)


def test_none_of_these_is_acknowledged_where_the_safeguards_are(assembly: Assembly) -> None:
    switched_off = {
        "LambdaInsideVPC",
        "LambdaConcurrency",
        "APIG3",
        "APIGWAssociatedWithWAF",
        "DynamoDBInBackupPlan",
    }
    found = {(at, rule) for at, rule in silenced(assembly) if at.startswith("Delivery/Dev/")}
    assert found
    assert [each for each in found if each[1] in switched_off] == []


def test_a_second_environment_in_an_account_leaves_the_jobs_log_groups_to_the_first(tmp_path: Path) -> None:
    def in_one_account(platform: Any) -> None:
        for environment in platform["environments"]:
            environment["account"] = "222222222222"

    assembly = synthesize(tmp_path, change=in_one_account)
    owners = {
        each.stack
        for each in assembly.resources("AWS::Logs::LogGroup")
        if each.properties.get("LogGroupName") == "/aws/sagemaker/TrainingJobs"
    }
    assert owners == {"vision-dev-training"}
    assert all(report["conclusion"] == "success" for report in assembly.reports.values())
