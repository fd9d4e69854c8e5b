"""Turns what can go wrong while proving a deployment into sentences that a person can act on."""

import json
from typing import Any

import requests
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

_LONGEST_CAUSE = 1200
_ABSENT_CODES = {"ResourceNotFound", "ResourceNotFoundException", "ValidationException"}
_ABSENT_WORDS = ("could not find", "does not exist", "not found", "cannot find")


class CheckFailed(Exception):
    """The deployment does not do what it must; the message says what was expected and what came."""


def code_of(error: ClientError) -> str:
    """AWS's error code, such as AccessDenied."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def is_denied(error: ClientError) -> bool:
    """Whether AWS refused for lack of permission."""
    return code_of(error) in {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}


def is_absent(error: ClientError) -> bool:
    """Whether the thing asked for does not exist, which SageMaker words as a validation error."""
    message = str(error.response.get("Error", {}).get("Message", "")).lower()
    return code_of(error) in _ABSENT_CODES and any(words in message for words in _ABSENT_WORDS)


def in_words(error: Exception) -> str:
    """One sentence for an expected fault of AWS, of the network or of this machine."""
    if isinstance(error, ClientError):
        message = error.response.get("Error", {}).get("Message", "")
        sentence = f"AWS answered {code_of(error)} to {error.operation_name}: {message}"
        if is_denied(error):
            sentence += f" (the role that made the call lacks the action behind {error.operation_name})"
        return sentence
    if isinstance(error, BotoCoreError):
        return f"AWS could not be asked: {error}"
    if isinstance(error, requests.exceptions.SSLError):
        return (
            f"The API's certificate is not trusted here: {error} (REQUESTS_CA_BUNDLE names the trusted ones)"
        )
    if isinstance(error, requests.RequestException):
        return f"The API could not be reached: {_innermost(error)}"
    return str(error)


def _innermost(error: BaseException) -> str:
    """What the operating system said, without the layers that passed it on."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error)


def is_expected(error: Exception) -> bool:
    """Whether the fault belongs to the world outside, so that a stack trace would only hide what happened."""
    return isinstance(error, CheckFailed | ClientError | BotoCoreError | requests.RequestException | OSError)


def first_wrong(error: ValidationError) -> str:
    """The first wrong field of a document and what is wrong with it."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the document"
    return f"{where}: {first['msg'].lower()}"


def cause_in_words(cause: str) -> str:
    """The readable part of a workflow's cause, which may be a Lambda error or a SageMaker job as JSON."""
    try:
        parsed: Any = json.loads(cause)
    except ValueError:
        return cause[:_LONGEST_CAUSE]
    if not isinstance(parsed, dict):
        return cause[:_LONGEST_CAUSE]
    for key in ("errorMessage", "FailureReason", "ExitMessage", "ErrorMessage", "Cause", "message"):
        if parsed.get(key):
            return cause_in_words(str(parsed[key]))
    return cause[:_LONGEST_CAUSE]
