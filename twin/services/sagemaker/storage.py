"""Moves data between S3 and a container's folder with the execution role's own rights."""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from botocore.exceptions import BotoCoreError, ClientError

from twin import glue

_PARALLEL = 8


class StorageError(Exception):
    """Data cannot be read or written; the message is what AWS gives as the failure reason."""


class Storage:
    """S3 as one role sees it."""

    def __init__(self, role_arn: str, credentials: Mapping[str, str]) -> None:
        """`credentials` are a session of the role."""
        self._role = role_arn
        self._region = glue.current_scope().region
        self._s3 = glue.client("s3", credentials, self._region)

    def download(
        self, uri: str, folder: Path, *, may_be_empty: bool = False, share: tuple[int, int] = (0, 1)
    ) -> None:
        """Copy the objects under an S3 URI into `folder`; raises `StorageError`.

        `share` is (which, of how many): the part of the objects that one of several hosts gets.
        """
        bucket, prefix = _split(uri)
        keys = [key for key in self._keys(uri, bucket, prefix) if not key.endswith("/")]
        if not keys and not may_be_empty:
            raise StorageError(self._nothing_found(uri, bucket))
        keys = sorted(keys)[share[0] :: share[1]]
        self._fetch(bucket, {key: folder / _relative(key, prefix) for key in keys})

    def download_manifest(self, uri: str, folder: Path, *, share: tuple[int, int] = (0, 1)) -> None:
        """Copy the objects that a manifest lists: a JSON list of a prefix and the keys below it."""
        bucket, key = _split(uri)
        try:
            first, *names = json.loads(self._read(bucket, key))
            prefix_bucket, prefix = _split(first["prefix"])
            names = names[share[0] :: share[1]]
            self._fetch(prefix_bucket, {prefix + name: folder / name for name in names})
        except (ValueError, KeyError, TypeError) as fault:
            raise StorageError(f"Data download failed:the manifest {uri} cannot be read: {fault}") from fault

    def unpack(self, uri: str, folder: Path) -> None:
        """Unpack a ``.tar.gz`` from S3 into `folder`. Raises `StorageError`."""
        content = self._read(*_split(uri))
        try:
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                tar.extractall(folder, filter="data")
        except tarfile.TarError as fault:
            raise StorageError(f"{uri} is not a tar.gz archive: {fault}") from fault

    def check(self, uri: str) -> None:
        """Raise `StorageError` unless the role can read the object at an S3 URI."""
        bucket, key = _split(uri)
        try:
            self._s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")["Body"].read()
        except (ClientError, BotoCoreError) as fault:
            raise StorageError(f"{uri}: {_words(fault)}") from fault

    def check_listing(self, uri: str) -> None:
        """Raise `StorageError` unless the role can list what lies under an S3 URI."""
        bucket, prefix = _split(uri)
        try:
            self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        except (ClientError, BotoCoreError) as fault:
            raise StorageError(f"{uri}: {_words(fault)}") from fault

    def upload_archive(self, folders: Sequence[Path], uri: str, kms_key: str | None) -> None:
        """Pack what lies in `folders` into one ``.tar.gz`` at an S3 URI; the first wins where names clash.

        Raises `StorageError`.
        """
        files: dict[str, Path] = {}
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                files.setdefault(path.relative_to(folder).as_posix(), path)
        packed = folders[0].with_suffix(".tar.gz")
        with (
            packed.open("wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w") as tar,
        ):
            for name, path in sorted(files.items()):
                tar.add(path, arcname=name, recursive=False)
        self.put(packed, uri, kms_key)
        packed.unlink()

    def upload(self, folder: Path, uri: str, kms_key: str | None) -> None:
        """Copy every file of `folder` to below an S3 URI. Raises `StorageError`."""
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        base = uri.rstrip("/")
        with ThreadPoolExecutor(_PARALLEL) as pool:
            put = glue.keep_scope(self.put)
            done = [pool.submit(put, path, f"{base}/{path.relative_to(folder)}", kms_key) for path in files]
            for future in done:
                future.result()

    def put(self, path: Path, uri: str, kms_key: str | None) -> bool:
        """Copy a file to an S3 URI; False when the file is gone. Raises `StorageError`."""
        bucket, key = _split(uri)
        extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        try:
            with path.open("rb") as file:
                self._s3.put_object(Bucket=bucket, Key=key, Body=file, **extra)
        except FileNotFoundError:
            return False
        except (ClientError, BotoCoreError) as fault:
            raise StorageError(f"Data upload failed:{uri}: {_words(fault)}") from fault
        return True

    def read(self, uri: str) -> bytes:
        """Return an object. Raises `StorageError`."""
        return self._read(*_split(uri))

    def write(self, uri: str, body: bytes, content_type: str, kms_key: str | None) -> None:
        """Write an object. Raises `StorageError`."""
        bucket, key = _split(uri)
        extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        try:
            self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type, **extra)
        except (ClientError, BotoCoreError) as fault:
            raise StorageError(f"Data upload failed:{uri}: {_words(fault)}") from fault

    def _keys(self, uri: str, bucket: str, prefix: str) -> Iterator[str]:
        try:
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                yield from (found["Key"] for found in page.get("Contents", []))
        except (ClientError, BotoCoreError) as fault:
            raise StorageError(
                f"{self._nothing_found(uri, bucket)} Error message from S3: {_words(fault)}"
            ) from fault

    def _nothing_found(self, uri: str, bucket: str) -> str:
        return (
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the '
            f"bucket exists in the selected region ({self._region}), that objects exist under that S3 prefix,"
            f' and that the role "{self._role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
        )

    def _fetch(self, bucket: str, targets: Mapping[str, Path]) -> None:
        def fetch(key: str, target: Path) -> None:
            if ".." in target.parts:
                raise StorageError(f"s3://{bucket}/{key} would be written outside of its folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with target.open("wb") as file:
                    shutil.copyfileobj(self._s3.get_object(Bucket=bucket, Key=key)["Body"], file)
            except (ClientError, BotoCoreError) as fault:
                raise StorageError(f"Data download failed:s3://{bucket}/{key}: {_words(fault)}") from fault

        with ThreadPoolExecutor(_PARALLEL) as pool:
            for future in [pool.submit(glue.keep_scope(fetch), *item) for item in targets.items()]:
                future.result()

    def _read(self, bucket: str, key: str) -> bytes:
        try:
            return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except (ClientError, BotoCoreError) as fault:
            raise StorageError(f"Data download failed:s3://{bucket}/{key}: {_words(fault)}") from fault


def _split(uri: str) -> tuple[str, str]:
    parts = urlparse(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise StorageError(f"{uri!r} is not an S3 URI (s3://bucket/key)")
    return parts.netloc, parts.path.lstrip("/")


def _relative(key: str, prefix: str) -> str:
    """Return the path of an object below the folder that a prefix means."""
    if key == prefix:
        return key.rpartition("/")[2]
    rest = key.removeprefix(prefix)
    if prefix.endswith("/") or not prefix or rest.startswith("/"):
        return rest.lstrip("/")
    return key.removeprefix(prefix.rpartition("/")[0]).lstrip("/")  # the prefix ends inside of a name


def _words(fault: Any) -> str:
    """Return what S3 said, as ``AccessDenied (403): Access Denied``."""
    response = getattr(fault, "response", None)
    if not response:
        return str(fault)
    error, status = response["Error"], response["ResponseMetadata"].get("HTTPStatusCode", "")
    return f"{error['Code']} ({status}): {error['Message']}"
