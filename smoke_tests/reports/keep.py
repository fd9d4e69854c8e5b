"""Writes the reports to a folder, and keeps a copy of them in the pipeline account's reports bucket."""

import json
from pathlib import Path
from typing import Any

from smoke_tests.reports.junit import junit
from smoke_tests.reports.page import page
from smoke_tests.reports.summary import summary
from smoke_tests.result import Result

_FILES = {
    "index.html": "text/html; charset=utf-8",
    "junit.xml": "application/xml",
    "summary.json": "application/json",
}


def write(result: Result, folder: Path) -> None:
    """Write index.html, junit.xml and summary.json to `folder`, over those of an earlier run.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "junit.xml").write_bytes(junit(result))
    (folder / "summary.json").write_text(json.dumps(summary(result), indent=2) + "\n", encoding="utf-8")
    (folder / "index.html").write_text(page(result), encoding="utf-8")


def upload(result: Result, folder: Path, s3: Any) -> str:
    """Copy the written reports to the reports bucket; return the page's s3:// address.

    `s3` has the build's own credentials: the environment's role has no business in the pipeline's account.

    Raises:
        ClientError, BotoCoreError: the bucket does not take them.
    """
    settings = result.settings
    prefix = settings.report_prefix.format(run_id=result.run_id)
    for name, content_type in _FILES.items():
        s3.put_object(
            Bucket=settings.reports_bucket,
            Key=prefix + name,
            Body=(folder / name).read_bytes(),
            ContentType=content_type,
        )
    return f"s3://{settings.reports_bucket}/{prefix}index.html"
