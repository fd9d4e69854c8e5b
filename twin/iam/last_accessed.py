"""What a role has used, as IAM tells it (its "last accessed" reports): from the log of decisions, at once.

AWS needs hours until a report is complete, and follows the actions of some services only; here all are.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from twin.glue.permissions import serve_iam
from twin.iam.decisions import last_uses

_MOST_REPORTS = 500
# A report is of the moment in which it was asked for: job id -> role, time.
_reports: dict[str, tuple[str, float]] = {}


def install() -> None:
    """Answer in the place of reports that are always empty."""
    serve_iam("GenerateServiceLastAccessedDetails", _generate)
    serve_iam("GetServiceLastAccessedDetails", _get)


def _generate(parameters: Mapping[str, str]) -> str:
    number = str(uuid.uuid4())
    _reports[number] = (parameters.get("Arn", ""), time.time())
    if len(_reports) > _MOST_REPORTS:
        del _reports[next(iter(_reports))]
    return f"<JobId>{number}</JobId>"


def _get(parameters: Mapping[str, str]) -> str:
    role, asked = _reports.get(parameters.get("JobId", ""), ("", time.time()))
    by_service: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for action, when in last_uses(role).items():
        service, _, name = action.partition(":")
        by_service[service][name] = when
    return (
        "<JobStatus>COMPLETED</JobStatus><JobType>ACTION_LEVEL</JobType>"
        f"<JobCreationDate>{_at(asked)}</JobCreationDate><JobCompletionDate>{_at(asked)}</JobCompletionDate>"
        f"<ServicesLastAccessed>{''.join(_service(*each, role) for each in sorted(by_service.items()))}"
        "</ServicesLastAccessed><IsTruncated>false</IsTruncated>"
    )


def _service(name: str, actions: Mapping[str, float], role: str) -> str:
    tracked = "".join(
        f"<member><ActionName>{escape(action)}</ActionName><LastAccessedTime>{_at(when)}</LastAccessedTime>"
        f"<LastAccessedEntity>{escape(role)}</LastAccessedEntity></member>"
        for action, when in sorted(actions.items())
    )
    return (
        f"<member><ServiceName>{name}</ServiceName><ServiceNamespace>{name}</ServiceNamespace>"
        f"<LastAuthenticated>{_at(max(actions.values()))}</LastAuthenticated>"
        f"<LastAuthenticatedEntity>{escape(role)}</LastAuthenticatedEntity>"
        "<TotalAuthenticatedEntities>1</TotalAuthenticatedEntities>"
        f"<TrackedActionsLastAccessed>{tracked}</TrackedActionsLastAccessed></member>"
    )


def _at(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
