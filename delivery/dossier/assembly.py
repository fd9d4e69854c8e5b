"""What is to be deployed: an environment's stacks in the cloud assembly, and the acknowledged findings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery.dossier.faults import DossierError
from delivery.dossier.model import Acknowledgement
from delivery.dossier.sides import Stack

_STACK = "aws:cloudformation:stack"
_ASSETS = "cdk:asset-manifest"
_ACKNOWLEDGED = "aws:cdk:acknowledged-rules"
# The stages tag every stack of an environment with its name.
_TAG = "environment"


@dataclass(frozen=True)
class PlannedStack:
    """A stack as the assembly wants it; `assets` is the bucket that its template would be published to."""

    stack: Stack
    tags: Mapping[str, str]
    assets: str
    acknowledgements: tuple[Acknowledgement, ...]


def planned_stacks(folder: Path, environment: str, account: str) -> list[PlannedStack]:
    """The stacks of an environment, in the order of the assembly.

    Raises:
        DossierError: the assembly cannot be read, a template is missing, or no stack is the environment's.
    """
    artifacts = list(_artifacts(folder))
    found = [
        _planned(place, manifest, artifact, account)
        for place, manifest, artifact in artifacts
        if _tags(artifact).get(_TAG) == environment
    ]
    if not found:
        known = sorted({name for _, _, each in artifacts if (name := _tags(each).get(_TAG))})
        raise DossierError(
            f"{folder} has no stack of the environment '{environment}' (tag '{_TAG}'); "
            f"it has stacks of: {', '.join(known) or 'none'}. Check ENVIRONMENT and ASSEMBLY"
        )
    return found


def pipeline_acknowledgements(folder: Path) -> list[Acknowledgement]:
    """What is acknowledged on the stacks that belong to no environment: the pipeline's own."""
    return [
        each
        for place, _, artifact in _artifacts(folder)
        if _TAG not in _tags(artifact)
        for each in _acknowledgements(place, artifact)
    ]


def _planned(
    place: Path, manifest: Mapping[str, Any], artifact: Mapping[str, Any], account: str
) -> PlannedStack:
    properties = artifact["properties"]
    own_account, region = str(artifact["environment"]).removeprefix("aws://").split("/")
    if own_account != account:
        raise DossierError(
            f"{properties['stackName']} goes to account {own_account}, not to TARGET_ACCOUNT {account}: "
            "the dossier would compare it with another account"
        )
    template_file = place / properties["templateFile"]
    return PlannedStack(
        stack=Stack(
            name=properties["stackName"],
            account=own_account,
            region=region,
            template=_read(template_file, "the template of " + properties["stackName"]),
            parameters={key: str(value) for key, value in properties.get("parameters", {}).items()},
            path=str(artifact.get("displayName", "")),
        ),
        tags=_tags(artifact),
        assets=_assets(place, manifest, template_file.name),
        acknowledgements=tuple(_acknowledgements(place, artifact)),
    )


def _artifacts(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any], Mapping[str, Any]]]:
    """Every stack's artifact, those of nested assemblies included, with the folder and manifest it is in."""
    manifest = _read(folder / "manifest.json", "the cloud assembly")
    for artifact in manifest["artifacts"].values():
        if artifact["type"] == _STACK:
            yield folder, manifest, artifact
        elif artifact["type"] == "cdk:cloud-assembly":
            yield from _artifacts(folder / artifact["properties"]["directoryName"])


def _tags(artifact: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in artifact["properties"].get("tags", {}).items()}


def _assets(place: Path, manifest: Mapping[str, Any], template: str) -> str:
    for artifact in manifest["artifacts"].values():
        if artifact["type"] != _ASSETS:
            continue
        files = _read(place / artifact["properties"]["file"], "an asset manifest").get("files", {})
        for entry in files.values():
            for target in entry["destinations"].values() if entry["source"].get("path") == template else ():
                return str(target["bucketName"])
    return ""


def _acknowledgements(place: Path, artifact: Mapping[str, Any]) -> Iterator[Acknowledgement]:
    metadata = dict(artifact.get("metadata") or {})
    if "additionalMetadataFile" in artifact:
        metadata |= _read(place / artifact["additionalMetadataFile"], "the metadata of a stack")
    for path, entries in metadata.items():
        for entry in entries:
            if entry["type"] == _ACKNOWLEDGED:
                for finding, reason in entry["data"].items():
                    yield Acknowledgement(at=path.strip("/"), finding=finding, reason=reason)


def _read(path: Path, what: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DossierError(f"{path} is missing: {what} is needed; check ASSEMBLY, or build again") from None
    except (OSError, ValueError) as error:
        raise DossierError(f"{path} cannot be read ({error}): {what} is needed; build again") from None
