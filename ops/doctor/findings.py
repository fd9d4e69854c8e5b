"""A finding of the doctor: what was looked at, where, what is wrong, and the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError

from ops.faults import code_of, in_words, is_denied


class Verdict(StrEnum):
    """Whether something is well. What could not be looked at is neither."""

    WELL = "ok"
    FAULT = "fault"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """One result. `name` is stable, for people and machines to refer to; `where` is a place or a file."""

    name: str
    where: str
    what: str
    verdict: Verdict = Verdict.FAULT
    cure: str = ""


def well(name: str, where: object, what: str) -> Finding:
    """It is as it should be."""
    return Finding(name, str(where), what, Verdict.WELL)


def fault(name: str, where: object, what: str, cure: str) -> Finding:
    """It is not; `cure` is a command, or says what to do."""
    return Finding(name, str(where), what, Verdict.FAULT, cure)


def not_checked(name: str, where: object, why: str) -> Finding:
    """Nobody could look."""
    return Finding(name, str(where), f"not checked: {why}", Verdict.NOT_CHECKED)


def unanswered(name: str, where: object, service: str, error: ClientError | BotoCoreError) -> Finding:
    """A finding for a question that got no answer: a permission is missing, or nobody offers the service."""
    if is_denied(error):
        return fault(
            f"{name}-not-allowed",
            where,
            in_words(error),
            "attach docs/deployer-policy.json to whoever runs this",
        )
    if isinstance(error, ClientError) and _is_unoffered(error):
        return not_checked(name, where, f"the endpoint does not offer {service}")
    return fault(f"{name}-unanswered", where, in_words(error), "run the same command again")


def _is_unoffered(error: ClientError) -> bool:
    """Whether the endpoint has no such service or operation: an emulator may lack some."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return code_of(error) in (
        "400",
        "404",
        "501",
        "InvalidAction",
        "NotImplementedInTwin",
        "NotImplemented",
    ) or (status == 501)
