"""CodeBuild's resource types in CloudFormation."""

import secrets
from typing import Any

from twin import glue
from twin.services.codebuild.service import CodeBuild

_TYPES = ("AWS::CodeBuild::Project", "AWS::CodeBuild::ReportGroup")


def register(service: CodeBuild) -> None:
    """Provision projects and report groups through the service."""
    projects, groups = _Projects(service), _ReportGroups(service)
    for name, handler in zip(_TYPES, (projects, groups), strict=True):
        glue.register_cloudformation(
            name, create=handler.create, update=handler.update, delete=handler.delete
        )


def _generated_name(stack_name: str, logical_id: str, limit: int) -> str:
    return f"{f'{stack_name}-{logical_id}'[: limit - 13]}-{secrets.token_hex(6)}"


class _Projects:
    def __init__(self, service: CodeBuild) -> None:
        self._service = service

    def create(
        self, logical_id: str, properties: dict[str, Any], stack_name: str
    ) -> tuple[str, dict[str, Any]]:
        name = properties.get("Name") or _generated_name(stack_name, logical_id, 150)
        request = self._service.recase("CreateProject", {**_as_input(properties), "Name": name})
        project = self._service.call("CreateProject", request)["project"]
        return name, {"Arn": project["arn"]}

    def update(
        self, physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str, logical_id: str
    ) -> tuple[str, dict[str, Any]]:
        wanted = new.get("Name") or (physical_id if "Name" not in old else None)
        if (
            wanted != physical_id
        ):  # a new name is a new project: CloudFormation deletes the old one afterwards
            return self.create(logical_id, new, stack_name)
        request = self._service.recase("CreateProject", {**_as_input(new), "Name": physical_id})
        return physical_id, {"Arn": self._service.replace_project(request)["arn"]}

    def delete(self, physical_id: str, properties: dict[str, Any]) -> None:
        del properties
        self._service.DeleteProject({"name": physical_id})


def _as_input(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the properties under the API's names where CloudFormation has its own."""
    out = dict(properties)
    if "Triggers" in out or "Visibility" in out:
        odd = "Triggers" if "Triggers" in out else "Visibility"
        raise ValueError(f"AWS::CodeBuild::Project property {odd} is not implemented by the local twin")
    source = dict(out.get("Source") or {})
    if "BuildSpec" in source:
        source["buildspec"] = source.pop("BuildSpec")
        out["Source"] = source
    return out


class _ReportGroups:
    def __init__(self, service: CodeBuild) -> None:
        self._service = service

    def create(
        self, logical_id: str, properties: dict[str, Any], stack_name: str
    ) -> tuple[str, dict[str, Any]]:
        name = properties.get("Name") or _generated_name(stack_name, logical_id, 128)
        wanted = {k: v for k, v in properties.items() if k != "DeleteReports"}
        request = self._service.recase("CreateReportGroup", {**wanted, "Name": name})
        group = self._service.call("CreateReportGroup", request)["reportGroup"]
        return group["arn"], {"Arn": group["arn"]}

    def update(
        self, physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str, logical_id: str
    ) -> tuple[str, dict[str, Any]]:
        if (old.get("Name"), old.get("Type")) != (new.get("Name"), new.get("Type")):
            return self.create(logical_id, new, stack_name)
        wanted = {"Arn": physical_id, "ExportConfig": new["ExportConfig"], "Tags": new.get("Tags", [])}
        self._service.call("UpdateReportGroup", self._service.recase("UpdateReportGroup", wanted))
        return physical_id, {"Arn": physical_id}

    def delete(self, physical_id: str, properties: dict[str, Any]) -> None:
        with_reports = str(properties.get("DeleteReports", "false")).lower() == "true"
        self._service.reports.delete_group(physical_id, with_reports=with_reports)
