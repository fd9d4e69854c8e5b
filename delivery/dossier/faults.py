"""Turns what keeps a dossier from being made into sentences that say what to do about it."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
_THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}
)
_ABSENT = frozenset({"NoSuchKey", "NoSuchBucket", "404", "NotFound"})


class DossierError(Exception):
    """The dossier cannot be made; the message says why, and the cure."""


def code_of(error: ClientError) -> str:
    """AWS's error code, such as AccessDenied."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def message_of(error: ClientError) -> str:
    """What AWS said."""
    return str(error.response.get("Error", {}).get("Message", "")).strip()


def is_absent(error: ClientError) -> bool:
    """Whether an object or a bucket does not exist."""
    return code_of(error) in _ABSENT


def in_words(error: ClientError | BotoCoreError, doing: str) -> str:
    """One sentence for a fault of AWS or of the way to it; `doing` says what was being tried."""
    if isinstance(error, NoCredentialsError):
        return f"{doing}: no AWS credentials were found; run this in the pipeline, or sign in first"
    if isinstance(error, BotoCoreError):
        return f"{doing}: AWS could not be asked ({error})"
    code, operation = code_of(error), error.operation_name
    if code in _DENIED:
        return f"{doing}: access denied to {operation} ({message_of(error)}); grant it to the role that asks"
    if code in _THROTTLED:
        return f"{doing}: AWS throttled {operation} beyond all retries; retry the stage in a few minutes"
    return f"{doing}: {operation} answered {code}: {message_of(error)}"
