"""Reads a buildspec (version 0.2) into typed data; names what is wrong in it or not executed here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RETRY = re.compile(r"RETRY(?:-(\d+))?")
_DEFAULT_RETRIES = 3
_SHELLS = {"bash": "bash", "/bin/bash": "bash", "sh": "sh", "/bin/sh": "sh"}
_REPORT_FORMATS = ("JUNITXML",)


class BuildspecError(Exception):
    """The buildspec is wrong, or asks for what the twin does not do; the message names the key."""


@dataclass(frozen=True)
class Phase:
    """One of the four phases a buildspec fills with commands.

    `on_failure` is ABORT, CONTINUE or None (CodeBuild's default); `retries` is how often a failed phase is
    run again before that.
    """

    name: str
    commands: tuple[str, ...] = ()
    finally_commands: tuple[str, ...] = ()
    on_failure: str | None = None
    retries: int = 0


@dataclass(frozen=True)
class ArtifactFiles:
    """Which files of the build become an artifact."""

    files: tuple[str, ...]
    base_directory: str = "."
    exclude_paths: tuple[str, ...] = ()
    discard_paths: bool = False


@dataclass(frozen=True)
class ReportFiles:
    """Test reports that the build writes, for one report group (a name, or an ARN)."""

    group: str
    files: tuple[str, ...]
    base_directory: str = "."


@dataclass(frozen=True)
class Buildspec:
    """What a build does."""

    phases: Mapping[str, Phase]
    shell: str = "sh"
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    parameter_store: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets_manager: Mapping[str, str] = field(default_factory=dict[str, str])
    exported_variables: tuple[str, ...] = ()
    runtime_versions: Mapping[str, str] = field(default_factory=dict[str, str])
    artifacts: ArtifactFiles | None = None
    secondary_artifacts: Mapping[str, ArtifactFiles] = field(default_factory=dict[str, ArtifactFiles])
    cache_paths: tuple[str, ...] = ()
    reports: tuple[ReportFiles, ...] = ()


def parse(text: str) -> Buildspec:
    """Return the buildspec in `text` (YAML or JSON); raises `BuildspecError`."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as fault:
        raise BuildspecError(f"the buildspec is not valid YAML: {fault}") from fault
    top = _table(document, "buildspec")
    if str(top.get("version")) != "0.2":
        raise BuildspecError(f"version must be 0.2, not {top.get('version')!r}: the twin executes no other")
    _only(top, "", "version", "env", "phases", "artifacts", "cache", "reports", "batch")
    env = _table(top.get("env"), "env")
    _only(env, "env.", "shell", "variables", "parameter-store", "secrets-manager", "exported-variables")
    shell = str(env.get("shell", "sh"))
    if shell not in _SHELLS:
        raise BuildspecError(f"env.shell {shell!r} is not executed by the twin: use bash or sh")
    phases = _table(top.get("phases"), "phases")
    _only(phases, "phases.", *PHASES)
    artifacts = _table(top.get("artifacts"), "artifacts")
    secondary = _table(artifacts.get("secondary-artifacts"), "artifacts.secondary-artifacts")
    return Buildspec(
        phases={name: _phase(name, _table(phases.get(name), f"phases.{name}")) for name in PHASES},
        shell=_SHELLS[shell],
        variables=_variables(env, "variables"),
        parameter_store=_variables(env, "parameter-store"),
        secrets_manager=_variables(env, "secrets-manager"),
        exported_variables=_strings(env, "exported-variables", "env"),
        runtime_versions={
            str(k): str(v)
            for k, v in _table(
                _table(phases.get("install"), "phases.install").get("runtime-versions"),
                "phases.install.runtime-versions",
            ).items()
        },
        artifacts=_artifact(artifacts, "artifacts") if "files" in artifacts else None,
        secondary_artifacts={
            str(name): _artifact(_table(item, f"artifacts.secondary-artifacts.{name}"), str(name))
            for name, item in secondary.items()
        },
        cache_paths=_cache(_table(top.get("cache"), "cache")),
        reports=tuple(_report(str(k), v) for k, v in _table(top.get("reports"), "reports").items()),
    )


def _table(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BuildspecError(f"{where} must be a mapping, not {value!r}")
    return {str(k): v for k, v in value.items()}


def _only(table: Mapping[str, Any], prefix: str, *known: str) -> None:
    for key in table:
        if key not in known:
            raise BuildspecError(f"{prefix}{key} is not executed by the twin (it knows {', '.join(known)})")


def _strings(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key)
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    for index, item in enumerate(items):
        if isinstance(item, dict):  # the YAML trap of a command with ": " in it
            raise BuildspecError(f"{where}.{key}[{index}] must be a string: found subkeys instead, quote it")
    return tuple(str(item) for item in items if item is not None)


def _variables(env: Mapping[str, Any], key: str) -> dict[str, str]:
    table = _table(env.get(key), f"env.{key}")
    for name in table:
        if not _VARIABLE.fullmatch(name):
            raise BuildspecError(f"env.{key}.{name} is not a name of an environment variable")
    return {name: _scalar(value) for name, value in table.items()}


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _phase(name: str, table: Mapping[str, Any]) -> Phase:
    where = f"phases.{name}"
    allowed = ["commands", "finally", "on-failure", *(["runtime-versions"] if name == "install" else [])]
    _only(table, f"{where}.", *allowed)
    choice, retries = table.get("on-failure"), 0
    if choice is not None and choice not in ("ABORT", "CONTINUE"):
        retry = _RETRY.fullmatch(str(choice))
        if retry is None:
            raise BuildspecError(
                f"{where}.on-failure {choice!r} is not executed by the twin: "
                "use ABORT, CONTINUE, RETRY or RETRY-<n>"
            )
        choice, retries = None, int(retry[1] or _DEFAULT_RETRIES)
    return Phase(
        name,
        commands=_strings(table, "commands", where),
        finally_commands=_strings(table, "finally", where),
        on_failure=choice,
        retries=retries,
    )


def _artifact(table: Mapping[str, Any], where: str) -> ArtifactFiles:
    known = ("files", "name", "base-directory", "exclude-paths", "discard-paths", "secondary-artifacts")
    _only(table, f"{where}.", *known)
    return ArtifactFiles(
        files=_strings(table, "files", where),
        base_directory=str(table.get("base-directory") or "."),
        exclude_paths=_strings(table, "exclude-paths", where),
        discard_paths=_scalar(table.get("discard-paths", "no")) in ("yes", "true"),
    )


def _cache(table: Mapping[str, Any]) -> tuple[str, ...]:
    _only(table, "cache.", "paths")
    return _strings(table, "paths", "cache")


def _report(group: str, value: Any) -> ReportFiles:
    where = f"reports.{group}"
    table = _table(value, where)
    _only(table, f"{where}.", "files", "base-directory", "file-format", "discard-paths")
    file_format = str(table.get("file-format", "JUNITXML")).upper()
    if file_format not in _REPORT_FORMATS:
        raise BuildspecError(f"{where}.file-format {file_format} is not executed by the twin: use JUNITXML")
    return ReportFiles(group, _strings(table, "files", where), str(table.get("base-directory") or "."))
