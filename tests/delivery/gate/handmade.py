"""Small assemblies by hand, in the form that the CDK writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from delivery.gate.assembly import PACKS, REPORT, Assembly
from delivery.gate.nag import PACKS as DEMANDED

STACK = "App/Stack"
BUCKET = f"{STACK}/Bucket/Resource"
REASON = "The bucket holds nothing but test data, which anybody may read (review by 2027-01-31)"
FLAG = "@aws-cdk/core:validateAgainstDefaultRules"


def assembly(
    folder: Path,
    *,
    resources: dict[str, dict[str, Any]] | None = None,
    acknowledged: list[tuple[str, str, str]] | None = None,
    reasons: list[tuple[str, dict[str, Any]]] | None = None,
    plugins: list[dict[str, Any]] | None = None,
    packs: tuple[str, ...] = DEMANDED,
    flag: bool = True,
) -> Assembly:
    """One stack in a stage; resources by construct path, acknowledgements as (construct, finding, text)."""
    inner = folder / "assembly-App"
    inner.mkdir(parents=True)
    _write(
        folder / "manifest.json",
        {
            "artifacts": {
                "assembly-App": {
                    "type": "cdk:cloud-assembly",
                    "properties": {"directoryName": "assembly-App", "displayName": "App"},
                },
                "aws-cdk-lib/feature-flag-report": {
                    "type": "cdk:feature-flag-report",
                    "properties": {"flags": {FLAG: {"userValue": flag}}},
                },
            }
        },
    )
    stack = {
        "type": "aws:cloudformation:stack",
        "environment": "aws://222222222222/us-east-1",
        "properties": {
            "templateFile": "Stack.template.json",
            "stackName": "app-dev",
            "tags": {"environment": "dev"},
        },
        "additionalMetadataFile": "Stack.metadata.json",
        "displayName": STACK,
    }
    _write(inner / "manifest.json", {"artifacts": {"Stack": stack}})
    _write(inner / "Stack.template.json", template(resources or {BUCKET: {"Type": "AWS::S3::Bucket"}}))
    metadata: dict[str, list[dict[str, Any]]] = {
        f"/{path}": [{"type": "aws:cdk:logicalId", "data": _logical_id(path)}]
        for path in resources or {BUCKET}
    }
    for construct, finding, text in acknowledged or []:
        entry = {"type": "aws:cdk:acknowledged-rules", "data": {finding: text}}
        metadata.setdefault(f"/{construct}", []).append(entry)
    for construct, data in reasons or []:
        metadata.setdefault(f"/{construct}", []).append({"type": "vision:wildcard-reason", "data": data})
    _write(inner / "Stack.metadata.json", metadata)
    _write(folder / REPORT, {"pluginReports": plugins or []})
    _write(folder / PACKS, {"packs": packs})
    return Assembly(folder)


def template(resources: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A template; the logical id of a resource is its construct's name."""
    return {"Resources": {_logical_id(path): each for path, each in resources.items()}}


def plugin(
    name: str = "AwsSolutions",
    *,
    violations: list[dict[str, Any]] | None = None,
    suppressed: list[dict[str, Any]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """What one pack reports."""
    return {
        "pluginName": name,
        "conclusion": "failure" if violations else "success",
        "violations": violations or [],
        "suppressedViolations": suppressed or [],
        **more,
    }


def violation(rule: str, *constructs: str, severity: str = "error") -> dict[str, Any]:
    """A finding on some constructs."""
    return {
        "ruleName": rule,
        "description": f"{rule} is broken.",
        "severity": severity,
        "violatingConstructs": [{"constructPath": each} for each in constructs],
    }


def suppressed(
    rule: str, *constructs: str, at: str, reason: str = REASON, pack: str = "AwsSolutions"
) -> dict[str, Any]:
    """The same, accepted at a construct."""
    return violation(rule, *constructs) | {
        "acknowledgedId": f"{pack}::{rule}",
        "acknowledgedAt": at,
        "reason": reason,
    }


def _logical_id(path: str) -> str:
    return path.split("/")[-2]


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))
