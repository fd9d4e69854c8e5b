"""Turns claim checks into the model's input: read ahead from S3, by the one set of image rules."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from records import Entry

from vision_runtime.images import ImageFault, ImageLimits, ImageRejected, to_model_input
from vision_runtime.problem import Problem
from vision_runtime.read_ahead import read_ahead, window
from vision_runtime.s3_uri import ObjectMissing, ObjectTooLarge, S3Uri
from vision_runtime.spec import InputSpec

_STATUS = {ImageFault.TOO_MANY_BYTES: 413, ImageFault.UNSUPPORTED_FORMAT: 415}


class Images:
    """The images of one bucket, within limits, as one model takes them."""

    def __init__(self, s3: Any, spec: InputSpec, limits: ImageLimits) -> None:
        """`s3` must be safe to use from several threads, as boto3's clients are."""
        self._s3, self._spec, self._limits = s3, spec, limits
        self._ahead = window(os.environ, limits.max_bytes)

    def prepared(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, bytes | Problem]]:
        """Each entry with the model's input, or with what is wrong with its image.

        Raises botocore's errors for what S3 does not answer.
        """
        for entry, found in read_ahead(self._read, entries, self._ahead):
            yield entry, self._decoded(found) if isinstance(found, bytes) else found

    def _read(self, entry: Entry) -> bytes | Problem:
        if entry.check is None:
            return entry.problem or Problem("bad-claim-check", "The record is no claim check", 400, "")
        try:
            return S3Uri(entry.check.bucket, entry.check.key).read(self._s3, self._limits.max_bytes)
        except ObjectMissing:
            detail = f"there is no object {entry.check.key}; it was never uploaded, or has been removed"
            return Problem("image-missing", "The image is missing", 404, detail)
        except ObjectTooLarge:
            return self._rejected(
                ImageFault.TOO_MANY_BYTES,
                f"the image has more than {self._limits.max_bytes} bytes, which is the most that is read",
            )

    def _decoded(self, data: bytes) -> bytes | Problem:
        try:
            return to_model_input(data, self._spec, self._limits)
        except ImageRejected as rejected:
            return self._rejected(rejected.fault, rejected.detail)

    @staticmethod
    def _rejected(fault: ImageFault, detail: str) -> Problem:
        return Problem(f"image-{fault}", "The image is not accepted", _STATUS.get(fault, 400), detail)
