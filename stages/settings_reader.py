"""Reads the settings: cdk.json's context into typed settings, and faults into plain words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stages.settings import PlatformSettings, SettingsError

CONTEXT_KEY = "platform"

# What a value that breaks its pattern should have been, by the setting's name.
_MEANINGS = {
    "account": "an AWS account number; write its 12 digits as a string",
    "region": "an AWS region such as us-east-1",
    "regions": "an AWS region such as us-east-1",
    "emails": "an e-mail address",
    "name": "a name: lower-case letters and digits, starting with a letter, not too long",
    "instance_type": "a SageMaker instance type such as ml.c7i.large",
    "evaluation_instance_type": "a SageMaker instance type such as ml.c7i.large",
    "image_tag": "a tag of AWS's PyTorch image for SageMaker, such as 2.13.0-cpu-amzn2023-sagemaker",
    "repository": "owner/name, as the git host shows it",
    "connection_arn": "the ARN of a CodeConnections connection",
    "cidr": "an IPv4 range between /16 and /24, such as 10.40.0.0/16",
    "runbook_url": "an https address",
    "bucket": "a bucket's name",
}


def read_context(project_root: Path) -> dict[str, Any]:
    """cdk.json's context: the CDK CLI passes it on, but `python app.py` and tests must read it themselves.

    Raises SettingsError when the file is missing, is not JSON or has no context.
    """
    path = project_root / "cdk.json"
    try:
        context = json.loads(path.read_text(encoding="utf-8"))["context"]
    except FileNotFoundError:
        raise SettingsError(f"{path.name}: is missing; run from the project's root folder") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SettingsError(f"{path.name}: is not valid JSON: {error.msg} at {place}") from None
    except (KeyError, TypeError):
        context = None
    if not isinstance(context, dict):
        raise SettingsError(f"{path.name}: has no object 'context'; settings stand in context.{CONTEXT_KEY}")
    return context


def parse_settings(value: object) -> PlatformSettings:
    """The typed settings. Raises SettingsError with one line per fault."""
    if not isinstance(value, dict):
        raise SettingsError(f"{CONTEXT_KEY}: must be an object with the platform's settings in cdk.json")
    try:
        return PlatformSettings.model_validate(value)
    except ValidationError as error:
        faults = [_in_plain_words(value, fault) for fault in error.errors(include_url=False)]
        # What the environments inherit is wrong once, not once for each of them.
        raise SettingsError("\n".join(dict.fromkeys(faults))) from None


def _in_plain_words(settings: dict[str, Any], fault: Any) -> str:
    """One fault as `setting: what is wrong; the cure`."""
    path = ".".join(_path(settings, fault["loc"])) or CONTEXT_KEY
    kind, given = fault["type"], fault.get("input")
    match kind:
        case "missing":
            return f"{path}: is missing; add it to context.{CONTEXT_KEY} in cdk.json"
        case "extra_forbidden":
            return f"{path}: there is no such setting; correct its spelling or take it out"
        case "string_pattern_mismatch" | "string_type":
            # A value in a list means what the list is of.
            named = next(part for part in reversed(fault["loc"]) if isinstance(part, str))
            return f"{path}: {given!r} is not {_MEANINGS.get(named, 'well formed')}"
        case "model_type":
            return f"{path}: must be a group of settings, {{...}} (it is {given!r})"
        case _:
            message = re.sub(r"^Value error, ", "", fault["msg"])
            shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool) else ""
            return f"{path}: {message[0].lower()}{message[1:]}{shown}"


def _path(settings: dict[str, Any], location: tuple[int | str, ...]) -> list[str]:
    """Where a setting stands: environments by name, and what they inherit where the platform sets it."""
    parts = [str(part) for part in location]
    if parts[:1] != ["environments"] or len(parts) == 1:
        return parts
    environment: Any = settings["environments"][int(parts[1])]
    if not isinstance(environment, dict):
        return parts
    if not _contains(environment, parts[2:]) and _contains(settings, parts[2:]):
        return parts[2:]
    name = environment.get("name")
    if parts[2:3] == ["regions"] and "regions" not in environment:
        # Written as one region, read as a list of one.
        parts[2:] = ["region"]
    return ["environments", name if isinstance(name, str) else parts[1], *parts[2:]]


def _contains(value: Any, path: list[str]) -> bool:
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True
