"""What these tests share: the model spec, an S3 in memory, and functions loaded as Lambda loads them."""

import hashlib
import importlib
import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parents[2]
SPEC = json.loads((ROOT / "model" / "spec.json").read_text())
AWS = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "POWERTOOLS_SERVICE_NAME": "tests",
    "POWERTOOLS_METRICS_NAMESPACE": "Vision",
    "MODEL_SPEC": json.dumps(SPEC),
}


class MemoryS3:
    """The calls of S3 that the functions make, with S3's errors; safe to call from threads."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.written: dict[tuple[str, str], datetime] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.reads: list[str] = []
        self.denies_the_missing = False

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if (Bucket, Key) not in self.objects:
            # What AWS says to those who may not list the whole bucket.
            code = "AccessDenied" if self.denies_the_missing else "NoSuchKey"
            raise ClientError({"Error": {"Code": code, "Message": "no such key"}}, "GetObject")
        self.reads.append(Key)
        content = self.objects[Bucket, Key]
        return {"Body": io.BytesIO(content), "ContentLength": len(content)}

    def list_objects_v2(self, *, Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, Any]:
        found = sorted(key for bucket, key in self.objects if bucket == Bucket and key.startswith(Prefix))
        now = datetime.now(UTC)
        contents = [
            {
                "Key": key,
                "Size": len(self.objects[Bucket, key]),
                "LastModified": self.written.get((Bucket, key), now),
            }
            for key in found[:MaxKeys]
        ]
        return {"Contents": contents} if contents else {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> None:
        self.objects[Bucket, Key] = Body
        self.written[Bucket, Key] = datetime.now(UTC)

    def copy_object(self, *, Bucket: str, Key: str, CopySource: dict[str, str], **_: str) -> None:
        content = self.get_object(**CopySource)["Body"].read()
        self.put_object(Bucket=Bucket, Key=Key, Body=content, ContentType="")

    def create_multipart_upload(self, *, Bucket: str, Key: str, ContentType: str) -> dict[str, str]:
        name = f"upload-{len(self.uploads)}"
        self.uploads[name] = {}
        return {"UploadId": name}

    def upload_part(
        self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes
    ) -> dict[str, str]:
        self.uploads[UploadId][PartNumber] = Body
        return {"ETag": hashlib.md5(Body).hexdigest()}  # noqa: S324 - as S3 does

    def complete_multipart_upload(
        self, *, Bucket: str, Key: str, UploadId: str, MultipartUpload: dict[str, Any]
    ) -> None:
        pieces = self.uploads.pop(UploadId)
        assert [piece["PartNumber"] for piece in MultipartUpload["Parts"]] == sorted(pieces)
        whole = b"".join(pieces[number] for number in sorted(pieces))
        self.put_object(Bucket=Bucket, Key=Key, Body=whole, ContentType="")

    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> None:
        del self.uploads[UploadId]


class MemoryTable:
    """The calls of DynamoDB that freeze a holdout, with DynamoDB's error."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}

    def get_item(self, *, TableName: str, Key: dict[str, Any], ConsistentRead: bool) -> dict[str, Any]:
        item = self.items.get((Key["pk"]["S"], Key["sk"]["S"]))
        return {} if item is None else {"Item": item}

    def put_item(self, *, TableName: str, Item: dict[str, Any], ConditionExpression: str) -> None:
        assert ConditionExpression == "attribute_not_exists(pk)"
        key = Item["pk"]["S"], Item["sk"]["S"]
        if key in self.items:
            said = {"Code": "ConditionalCheckFailedException", "Message": "The conditional request failed"}
            raise ClientError({"Error": said}, "PutItem")
        self.items[key] = Item


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()


@pytest.fixture
def context() -> SimpleNamespace:
    """What Lambda passes as the context."""
    arn = "arn:aws:lambda:us-east-1:222222222222:function:f"
    return SimpleNamespace(
        function_name="f",
        memory_limit_in_mb=512,
        invoked_function_arn=arn,
        aws_request_id="lambda-request",
        get_remaining_time_in_millis=lambda: 20_000,
    )


@pytest.fixture(scope="session")
def load_function() -> Callable[..., ModuleType]:
    """Loads `lambda_src/<name>/handler.py` with its folder first on the path, as in its package."""

    def load(name: str, **variables: str) -> ModuleType:
        folder = ROOT / "lambda_src" / name
        own = {path.stem for path in folder.glob("*.py")}
        before = {module: sys.modules.pop(module) for module in own if module in sys.modules}
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("AWS_ENDPOINT_URL", raising=False)
            for variable, value in {**AWS, **variables}.items():
                patch.setenv(variable, value)
            patch.syspath_prepend(str(folder))
            try:
                return importlib.import_module("handler")
            finally:
                for module in own:
                    sys.modules.pop(module, None)
                sys.modules.update(before)

    return load


@pytest.fixture(scope="session")
def functions(load_function: Callable[..., ModuleType]) -> Any:
    """The three functions that prepare a dataset."""
    from tests.lambda_src.dataset_world import Functions

    return Functions(load_function)


@pytest.fixture
def world(functions: Any, context: SimpleNamespace) -> Any:
    """A good dataset and these functions."""
    from tests.lambda_src.dataset_world import World

    return World(functions, context)
