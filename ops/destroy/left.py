"""What is left: by name and by tag, each with the reason why it is kept, or none where it should be gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from botocore.exceptions import ClientError

from ops.destroy import remains, stacks, vaults, workload
from ops.destroy.estate import DELIVERY, Estate, pages
from ops.faults import is_absent

# Services whose resources are found by name; what carries our tags elsewhere is shown as it is.
_BY_NAME = (
    "s3",
    "dynamodb",
    "logs",
    "kms",
    "sagemaker",
    "lambda",
    "states",
    "events",
    "sns",
    "cloudwatch",
    "backup",
)


@dataclass(frozen=True)
class Left:
    """One resource that is left; without a reason it should not be."""

    where: str
    kind: str
    name: str
    reason: str


def look(estate: Estate, log_days: int) -> list[Left]:
    """Everything of an estate that is still there. `log_days` is how long its logs are kept."""
    return list(_look(estate, log_days))


def _look(estate: Estate, log_days: int) -> Iterator[Left]:
    where, kept = str(estate), estate.keeps
    evidence = "evidence of what was delivered to a protected environment"
    data = evidence if estate.part == DELIVERY else f"data of {estate.part}, which is protected"
    for stack in stacks.owned(estate):
        yield Left(where, "stack", stack["StackName"], "")
    for name in remains.buckets(estate):
        audit = "accesslogs" in name
        yield Left(
            where,
            "bucket",
            name,
            _if(remains.is_kept(estate, name), "access logs, for audits" if audit else data),
        )
    for name in vaults.vaults(estate):
        yield Left(where, "backup vault", name, _if(kept, f"backups of {estate.part}, which is protected"))
    for name in remains.tables(estate):
        yield Left(where, "table", name, _if(kept, data))
    for name in remains.log_groups(estate):
        yield Left(
            where, "log group", name, _if(kept, f"logs, kept for {log_days} days (retention.log_days)")
        )
    for key in remains.keys(estate):
        yield Left(where, "key", key["KeyId"], _of_key(key, kept))
    for kind, name in workload.owned_in_sagemaker(estate):
        registry = kind == "ModelPackageGroup"
        reason = f"registered models of {estate.part}, which is protected; costs nothing"
        yield Left(where, kind, name, _if(kept and registry, reason))
    for kind, name in _others(estate):
        yield Left(where, kind, name, "")
    for arn in remains.tagged(estate):
        service = arn.split(":")[2]
        if service not in _BY_NAME:
            yield Left(where, service, arn, "")


def _if(kept: bool, reason: str) -> str:
    return reason if kept else ""


def _of_key(key: dict[str, object], kept: bool) -> str:
    if key["KeyState"] == "PendingDeletion":
        return f"pending deletion on {key['DeletionDate']:%Y-%m-%d}; costs nothing"
    return _if(kept, "what is kept is encrypted with it")


def _others(estate: Estate) -> Iterator[tuple[str, str]]:
    """What only stacks make. Where a stack was deleted by hand, some of it may still be there."""
    listings = (
        ("function", "lambda", "list_functions", "Functions", "FunctionName"),
        ("state machine", "stepfunctions", "list_state_machines", "stateMachines", "name"),
        ("API", "apigateway", "get_rest_apis", "items", "name"),
        ("role", "iam", "list_roles", "Roles", "RoleName"),
        ("alarm", "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        ("dashboard", "cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        ("topic", "sns", "list_topics", "Topics", "TopicArn"),
        ("pipeline", "codepipeline", "list_pipelines", "pipelines", "name"),
        ("build project", "codebuild", "list_projects", "projects", None),
        ("report group", "codebuild", "list_report_groups", "reportGroups", None),
    )
    for kind, service, operation, member, field in listings:
        for each in pages(estate.client(service), operation, member):
            name = (each[field] if field else each).rsplit(":", 1)[-1].rsplit("/", 1)[-1]
            if estate.owns(name):
                yield kind, name
    for bus in estate.client("events").list_event_buses(NamePrefix=estate.base)["EventBuses"]:
        if estate.owns(bus["Name"]):
            yield "event bus", bus["Name"]


def bootstrap(places: Iterable[Estate]) -> Iterator[Left]:
    """The CDK's own stacks, which are not the platform's alone."""
    seen: set[tuple[str, str]] = set()
    for estate in places:
        key = (estate.place.account, estate.place.region)
        if key in seen:
            continue
        seen.add(key)
        try:
            estate.client("cloudformation").describe_stacks(StackName="CDKToolkit")
        except ClientError as fault:
            if not is_absent(fault):
                raise
            continue
        reason = (
            "the CDK's bootstrap and its assets: other apps may use them; --with-bootstrap takes them too"
        )
        yield Left(f"{key[0]}, {key[1]}", "stack", "CDKToolkit", reason)
