"""Resource types that ministack lacks or only pretends to have, through the services' own APIs."""

import json
from typing import Any

from twin import glue
from twin.cloudformation.completion import Properties, api

_provisioners = glue.internal("services.cloudformation.provisioners")


def install() -> None:
    """Register them."""
    glue.register_cloudformation(
        "AWS::ApiGateway::RequestValidator",
        create=_create_validator,
        update=_update_validator,
        delete=_delete_validator,
    )
    glue.register_cloudformation(
        "AWS::CloudWatch::CompositeAlarm",
        create=_put_composite_alarm,
        update=_update_composite_alarm,
        delete=lambda name, _: api("cloudwatch").delete_alarms(AlarmNames=[name]),
    )
    glue.register_cloudformation(
        "AWS::Events::EventBusPolicy", create=_create_bus_policy, delete=_delete_bus_policy
    )
    glue.register_cloudformation("AWS::EC2::FlowLog", create=_create_flow_log, delete=_delete_flow_log)
    for direction in ("Ingress", "Egress"):
        glue.register_cloudformation(
            f"AWS::EC2::SecurityGroup{direction}",
            create=_rule_creator(direction.lower()),
            delete=_rule_deleter(direction.lower()),
        )


def _create_validator(_: str, properties: Properties, __: str) -> tuple[str, dict[str, Any]]:
    made = api("apigateway").create_request_validator(
        restApiId=properties["RestApiId"],
        name=properties.get("Name", ""),
        validateRequestBody=_flag(properties.get("ValidateRequestBody")),
        validateRequestParameters=_flag(properties.get("ValidateRequestParameters")),
    )
    return made["id"], {"RequestValidatorId": made["id"]}


def _update_validator(
    validator_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str
) -> tuple[str, dict[str, Any]]:
    if any(old.get(name) != new.get(name) for name in ("RestApiId", "Name")):
        return _create_validator(logical_id, new, stack_name)
    patches = [
        {"op": "replace", "path": path, "value": str(_flag(new.get(name))).lower()}
        for name, path in (
            ("ValidateRequestBody", "/validateRequestBody"),
            ("ValidateRequestParameters", "/validateRequestParameters"),
        )
    ]
    api("apigateway").update_request_validator(
        restApiId=new["RestApiId"], requestValidatorId=validator_id, patchOperations=patches
    )
    return validator_id, {"RequestValidatorId": validator_id}


def _delete_validator(validator_id: str, properties: Properties) -> None:
    api("apigateway").delete_request_validator(
        restApiId=properties["RestApiId"], requestValidatorId=validator_id
    )


def _put_composite_alarm(
    logical_id: str, properties: Properties, stack_name: str
) -> tuple[str, dict[str, Any]]:
    name = properties.get("AlarmName") or _provisioners._physical_name(stack_name, logical_id, max_len=255)
    settings = {key: value for key, value in properties.items() if key not in ("AlarmName", "ActionsEnabled")}
    if "ActionsEnabled" in properties:
        settings["ActionsEnabled"] = _flag(properties["ActionsEnabled"])
    api("cloudwatch").put_composite_alarm(AlarmName=name, **settings)
    here = glue.current_scope()
    return name, {"Arn": f"arn:aws:cloudwatch:{here.region}:{here.account}:alarm:{name}"}


def _update_composite_alarm(
    _: str, __: Properties, new: Properties, stack_name: str, logical_id: str
) -> tuple[str, dict[str, Any]]:
    return _put_composite_alarm(logical_id, new, stack_name)


def _create_bus_policy(
    logical_id: str, properties: Properties, stack_name: str
) -> tuple[str, dict[str, Any]]:
    bus = properties.get("EventBusName", "default")
    statement = properties.get("Statement") or {
        "Effect": "Allow",
        "Principal": properties.get("Principal"),
        "Action": properties.get("Action"),
    }
    here = glue.current_scope()
    statement = {
        "Sid": properties["StatementId"],
        "Resource": f"arn:aws:events:{here.region}:{here.account}:event-bus/{bus}",
        **statement,
    }
    existing = api("events").describe_event_bus(Name=bus).get("Policy")
    statements = json.loads(existing)["Statement"] if existing else []
    kept = [s for s in statements if s.get("Sid") != properties["StatementId"]]
    _put_bus_policy(bus, [*kept, statement])
    return f"{stack_name}-{logical_id}", {}


def _delete_bus_policy(_: str, properties: Properties) -> None:
    bus = properties.get("EventBusName", "default")
    existing = api("events").describe_event_bus(Name=bus).get("Policy")
    statements = json.loads(existing)["Statement"] if existing else []
    _put_bus_policy(bus, [s for s in statements if s.get("Sid") != properties["StatementId"]])


def _put_bus_policy(bus: str, statements: list[dict[str, Any]]) -> None:
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        api("events").put_permission(EventBusName=bus, Policy=document)
    else:
        api("events").remove_permission(EventBusName=bus, RemoveAllPermissions=True)


def _create_flow_log(_: str, properties: Properties, __: str) -> tuple[str, dict[str, Any]]:
    names = (
        "ResourceType",
        "TrafficType",
        "LogDestinationType",
        "LogGroupName",
        "LogDestination",
        "LogFormat",
    )
    settings = {name: properties[name] for name in (*names, "DeliverLogsPermissionArn") if name in properties}
    made = api("ec2").create_flow_logs(ResourceIds=[properties["ResourceId"]], **settings)
    return made["FlowLogIds"][0], {"Id": made["FlowLogIds"][0]}


def _delete_flow_log(flow_log_id: str, _: Properties) -> None:
    api("ec2").delete_flow_logs(FlowLogIds=[flow_log_id])


def _permission(properties: Properties) -> dict[str, Any]:
    described = {"Description": properties["Description"]} if "Description" in properties else {}
    permission: dict[str, Any] = {"IpProtocol": str(properties["IpProtocol"])}
    for name in ("FromPort", "ToPort"):
        if name in properties:
            permission[name] = int(properties[name])
    for name, member, key in (
        ("CidrIp", "IpRanges", "CidrIp"),
        ("CidrIpv6", "Ipv6Ranges", "CidrIpv6"),
        ("SourceSecurityGroupId", "UserIdGroupPairs", "GroupId"),
        ("DestinationSecurityGroupId", "UserIdGroupPairs", "GroupId"),
        ("SourcePrefixListId", "PrefixListIds", "PrefixListId"),
        ("DestinationPrefixListId", "PrefixListIds", "PrefixListId"),
    ):
        if name in properties:
            permission[member] = [{key: properties[name], **described}]
    return permission


def _rule_creator(direction: str) -> Any:
    def create(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, dict[str, Any]]:
        authorize = getattr(api("ec2"), f"authorize_security_group_{direction}")
        authorize(GroupId=properties["GroupId"], IpPermissions=[_permission(properties)])
        return f"{stack_name}-{logical_id}-{properties['GroupId']}", {}

    return create


def _rule_deleter(direction: str) -> Any:
    def delete(_: str, properties: Properties) -> None:
        revoke = getattr(api("ec2"), f"revoke_security_group_{direction}")
        revoke(GroupId=properties["GroupId"], IpPermissions=[_permission(properties)])

    return delete


def _flag(value: Any) -> bool:
    return str(value).lower() == "true"
