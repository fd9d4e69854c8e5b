"""What EventBridge refuses of rules in templates."""

from twin.cloudformation.completion import Properties, checks


@checks("AWS::Events::Rule")
def check_rule(properties: Properties) -> None:
    """Refuse a schedule on a bus of the account's own, as PutRule does."""
    bus = str(properties.get("EventBusName") or "default").rpartition("/")[2]
    if properties.get("ScheduleExpression") and bus != "default":
        raise ValueError("ScheduleExpression is supported only on the default event bus.")
