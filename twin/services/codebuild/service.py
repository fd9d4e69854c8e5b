"""CodeBuild's API: projects, builds, report groups and reports."""

import time
import uuid
from typing import Any

from twin import config, glue
from twin.json_service import JsonService, NotImplementedInTwin, ServiceError
from twin.services.codebuild import job as jobs
from twin.services.codebuild import tools
from twin.services.codebuild.phases import first_failure
from twin.services.codebuild.projects import check_project, with_overrides
from twin.services.codebuild.report_store import ReportStore
from twin.services.codebuild.runner import BuildRun

_PAGE = 100
_STOPPED_REASON = "the twin was stopped while this build ran"


class CodeBuild(JsonService):
    """Executes builds as processes of this machine."""

    service_name = "codebuild"
    validation_code = "InvalidInputException"

    def __init__(self) -> None:
        """Start without projects."""
        super().__init__()
        self.projects, self.builds, self.numbers = glue.ScopedStore(), glue.ScopedStore(), glue.ScopedStore()
        self.reports = ReportStore()
        self.running: dict[str, BuildRun] = {}

    # ---- state

    def _stores(self) -> dict[str, glue.ScopedStore]:
        return {
            "projects": self.projects,
            "builds": self.builds,
            "numbers": self.numbers,
            **self.reports.stores(),
        }

    def get_state(self) -> dict[str, Any]:
        """Return everything that outlives the process."""
        return {name: store.state() for name, store in self._stores().items()}

    def load_persisted_state(self, data: dict[str, Any]) -> None:
        """Take up the last state; builds that ran then have ended with the twin."""
        for name, store in self._stores().items():
            store.restore(data.get(name, []))
        for _, _, build in self.builds.everywhere():
            if build["buildStatus"] == "IN_PROGRESS":
                last = build["phases"][-1]
                now = time.time()
                last |= {"phaseStatus": "FAULT", "endTime": now}
                last["contexts"] = [{"statusCode": "INTERNAL_SERVICE_ERROR", "message": _STOPPED_REASON}]
                build |= {"buildStatus": "FAULT", "buildComplete": True, "endTime": now}

    def reset(self) -> None:
        """End all builds and forget everything, caches included."""
        for run in list(self.running.values()):
            run.stop()
        for run in list(self.running.values()):
            run.finished.wait(10)
        self.running.clear()
        for store in self._stores().values():
            store.reset()
        tools.forget_builds(config.current())

    # ---- projects

    def CreateProject(self, p: dict[str, Any]) -> dict[str, Any]:
        if p["name"] in self.projects:
            raise ServiceError(
                "ResourceAlreadyExistsException", f"Project already exists: {_arn('project/' + p['name'])}"
            )
        self.projects[p["name"]] = check_project(p, None)
        return {"project": self.projects[p["name"]]}

    def UpdateProject(self, p: dict[str, Any]) -> dict[str, Any]:
        self.projects[p["name"]] = check_project(p, self.project(p["name"]))
        return {"project": self.projects[p["name"]]}

    def replace_project(self, p: dict[str, Any]) -> dict[str, Any]:
        """Give an existing project exactly these settings: what is no longer said returns to its default."""
        self.validate("CreateProject", p)
        project = check_project(p, None) | {"created": self.project(p["name"])["created"]}
        self.projects[p["name"]] = project
        return project

    def DeleteProject(self, p: dict[str, Any]) -> dict[str, Any]:
        self.projects.pop(_name(p["name"]), None)
        return {}

    def BatchGetProjects(self, p: dict[str, Any]) -> dict[str, Any]:
        found = [self.projects[_name(n)] for n in p["names"] if _name(n) in self.projects]
        missing = [n for n in p["names"] if _name(n) not in self.projects]
        return {"projects": found, "projectsNotFound": missing}

    def ListProjects(self, p: dict[str, Any]) -> dict[str, Any]:
        names = sorted(self.projects, reverse=p.get("sortOrder") == "DESCENDING")
        return _page("projects", names, p)

    def project(self, name: str) -> dict[str, Any]:
        """Return a project by name or ARN; raises `ServiceError` when there is none."""
        if _name(name) not in self.projects:
            raise ServiceError(
                "ResourceNotFoundException", f"Project cannot be found: {_arn('project/' + _name(name))}"
            )
        return self.projects[_name(name)]

    # ---- builds

    def StartBuild(self, p: dict[str, Any]) -> dict[str, Any]:
        job = jobs.take(p.get("idempotencyToken"))
        record, variables = with_overrides(self.project(p["projectName"]), p)
        if record["source"]["type"] == "CODEPIPELINE" and job is None:
            raise ServiceError(
                "InvalidInputException",
                f"Project {record['projectName']} has CodePipeline as source: only a pipeline starts it",
            )
        self._respect_limit(record)
        number = self.numbers.get(record["projectName"], 0) + 1
        self.numbers[record["projectName"]] = number
        key = f"{record['projectName']}:{uuid.uuid4()}"
        record |= {"id": key, "arn": _arn(f"build/{key}"), "buildNumber": number, "startTime": time.time()}
        record["logs"] = _logs(record.pop("logs_declared"), record)
        if job is not None:
            record |= {
                "initiator": f"codepipeline/{job.pipeline}",
                "resolvedSourceVersion": job.revision or None,
            }
        self.builds[key] = record
        run = BuildRun(record, variables, job, self.reports, self._changed)
        self.running[key] = run
        run.start()
        return {"build": record}

    def _respect_limit(self, record: dict[str, Any]) -> None:
        project = self.project(record["projectName"])
        limit = project.get("concurrentBuildLimit")
        active = [
            b for b in self.builds.values() if b["projectName"] == project["name"] and not b["buildComplete"]
        ]
        if limit and len(active) >= limit:
            raise ServiceError(
                "AccountLimitExceededException",
                f"Cannot have more than {limit} builds of project {project['name']} at once",
            )

    def StopBuild(self, p: dict[str, Any]) -> dict[str, Any]:
        build = self._build(p["id"])
        run = self.running.get(build["id"])
        if run is not None:
            run.stop()
            run.finished.wait(10)
        return {"build": build}

    def BatchGetBuilds(self, p: dict[str, Any]) -> dict[str, Any]:
        keys = [_build_key(i) for i in p["ids"]]
        return {
            "builds": [self.builds[k] for k in keys if k in self.builds],
            "buildsNotFound": [k for k in keys if k not in self.builds],
        }

    def ListBuilds(self, p: dict[str, Any]) -> dict[str, Any]:
        return _page("ids", self._build_ids(None, p), p)

    def ListBuildsForProject(self, p: dict[str, Any]) -> dict[str, Any]:
        name = self.project(p["projectName"])["name"]
        return _page("ids", self._build_ids(name, p), p)

    def _build(self, key: str) -> dict[str, Any]:
        if _build_key(key) not in self.builds:
            raise ServiceError("ResourceNotFoundException", f"Build cannot be found: {key}")
        return self.builds[_build_key(key)]

    def _build_ids(self, project: str | None, p: dict[str, Any]) -> list[str]:
        found = [b for b in self.builds.values() if project in (None, b["projectName"])]
        newest_first = p.get("sortOrder", "DESCENDING") == "DESCENDING"
        return [b["id"] for b in sorted(found, key=lambda b: b["startTime"], reverse=newest_first)]

    def _changed(self, build: dict[str, Any]) -> None:
        """Send the event of a build's new status, and forget the run when it has ended."""
        if build["buildComplete"]:
            self.running.pop(build["id"], None)
        detail = {
            "build-status": build["buildStatus"],
            "project-name": build["projectName"],
            "build-id": build["arn"],
            "current-phase": build["currentPhase"],
            "additional-information": {
                "initiator": build["initiator"],
                "build-start-time": build["startTime"],
                "build-complete": build["buildComplete"],
                "logs": {
                    "group-name": build["logs"].get("groupName"),
                    "stream-name": build["logs"].get("streamName"),
                },
                "failure": first_failure(build),
            },
            "version": "1",
        }
        glue.put_service_event("aws.codebuild", "CodeBuild Build State Change", detail, [build["arn"]])

    # ---- reports

    def CreateReportGroup(self, p: dict[str, Any]) -> dict[str, Any]:
        group = self.reports.create_group(p["name"], p["type"], p.get("exportConfig"), p.get("tags", []))
        return {"reportGroup": group}

    def UpdateReportGroup(self, p: dict[str, Any]) -> dict[str, Any]:
        return {
            "reportGroup": self.reports.update_group(_name(p["arn"]), p.get("exportConfig"), p.get("tags"))
        }

    def DeleteReportGroup(self, p: dict[str, Any]) -> dict[str, Any]:
        self.reports.delete_group(p["arn"], with_reports=bool(p.get("deleteReports")))
        return {}

    def BatchGetReportGroups(self, p: dict[str, Any]) -> dict[str, Any]:
        groups = self.reports.groups
        return {
            "reportGroups": [groups[_name(a)] for a in p["reportGroupArns"] if _name(a) in groups],
            "reportGroupsNotFound": [a for a in p["reportGroupArns"] if _name(a) not in groups],
        }

    def ListReportGroups(self, p: dict[str, Any]) -> dict[str, Any]:
        return _page("reportGroups", sorted(g["arn"] for g in self.reports.groups.values()), p)

    def BatchGetReports(self, p: dict[str, Any]) -> dict[str, Any]:
        reports = self.reports.reports
        return {
            "reports": [reports[_name(a)] for a in p["reportArns"] if _name(a) in reports],
            "reportsNotFound": [a for a in p["reportArns"] if _name(a) not in reports],
        }

    def ListReportsForReportGroup(self, p: dict[str, Any]) -> dict[str, Any]:
        group = self.reports.group(p["reportGroupArn"])["arn"]
        status = (p.get("filter") or {}).get("status")
        found = [
            r
            for r in self.reports.reports.values()
            if r["reportGroupArn"] == group and status in (None, r["status"])
        ]
        found.sort(key=lambda r: r["created"], reverse=p.get("sortOrder", "DESCENDING") == "DESCENDING")
        return _page("reports", [r["arn"] for r in found], p)

    def DescribeTestCases(self, p: dict[str, Any]) -> dict[str, Any]:
        cases = self.reports.cases[self.reports.report_key(p["reportArn"])]
        status = (p.get("filter") or {}).get("status")
        return _page("testCases", [c for c in cases if status in (None, c["status"])], p)


def _page(member: str, items: list[Any], p: dict[str, Any]) -> dict[str, Any]:
    token = p.get("nextToken") or "0"
    if not token.isdigit():
        raise ServiceError("InvalidInputException", "nextToken is not one that this service gave")
    first, size = int(token), p.get("maxResults") or _PAGE
    more = first + size < len(items)
    return {member: items[first : first + size], **({"nextToken": str(first + size)} if more else {})}


def _arn(resource: str) -> str:
    here = glue.current_scope()
    return f"arn:aws:codebuild:{here.region}:{here.account}:{resource}"


def _name(name_or_arn: str) -> str:
    return name_or_arn.rsplit("/", 1)[-1]


def _build_key(id_or_arn: str) -> str:
    return id_or_arn.split(":build/", 1)[-1]


def _logs(declared: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """Return where the log goes: CloudWatch Logs unless the project disables it."""
    cloudwatch = declared.get("cloudWatchLogs") or {"status": "ENABLED"}
    if (declared.get("s3Logs") or {}).get("status") == "ENABLED":
        raise NotImplementedInTwin("codebuild logs in S3")
    if cloudwatch.get("status") != "ENABLED":
        return {"cloudWatchLogs": cloudwatch}
    group = cloudwatch.get("groupName") or f"/aws/codebuild/{record['projectName']}"
    prefix = f"{cloudwatch['streamName']}/" if cloudwatch.get("streamName") else ""
    stream = prefix + record["id"].rsplit(":", 1)[-1]
    here = glue.current_scope()
    arn = f"arn:aws:logs:{here.region}:{here.account}:log-group:{group}"
    return {
        "groupName": group,
        "streamName": stream,
        "cloudWatchLogs": cloudwatch,
        "cloudWatchLogsArn": f"{arn}:log-stream:{stream}",
    }
