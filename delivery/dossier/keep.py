"""Writes the dossier to a folder, and keeps it in the pipeline account's reports bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from delivery.dossier.faults import DossierError, in_words
from delivery.dossier.model import Dossier
from delivery.dossier.page import page
from delivery.dossier.reports import DATA, PAGE
from delivery.dossier.settings import Settings
from delivery.dossier.text import exports, short_text, variables

TEXT, VARIABLES = "summary.txt", "variables.sh"
_KEPT = {
    DATA: "application/json",
    TEXT: "text/plain; charset=utf-8",
    # The page last: whoever finds it finds the rest as well.
    PAGE: "text/html; charset=utf-8",
}


def write(dossier: Dossier, settings: Settings, folder: Path) -> None:
    """Write the page, the data and the text to `folder`, over those of an earlier run.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DATA).write_text(dossier.model_dump_json(indent=2, by_alias=True) + "\n", encoding="utf-8")
    (folder / TEXT).write_text(short_text(dossier) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(page(dossier, settings), encoding="utf-8")


def upload(settings: Settings, folder: Path, s3: Any) -> None:
    """Copy what was written to the reports bucket.

    Raises:
        DossierError: the bucket does not take it.
    """
    try:
        for name, content_type in _KEPT.items():
            s3.put_object(
                Bucket=settings.reports_bucket,
                Key=settings.prefix + name,
                Body=(folder / name).read_bytes(),
                ContentType=content_type,
            )
    except (ClientError, BotoCoreError) as error:
        what = f"keeping the dossier in s3://{settings.reports_bucket}/{settings.prefix}"
        raise DossierError(in_words(error, what)) from None


def write_variables(dossier: Dossier, settings: Settings, folder: Path) -> None:
    """Write the script that exports the pipeline's variables: only once the dossier can be read."""
    (folder / VARIABLES).write_text(exports(variables(dossier, settings)), encoding="utf-8")
