"""Links to objects in S3's console, which the twin has not: what they show is copied for reading."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.exceptions import ClientError

_CONSOLE = re.compile(r"([a-z0-9-]+\.)?console\.aws\.amazon\.com")
_OBJECT = re.compile(r"/s3/object/([^/]+)")


def s3_object(link: str) -> tuple[str, str] | None:
    """Return the bucket and key of the object that a link opens in S3's console; None for any other link."""
    parts = urlsplit(link)
    found = _OBJECT.fullmatch(parts.path)
    keys = parse_qs(parts.query).get("prefix", [])
    if parts.scheme != "https" or not _CONSOLE.fullmatch(parts.netloc) or not found or not keys:
        return None
    return unquote(found[1]), keys[0]


def copied(link: str, s3: Any, folder: Path) -> Path | None:
    """Copy the object that a link opens in S3's console into `folder`; `s3` is a client that may read it.

    Returns None for any other link, an object that is not there, and a key that leads out of the folder.
    """
    place = s3_object(link)
    if place is None:
        return None
    bucket, key = place
    target = (folder / bucket / key).resolve()
    if not target.is_relative_to(folder.resolve()):
        return None
    try:
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError:
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target
