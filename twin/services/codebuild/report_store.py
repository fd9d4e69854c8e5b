"""Report groups and their reports: kept per account and region, answered as CodeBuild's API does."""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from twin import glue
from twin.json_service import NotImplementedInTwin, ServiceError
from twin.services import permissions
from twin.services.codebuild import reports

_EXPIRY_SECONDS = 30 * 24 * 3600  # CodeBuild keeps a report's data for 30 days


class ReportAccessDenied(Exception):
    """The service role may not write the report."""


class ReportStore:
    """Report groups, reports and test cases."""

    def __init__(self) -> None:
        """Start empty."""
        self.groups, self.reports, self.cases = glue.ScopedStore(), glue.ScopedStore(), glue.ScopedStore()

    def stores(self) -> dict[str, glue.ScopedStore]:
        """Return what is to be persisted, by name."""
        return {"groups": self.groups, "reports": self.reports, "cases": self.cases}

    def create_group(
        self, name: str, kind: str, export: Mapping[str, Any] | None, tags: list[Any]
    ) -> dict[str, Any]:
        """Make a report group; raises `ServiceError` for what exists or is not done here."""
        if name in self.groups:
            raise ServiceError("ResourceAlreadyExistsException", f"Report group {name} already exists")
        if kind != "TEST":
            raise NotImplementedInTwin(f"codebuild report groups of type {kind}")
        now = time.time()
        group = {
            "arn": _arn(f"report-group/{name}"),
            "name": name,
            "type": kind,
            "exportConfig": _export(export),
            "created": now,
            "lastModified": now,
            "tags": tags,
            "status": "ACTIVE",
        }
        self.groups[name] = group
        return group

    def update_group(
        self, name: str, export: Mapping[str, Any] | None, tags: list[Any] | None
    ) -> dict[str, Any]:
        """Change a report group; raises `ServiceError` when there is none."""
        group = {**self.group(name), "lastModified": time.time()}
        if export is not None:
            group["exportConfig"] = _export(export)
        if tags is not None:
            group["tags"] = tags
        self.groups[name] = group
        return group

    def group(self, name_or_arn: str) -> dict[str, Any]:
        """Return a report group; raises `ServiceError` when there is none."""
        name = name_or_arn.rsplit("/", 1)[-1]
        if name not in self.groups:
            raise ServiceError("ResourceNotFoundException", f"Report group {name_or_arn} does not exist")
        return self.groups[name]

    def delete_group(self, name_or_arn: str, *, with_reports: bool) -> None:
        """Remove a report group; raises `ServiceError` when it has reports, unless `with_reports`."""
        name = name_or_arn.rsplit("/", 1)[-1]
        owned = [key for key, report in self.reports.items() if report["reportGroupArn"].endswith(f"/{name}")]
        if owned and not with_reports:
            raise ServiceError("InvalidInputException", f"Report group {name} has reports: set deleteReports")
        for key in owned:
            del self.reports[key]
            self.cases.pop(key, None)
        self.groups.pop(name, None)

    def add(
        self,
        build: Mapping[str, Any],
        group: str,
        cases: list[reports.TestCase],
        credentials: Mapping[str, str],
    ) -> str:
        """Store one report of a build and return its ARN.

        A group that is no ARN is the project's own, made when it is missing, as on AWS.
        Raises `ReportAccessDenied` when the service role lacks a permission.
        """
        name = group.rsplit("/", 1)[-1] if group.startswith("arn:") else f"{build['projectName']}-{group}"
        resource = _arn(f"report-group/{name}")
        region = glue.current_scope().region
        actions = ["CreateReport", "UpdateReport", "BatchPutTestCases"]
        if name not in self.groups:
            actions.insert(0, "CreateReportGroup")
        try:
            for action in actions:
                permissions.require(credentials, f"codebuild:{action}", resource, region)
        except permissions.PermissionDenied as fault:
            raise ReportAccessDenied(str(fault)) from fault
        if name not in self.groups:
            self.create_group(name, "TEST", None, [])
        now = time.time()
        key = f"{name}:{uuid.uuid4()}"
        arn = _arn(f"report/{key}")
        self.reports[key] = {
            "arn": arn,
            "type": "TEST",
            "name": build["id"].rsplit(":", 1)[-1],
            "reportGroupArn": resource,
            "executionId": build["arn"],
            "status": reports.status(cases),
            "created": now,
            "expired": now + _EXPIRY_SECONDS,
            "exportConfig": self.groups[name]["exportConfig"],
            "truncated": False,
            "testSummary": reports.summary(cases),
        }
        self.cases[key] = [reports.wire_form(case, arn) for case in cases]
        return arn

    def report_key(self, arn: str) -> str:
        """Return the key of a report; raises `ServiceError` when there is none."""
        key = arn.rsplit("/", 1)[-1]
        if key not in self.reports:
            raise ServiceError("ResourceNotFoundException", f"Report {arn} does not exist")
        return key


def _export(export: Mapping[str, Any] | None) -> dict[str, Any]:
    kind = (export or {}).get("exportConfigType", "NO_EXPORT")
    if kind != "NO_EXPORT":
        raise NotImplementedInTwin(f"codebuild report export {kind}")
    return {"exportConfigType": kind}


def _arn(resource: str) -> str:
    here = glue.current_scope()
    return f"arn:aws:codebuild:{here.region}:{here.account}:{resource}"
