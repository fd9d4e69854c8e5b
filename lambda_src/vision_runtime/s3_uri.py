"""S3 addresses: s3://bucket/key taken apart, and read with errors that say what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

SCHEME = "s3://"
MISSING = ("NoSuchKey", "NoSuchBucket", "404")


class ObjectMissing(LookupError):
    """There is no object at an address that something points to."""


class ObjectTooLarge(ValueError):
    """An object has more bytes than are read of it."""


@dataclass(frozen=True)
class Stored:
    """What S3 says about an object: its size in bytes, and when it was written."""

    size: int
    modified: datetime


@dataclass(frozen=True)
class S3Uri:
    """The address of an object, or of a folder when the key ends with a slash."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> S3Uri:
        """Take `s3://bucket/key` apart. Raises ValueError when it is something else."""
        bucket, slash, key = text.removeprefix(SCHEME).partition("/")
        if not text.startswith(SCHEME) or not bucket or not slash or not key:
            raise ValueError(f"{text!r} is not an S3 address; it must be s3://bucket/key")
        return cls(bucket, key)

    def sibling(self, relative: str) -> S3Uri:
        """An object named relative to this one's folder."""
        folder, slash, _ = self.key.rpartition("/")
        return S3Uri(self.bucket, folder + slash + relative)

    def read(self, s3: Any, max_bytes: int) -> bytes:
        """The object's content.

        Raises ObjectMissing, ObjectTooLarge when it has more than `max_bytes`, or botocore's errors.
        """
        try:
            found = s3.get_object(Bucket=self.bucket, Key=self.key)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING or self._denied_as_missing(s3, error):
                raise ObjectMissing(f"{self} does not exist") from error
            raise
        with found["Body"] as body:
            if found["ContentLength"] > max_bytes:
                raise ObjectTooLarge(
                    f"{self} has {found['ContentLength']} bytes; at most {max_bytes} are read"
                )
            return body.read()

    def stored(self, s3: Any) -> Stored | None:
        """The object's size and age, or None where there is none. Raises botocore's errors.

        It is listed, because asking for an object that is missing is answered with "denied" (see below).
        """
        found = s3.list_objects_v2(Bucket=self.bucket, Prefix=self.key, MaxKeys=1).get("Contents", [])
        if not found or found[0]["Key"] != self.key:
            return None
        return Stored(found[0]["Size"], found[0]["LastModified"])

    def _denied_as_missing(self, s3: Any, error: ClientError) -> bool:
        """Whether S3 denied access only because the object is missing.

        It says so to those alone who may list the whole bucket; a right to list some prefixes does not count.
        """
        if error.response["Error"]["Code"] not in ("AccessDenied", "403"):
            return False
        try:
            return self.stored(s3) is None
        except ClientError:
            return False

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"
