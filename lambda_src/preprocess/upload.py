"""Writes an object piece by piece, so that a shard is never in memory as a whole."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from types import TracebackType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from vision_runtime.images.rules import MEBIBYTE
from vision_runtime.s3_uri import S3Uri

PIECE_BYTES = 16 * MEBIBYTE  # S3 takes pieces of 5 MiB at least, and 10,000 of them
CONTENT_TYPE = "application/x-tar"


class Upload:
    """An object in the making, which appears in S3 as a whole or not at all: see `finish`."""

    def __init__(self, s3: Any, place: S3Uri) -> None:
        self._s3 = s3
        self._to = {"Bucket": place.bucket, "Key": place.key}
        self._waiting = bytearray()
        self._upload_id = ""
        self._pieces: list[dict[str, Any]] = []
        self._finished = False
        self._digest = hashlib.sha256()
        self.length = 0

    @property
    def sha256(self) -> str:
        """The checksum of what was written so far."""
        return self._digest.hexdigest()

    def write(self, content: bytes) -> None:
        """Add to the object. Raises botocore's errors."""
        self._waiting += content
        self._digest.update(content)
        self.length += len(content)
        if len(self._waiting) >= PIECE_BYTES:
            self._send()

    def finish(self) -> None:
        """Let the object appear. Raises botocore's errors."""
        if self._pieces:
            if self._waiting:
                self._send()
            self._s3.complete_multipart_upload(
                **self._to, UploadId=self._upload_id, MultipartUpload={"Parts": self._pieces}
            )
        else:
            self._s3.put_object(**self._to, Body=bytes(self._waiting), ContentType=CONTENT_TYPE)
        self._finished = True

    def __enter__(self) -> Upload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._upload_id and not self._finished:
            # What broke off matters, and not that its pieces stay: the bucket drops them after some days.
            with suppress(BotoCoreError, ClientError):
                self._s3.abort_multipart_upload(**self._to, UploadId=self._upload_id)

    def _send(self) -> None:
        if not self._upload_id:
            begun = self._s3.create_multipart_upload(**self._to, ContentType=CONTENT_TYPE)
            self._upload_id = begun["UploadId"]
        number = len(self._pieces) + 1
        sent = self._s3.upload_part(
            **self._to, UploadId=self._upload_id, PartNumber=number, Body=bytes(self._waiting)
        )
        self._pieces.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._waiting.clear()
