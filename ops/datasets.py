"""Puts a dataset into an environment; the manifest goes last, because its arrival starts training."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ops.faults import OperatorFault

UPLOADS_AT_ONCE = 8
MANIFEST = "manifest.json"
# A manifest of this name is like any other, but its arrival starts nothing: a person starts the run.
QUIET_MANIFEST = "manifest-requested.json"


class Account(Protocol):
    """Whatever makes boto3 clients for an account."""

    def client(self, service: str, /) -> Any:
        """A client of a service."""
        ...


@dataclass(frozen=True)
class Published:
    """An uploaded dataset: its manifest's S3 URI, and the tag (ETag) that S3 has given to it."""

    uri: str
    tag: str
    images: int


class DatasetInvalid(OperatorFault):
    """The folder is not a dataset: the text names the file or field and the cure."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a dataset folder.

    Raises:
        DatasetInvalid: it is missing, is not JSON, or lacks a field that the upload needs.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise DatasetInvalid(
            f"{path}: no manifest here; model/sample_data.py shows how to make one"
        ) from None
    except ValueError as fault:
        raise DatasetInvalid(f"{path}: not JSON ({fault})") from None
    for field in ("dataset", "version", "images"):
        if field not in manifest:
            raise DatasetInvalid(f"{path}: the field {field!r} is missing")
    return manifest


def publish(
    account: Account, folder: Path, *, bucket: str, prefix: str = "datasets", starts_a_run: bool = True
) -> Published:
    """Uploads the images and then the manifest.

    Uploading the same dataset again overwrites equal objects with equal ones. The manifest's arrival starts a
    run, unless `starts_a_run` is false.

    Raises:
        DatasetInvalid: the folder is no dataset, or an image that the manifest names is missing.
    """
    manifest = read_manifest(folder)
    base = f"{prefix}/{manifest['dataset']}/{manifest['version']}"
    keys = [image["key"] for image in manifest["images"]]
    for key in keys:
        if not (folder / key).is_file():
            raise DatasetInvalid(f"{folder}/{MANIFEST} names {key}, which is not there")
    s3 = account.client("s3")

    def upload(key: str, *, name: str | None = None) -> Any:
        body = (folder / key).read_bytes()
        return s3.put_object(Bucket=bucket, Key=f"{base}/{name or key}", Body=body)

    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        list(pool.map(upload, keys))
    name = MANIFEST if starts_a_run else QUIET_MANIFEST
    told = upload(MANIFEST, name=name)
    return Published(f"s3://{bucket}/{base}/{name}", str(told["ETag"]).strip('"'), len(keys))
