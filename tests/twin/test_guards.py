"""What guards an environment deploys: web ACLs, backup plans, certificates; and outputs that change alone."""

import json
from typing import Any

import pytest

from tests.twin.stacks import gone, wait

pytestmark = pytest.mark.twin
ACCOUNT = "787878787878"
ASSUMED_BY_BACKUP = {
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "backup.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ]
}
TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    },
}


@pytest.fixture
def cloudformation(twin: Any) -> Any:
    return twin.client("cloudformation", ACCOUNT)


def deploy(cloudformation: Any, stack: str, **resources: Any) -> dict[str, Any]:
    cloudformation.create_stack(
        StackName=stack,
        TemplateBody=json.dumps({"Resources": resources}),
        Capabilities=["CAPABILITY_IAM"],
    )
    return wait(cloudformation, stack)


def backed_up(trust: Any) -> dict[str, Any]:
    return {
        "Table": TABLE,
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}},
        "Vault": {"Type": "AWS::Backup::BackupVault", "Properties": {"BackupVaultName": "vault"}},
        "Plan": {
            "Type": "AWS::Backup::BackupPlan",
            "Properties": {
                "BackupPlan": {
                    "BackupPlanName": "plan",
                    "BackupPlanRule": [{"RuleName": "Daily", "TargetBackupVault": {"Ref": "Vault"}}],
                }
            },
        },
        "Selection": {
            "Type": "AWS::Backup::BackupSelection",
            "Properties": {
                "BackupPlanId": {"Ref": "Plan"},
                "BackupSelection": {
                    "SelectionName": "tables",
                    "IamRoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                    "Resources": [{"Fn::GetAtt": ["Table", "Arn"]}],
                },
            },
        },
    }


def test_a_backup_plan_selects_its_table_and_goes_with_its_stack(twin: Any, cloudformation: Any) -> None:
    assert (
        deploy(cloudformation, "backups", **backed_up(ASSUMED_BY_BACKUP))["StackStatus"] == "CREATE_COMPLETE"
    )
    backup = twin.client("backup", ACCOUNT)
    (plan,) = backup.list_backup_plans()["BackupPlansList"]
    (selection,) = backup.list_backup_selections(BackupPlanId=plan["BackupPlanId"])["BackupSelectionsList"]
    assert selection["SelectionName"] == "tables"
    cloudformation.delete_stack(StackName="backups")
    gone(cloudformation, "backups")
    assert backup.list_backup_plans()["BackupPlansList"] == []


def test_a_backup_role_that_aws_backup_cannot_take_is_refused(cloudformation: Any) -> None:
    other = json.loads(json.dumps(ASSUMED_BY_BACKUP).replace("backup.", "lambda."))
    assert "ROLLBACK" in deploy(cloudformation, "refused-backups", **backed_up(other))["StackStatus"]


def guarded(log_group: str) -> dict[str, Any]:
    visible = {"CloudWatchMetricsEnabled": True, "SampledRequestsEnabled": False, "MetricName": "m"}
    return {
        "Acl": {
            "Type": "AWS::WAFv2::WebACL",
            "Properties": {
                "Scope": "REGIONAL",
                "DefaultAction": {"Allow": {}},
                "VisibilityConfig": visible,
                "Rules": [],
            },
        },
        "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": log_group}},
        "Logging": {
            "Type": "AWS::WAFv2::LoggingConfiguration",
            "DependsOn": "Log",
            "Properties": {
                "ResourceArn": {"Fn::GetAtt": ["Acl", "Arn"]},
                "LogDestinationConfigs": [
                    {"Fn::Sub": f"arn:aws:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:{log_group}"}
                ],
            },
        },
    }


def test_a_web_acl_logs_to_groups_of_its_own_kind_only(cloudformation: Any) -> None:
    assert deploy(cloudformation, "acl", **guarded("aws-waf-logs-api"))["StackStatus"] == "CREATE_COMPLETE"
    assert "ROLLBACK" in deploy(cloudformation, "other-acl", **guarded("api-logs"))["StackStatus"]


def test_a_web_acl_stands_before_the_stage_that_is_there(twin: Any, cloudformation: Any) -> None:
    gateway = twin.client("apigateway", ACCOUNT)
    api = gateway.create_rest_api(name="api")["id"]
    missing = f"arn:aws:apigateway:us-east-1::/restapis/{api}/stages/live"
    association = {
        "Type": "AWS::WAFv2::WebACLAssociation",
        "Properties": {"ResourceArn": missing, "WebACLArn": {"Fn::GetAtt": ["Acl", "Arn"]}},
    }
    acl = {"Acl": guarded("aws-waf-logs-x")["Acl"], "Association": association}
    assert "ROLLBACK" in deploy(cloudformation, "early", **acl)["StackStatus"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    gateway.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE")
    gateway.put_integration(restApiId=api, resourceId=root, httpMethod="GET", type="MOCK")
    gateway.create_deployment(restApiId=api, stageName="live")
    assert deploy(cloudformation, "in-time", **acl)["StackStatus"] == "CREATE_COMPLETE"
    found = twin.client("wafv2", ACCOUNT).get_web_acl_for_resource(ResourceArn=missing)
    assert found["WebACL"]["ARN"].endswith(found["WebACL"]["Id"])
    cloudformation.delete_stack(StackName="in-time")
    gone(cloudformation, "in-time")
    acls = twin.client("wafv2", ACCOUNT)
    assert "in-time" not in str(acls.list_web_acls(Scope="REGIONAL")["WebACLs"])


def test_a_change_set_may_change_outputs_alone(cloudformation: Any) -> None:
    template: dict[str, Any] = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    deploy(cloudformation, "outputs", **template["Resources"])
    template["Outputs"] = {"Arn": {"Value": {"Ref": "Topic"}}}
    cloudformation.create_change_set(
        StackName="outputs", ChangeSetName="more", TemplateBody=json.dumps(template)
    )
    made = cloudformation.describe_change_set(StackName="outputs", ChangeSetName="more")
    assert (made["Status"], made["Changes"]) == ("CREATE_COMPLETE", [])
    cloudformation.execute_change_set(StackName="outputs", ChangeSetName="more")
    stack = wait(cloudformation, "outputs")
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert [each["OutputKey"] for each in stack["Outputs"]] == ["Arn"]
