"""S3 addresses: what is missing, too large or denied is told apart."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lambda_src.conftest import MemoryS3
from vision_runtime.s3_uri import ObjectMissing, ObjectTooLarge, S3Uri

PLACE = S3Uri("bucket", "folder/a")


@pytest.mark.parametrize(
    "text", ["bucket/key", "s3://bucket", "s3://bucket/", "s3:///key", "https://bucket/key"]
)
def test_something_else_than_an_address(text: str) -> None:
    with pytest.raises(ValueError, match="must be s3://bucket/key"):
        S3Uri.parse(text)


def test_address_and_its_siblings() -> None:
    place = S3Uri.parse("s3://bucket/folder/a")
    assert place == PLACE
    assert str(place.sibling("b/c")) == "s3://bucket/folder/b/c"
    assert str(S3Uri("bucket", "top").sibling("b")) == "s3://bucket/b"


def test_missing_object(s3: MemoryS3) -> None:
    s3.objects["bucket", "folder/another"] = b"x"
    assert PLACE.stored(s3) is None
    for denied in (False, True):
        s3.denies_the_missing = denied
        with pytest.raises(ObjectMissing, match="s3://bucket/folder/a does not exist"):
            PLACE.read(s3, 10)


def test_object_with_a_longer_neighbour(s3: MemoryS3) -> None:
    s3.objects |= {("bucket", "folder/a"): b"four", ("bucket", "folder/a.old"): b"x"}
    stored = PLACE.stored(s3)
    assert stored is not None
    assert stored.size == 4
    assert PLACE.read(s3, 4) == b"four"


def test_too_large_an_object_is_not_read(s3: MemoryS3) -> None:
    s3.objects["bucket", "folder/a"] = b"four"
    with pytest.raises(ObjectTooLarge, match="has 4 bytes; at most 3 are read"):
        PLACE.read(s3, 3)


@pytest.mark.parametrize("listing", ["there", "denied"])
def test_denied_object_is_not_called_missing(s3: MemoryS3, listing: str) -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")
    s3.objects["bucket", "folder/a"] = b"four"

    def deny(**_: Any) -> Any:
        raise denied

    s3.get_object = deny  # type: ignore[method-assign]
    if listing == "denied":
        s3.list_objects_v2 = deny  # type: ignore[method-assign]
    with pytest.raises(ClientError, match="AccessDenied"):
        PLACE.read(s3, 10)
