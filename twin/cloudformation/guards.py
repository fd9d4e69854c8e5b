"""Resource types that guard an environment, as far as templates deploy them: web ACLs and backups."""

from typing import Any

from botocore.exceptions import ClientError

from twin import glue
from twin.cloudformation.completion import Properties, api

# AWS WAF takes no log group without it.
_WAF_LOGS = "aws-waf-logs-"


def install() -> None:
    """Register them."""
    glue.register_cloudformation(
        "AWS::ApiGateway::ClientCertificate", create=_create_certificate, delete=_drop, update=_keep
    )
    glue.register_cloudformation(
        "AWS::Backup::BackupSelection", create=_create_selection, delete=_delete_selection
    )
    glue.register_cloudformation(
        "AWS::WAFv2::LoggingConfiguration", create=_create_logging, delete=_drop, update=_update_logging
    )
    glue.register_cloudformation(
        "AWS::WAFv2::WebACLAssociation", create=_create_association, delete=_delete_association
    )


def _create_certificate(logical_id: str, _: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
    identifier = glue.internal("services.cloudformation.provisioners")._physical_name(
        stack_name, logical_id, max_len=64
    )
    return identifier, {"ClientCertificateId": identifier}


def _keep(physical_id: str, _: Properties, __: Properties, ___: str, ____: str) -> tuple[str, dict[str, Any]]:
    return physical_id, {"ClientCertificateId": physical_id}


def _create_selection(_: str, properties: Properties, __: str) -> tuple[str, dict[str, Any]]:
    selection = properties["BackupSelection"]
    glue.check_trust(selection["IamRoleArn"], "backup.amazonaws.com")
    made = api("backup").create_backup_selection(
        BackupPlanId=properties["BackupPlanId"],
        BackupSelection={
            "SelectionName": selection["SelectionName"],
            "IamRoleArn": selection["IamRoleArn"],
            "Resources": list(selection.get("Resources") or []),
        },
    )
    identifier = f"{made['SelectionId']}_{made['BackupPlanId']}"
    return identifier, {
        "Id": identifier,
        "BackupPlanId": made["BackupPlanId"],
        "SelectionId": made["SelectionId"],
    }


def _delete_selection(identifier: str, _: Properties) -> None:
    selection, plan = identifier.split("_", 1)
    try:
        api("backup").delete_backup_selection(BackupPlanId=plan, SelectionId=selection)
    except ClientError as fault:
        # The plan went first, and its selections with it.
        if fault.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
            raise


def _create_logging(_: str, properties: Properties, __: str) -> tuple[str, dict[str, Any]]:
    """Refuse what AWS WAF refuses: a destination that is missing, or named as it takes none."""
    for destination in properties.get("LogDestinationConfigs") or []:
        group = destination.partition(":log-group:")[2]
        if not group.startswith(_WAF_LOGS) or group.endswith(":*"):
            raise ValueError(f"{destination}: AWS WAF logs to groups named {_WAF_LOGS}..., without :*")
        found = api("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        if group not in {each["logGroupName"] for each in found}:
            raise ValueError(f"The log group {group} does not exist")
    return properties["ResourceArn"], {"ManagedByFirewallManager": False}


def _update_logging(
    _: str, __: Properties, new: Properties, stack_name: str, logical_id: str
) -> tuple[str, dict[str, Any]]:
    return _create_logging(logical_id, new, stack_name)


def _create_association(_: str, properties: Properties, __: str) -> tuple[str, dict[str, Any]]:
    resource, acl = properties["ResourceArn"], properties["WebACLArn"]
    _, _, path = resource.partition("::/restapis/")
    if path:
        api_id, _, stage = path.partition("/stages/")
        api("apigateway").get_stage(restApiId=api_id, stageName=stage)
    api("wafv2").associate_web_acl(WebACLArn=acl, ResourceArn=resource)
    return f"{acl}|{resource}", {}


def _delete_association(_: str, properties: Properties) -> None:
    api("wafv2").disassociate_web_acl(ResourceArn=properties["ResourceArn"])


def _drop(_: str, __: Properties) -> None:
    """Nothing was kept."""
