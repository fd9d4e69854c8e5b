"""Where a reader of the report looks further: identities, and their addresses in the AWS console."""

from dataclasses import dataclass
from urllib.parse import quote

from smoke_tests.logs import FoundLog
from smoke_tests.result import Result

_LOG_GROUPS = {"training": "/aws/sagemaker/TrainingJobs", "evaluation": "/aws/sagemaker/ProcessingJobs"}


@dataclass(frozen=True)
class Place:
    """Somewhere to look further: an identity, and an address in the AWS console where there is one."""

    name: str
    identity: str
    address: str = ""


def found_logs(result: Result) -> list[tuple[FoundLog, Place]]:
    """The logs in which the run was found, with the way there."""
    region = result.settings.region
    return [
        (
            found,
            Place(found.what, found.stream or found.group, _log_address(region, found.group, found.stream)),
        )
        for found in result.evidence.logs.values()
    ]


def trace_place(result: Result) -> Place | None:
    """The trace of one request."""
    trace = result.evidence.trace
    if trace is None:
        return None
    region = result.settings.region
    return Place(
        "Trace", trace.id, _console(region, f"cloudwatch/home?region={region}#xray:traces/{trace.id}")
    )


def places(result: Result) -> list[Place]:
    """Identities and console addresses for whoever wants to know more."""
    settings, seen = result.settings, result.evidence
    found = [Place("Account and region", f"{settings.account}, {settings.region}")]
    if seen.execution:
        arn = seen.execution.arn
        console = f"states/home?region={settings.region}#/v2/executions/details/{arn}"
        found.append(Place("Workflow execution", arn, _console(settings.region, console)))
        jobs = {"training": seen.execution.training_job, "evaluation": seen.execution.processing_job}
        found += [_log(settings.region, kind, job) for kind, job in jobs.items() if job]
    endpoint_log = f"/aws/sagemaker/Endpoints/{settings.endpoint_name}"
    if trace := trace_place(result):
        found.append(trace)
    found.append(Place("Log of the endpoint", endpoint_log, _log_address(settings.region, endpoint_log)))
    if seen.outcome:
        found.append(Place("Evaluation (deleted after the run)", seen.outcome.evaluation_uri))
    found += [
        Place("API", settings.api_url),
        Place("Lineage table", settings.lineage_table),
        Place("Role", settings.role_arn),
        Place("Commit", settings.commit or "not given: the run was not started by CodeBuild"),
        Place("Pipeline execution", settings.pipeline_execution_id or "none, started by hand"),
    ]
    return found + ([Place("Build", settings.build_id)] if settings.build_id else [])


def _log(region: str, kind: str, job: str) -> Place:
    group = _LOG_GROUPS[kind]
    return Place(f"Log of the {kind} job", f"{group}, {job}", _log_address(region, group, job))


def _log_address(region: str, group: str, stream: str = "") -> str:
    # Behind its #, the console wants names quoted twice, its own ? and = once, and $ instead of %.
    where = f"log-groups/log-group/{_twice(group)}"
    where += f"$3FlogStreamNameFilter$3D{_twice(stream)}" if stream else ""
    return _console(region, f"cloudwatch/home?region={region}#logsV2:{where}")


def _twice(text: str) -> str:
    return quote(quote(text, safe=""), safe="").replace("%", "$")


def _console(region: str, path: str) -> str:
    return f"https://{region}.console.aws.amazon.com/{path}"
