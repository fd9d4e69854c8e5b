"""Pictures for a drill: a folder's, or those of the holdout that the champion was judged by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ops.faults import OperatorFault
from ops.models import registry
from ops.models.home import Home
from ops.models.records import Records
from ops.models.traffic import Picture

_MOST = 24
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


def from_folder(folder: Path) -> list[Picture]:
    """The folder's first pictures. Raises OperatorFault when there are none."""
    files = sorted(each for each in folder.rglob("*") if each.suffix.lower() in _TYPES)[:_MOST]
    if not files:
        raise OperatorFault(f"--images {folder}: there are no pictures ({', '.join(_TYPES)}) in it")
    return [Picture(each.name, each.read_bytes(), _TYPES[each.suffix.lower()]) for each in files]


def of_the_champion(home: Home, champion: dict[str, Any]) -> list[Picture]:
    """Pictures of the dataset that the champion was trained on. Raises OperatorFault when it is not there.

    Another environment's model was trained where that one's data lie.
    """
    trained = registry.owner(home, str(champion["model_package_arn"])) or home
    run = Records(trained).run(str(champion.get("run_id") or "")) if champion.get("run_id") else None
    uri = str((run or Records(trained).newest_dataset() or {}).get("manifest_uri") or "")
    if not uri:
        raise OperatorFault(
            f"{trained} does not know the champion's dataset: give pictures with --images FOLDER"
        )
    place, s3 = urlsplit(uri), trained.client("s3")
    manifest = json.loads(_read(s3, place.netloc, place.path.lstrip("/")))
    base = place.path.lstrip("/").rpartition("/")[0]
    holdout = [each["key"] for each in manifest["images"] if each["split"] == "holdout"]
    chosen = [key for key in holdout if Path(key).suffix.lower() in _TYPES][:_MOST]
    if not chosen:
        raise OperatorFault(f"{uri} has no holdout pictures: give some with --images FOLDER")
    return [
        Picture(key, _read(s3, place.netloc, f"{base}/{key}"), _TYPES[Path(key).suffix.lower()])
        for key in chosen
    ]


def _read(s3: Any, bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
