"""What ministack drops of roles, functions and state machines, and the roles that a service cannot take."""

from typing import Any

from twin import glue
from twin.cloudformation.completion import Properties, api, changed, checks, completes


@completes("AWS::IAM::Role")
def complete_role(name: str, new: Properties, old: Properties) -> None:
    """Set or lift the permissions boundary."""
    if not changed("PermissionsBoundary", new, old):
        return
    if new.get("PermissionsBoundary"):
        api("iam").put_role_permissions_boundary(
            RoleName=name, PermissionsBoundary=new["PermissionsBoundary"]
        )
    else:
        api("iam").delete_role_permissions_boundary(RoleName=name)


def _check_role(properties: Properties, member: str, service: str, refusal: str) -> None:
    role = properties.get(member)
    if not role:
        raise ValueError(f"{member} is required")
    try:
        glue.check_trust(role, service)
    except glue.TrustError as fault:
        raise ValueError(f"{refusal} ({fault})") from fault


@checks("AWS::Lambda::Function")
def check_function(properties: Properties) -> None:
    """Refuse a role that Lambda cannot assume, as CreateFunction does."""
    _check_role(
        properties,
        "Role",
        "lambda.amazonaws.com",
        "The role defined for the function cannot be assumed by Lambda.",
    )


@completes("AWS::Lambda::Function")
def complete_function(name: str, new: Properties, old: Properties) -> None:
    """Set reserved concurrency, network, dead letters and the key of the environment."""
    functions = api("lambda")
    if changed("ReservedConcurrentExecutions", new, old):
        if new.get("ReservedConcurrentExecutions") is None:
            functions.delete_function_concurrency(FunctionName=name)
        else:
            functions.put_function_concurrency(
                FunctionName=name, ReservedConcurrentExecutions=int(new["ReservedConcurrentExecutions"])
            )
    settings = {
        key: new[key]
        for key in ("DeadLetterConfig", "VpcConfig", "KMSKeyArn")
        if key in new and changed(key, new, old)
    }
    if "KmsKeyArn" in new and changed("KmsKeyArn", new, old):
        settings["KMSKeyArn"] = new["KmsKeyArn"]
    if "VpcConfig" in settings:
        settings["VpcConfig"] = {
            key: settings["VpcConfig"][key]
            for key in ("SubnetIds", "SecurityGroupIds")
            if key in settings["VpcConfig"]
        }
    if settings:
        functions.update_function_configuration(FunctionName=name, **settings)


@checks("AWS::StepFunctions::StateMachine")
def check_state_machine(properties: Properties) -> None:
    """Refuse a role that Step Functions cannot assume, as CreateStateMachine does."""
    _check_role(
        properties, "RoleArn", "states.amazonaws.com", "Neither the role nor its trust fits Step Functions."
    )


@completes("AWS::StepFunctions::StateMachine")
def complete_state_machine(arn: str, new: Properties, old: Properties) -> None:
    """Set logging and tracing in the service's own spelling."""
    settings: dict[str, Any] = {}
    if new.get("LoggingConfiguration"):
        # Every update by ministack writes it anew, in the template's spelling, which no log understands.
        logging = new["LoggingConfiguration"]
        settings["loggingConfiguration"] = {
            "level": logging.get("Level", "OFF"),
            "includeExecutionData": str(logging.get("IncludeExecutionData", False)).lower() == "true",
            "destinations": [
                {"cloudWatchLogsLogGroup": {"logGroupArn": d["CloudWatchLogsLogGroup"]["LogGroupArn"]}}
                for d in logging.get("Destinations") or []
            ],
        }
    if new.get("TracingConfiguration") and changed("TracingConfiguration", new, old):
        enabled = str(new["TracingConfiguration"].get("Enabled", False)).lower() == "true"
        settings["tracingConfiguration"] = {"enabled": enabled}
    if settings:
        api("stepfunctions").update_state_machine(stateMachineArn=arn, **settings)
