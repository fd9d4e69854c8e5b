"""Serves a line's models from Lambda, by the program that endpoints serve them with.

An event names the model by its archive below the line's folder, tells where it comes from, and brings images
as endpoints take them, in base64; the answer is that of an endpoint. Without images the model is only loaded.
What the caller did wrong is answered as `{"refused": why}`; a model that cannot be served is an error.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import botocore.session
from aws_lambda_powertools import Logger
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError
from models import ModelMissing, Models
from serving import answer

from vision_runtime import environment
from vision_runtime.environment import ConfigurationError

FOLDER = "MODELS_FOLDER"
_ABSENT = {"NoSuchKey", "404", "NoSuchBucket", "AccessDenied"}
# Within the function's time; whoever asks has given up by then, but the model is there for the next.
_STORE = ClientConfig(
    connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 2, "mode": "standard"}
)

logger = Logger()
s3: Any = botocore.session.Session().create_client("s3", config=_STORE)


def _place(variables: Any) -> tuple[str, str]:
    folder = environment.text(variables, FOLDER)
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    if not folder.startswith("s3://") or not prefix:
        raise ConfigurationError(f"the environment variable {FOLDER} is {folder!r}; it must be s3://...")
    return bucket, prefix.rstrip("/")


_bucket, _prefix = _place(os.environ)


def _fetch(name: str, target: Path) -> None:
    key = f"{_prefix}/{name}"
    try:
        found = s3.get_object(Bucket=_bucket, Key=key)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _ABSENT:
            raise ModelMissing(f"s3://{_bucket}/{key} is not there, or may not be read ({code})") from error
        raise
    with target.open("wb") as file:
        shutil.copyfileobj(found["Body"], file, 1024 * 1024)


models = Models(_fetch)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - Lambda's own signature
    """Answer one request. Raises ModelMissing or ModelBroken, and what S3 raises."""
    if models.holds(str(event["model"])):
        return answer(models, event)
    began = time.monotonic()
    models.get(str(event["model"]))
    logger.info("loaded a model", model=event["model"], seconds=round(time.monotonic() - began, 3))
    return answer(models, event)
