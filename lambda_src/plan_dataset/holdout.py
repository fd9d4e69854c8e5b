"""Compares a manifest's holdout with the dataset's frozen one before anything is prepared."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from pydantic import ValidationError

from vision_runtime.frozen_holdout import FrozenHoldout, frozen_holdout
from vision_runtime.images.rules import MEBIBYTE
from vision_runtime.manifest import Manifest
from vision_runtime.prepared import holdout_digest
from vision_runtime.s3_uri import ObjectMissing, S3Uri

SHOWN = 3  # keys of each kind of difference


def check_holdout(s3: Any, dynamodb: Any, table: str, manifest: Manifest, location: S3Uri) -> None:
    """Raise HoldoutChanged when the dataset has a frozen holdout and `manifest` comes with another one."""
    frozen = frozen_holdout(dynamodb, table, manifest.dataset)
    if frozen is None:
        return
    images = manifest.of("holdout")
    now = FrozenHoldout(
        manifest.dataset, holdout_digest(images), len(images), manifest.version, str(location)
    )
    difference = "" if frozen.sha256 == now.sha256 else _difference(s3, frozen, manifest)
    frozen.check(now, difference)


def _difference(s3: Any, frozen: FrozenHoldout, manifest: Manifest) -> str:
    """What changed in words, as long as the manifest that the holdout came with can still be read."""
    try:
        content = S3Uri.parse(frozen.manifest_uri).read(s3, 256 * MEBIBYTE)
        first = Manifest.model_validate_json(content).of("holdout")
    except (ObjectMissing, ClientError, ValueError, ValidationError):
        return ""
    if holdout_digest(first) != frozen.sha256:
        return ""  # overwritten since
    now = {image.sha256: image for image in manifest.images}
    before = {image.sha256 for image in first}
    kinds = {
        "left out": [image.key for image in first if image.sha256 not in now],
        "moved to another split": [
            now[image.sha256].key
            for image in first
            if image.sha256 in now and now[image.sha256].split != "holdout"
        ],
        "labelled anew": [
            image.key for image in first if image.sha256 in now and now[image.sha256].label != image.label
        ],
        "new": [image.key for image in manifest.of("holdout") if image.sha256 not in before],
    }
    told = [f"{len(keys)} {kind} ({_shown(keys)})" for kind, keys in kinds.items() if keys]
    return f": {', '.join(told)}" if told else ""


def _shown(keys: list[str]) -> str:
    return ", ".join(repr(key) for key in sorted(keys)[:SHOWN]) + (" ..." if len(keys) > SHOWN else "")
