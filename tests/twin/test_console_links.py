"""Links into S3's console: which they are, and what is copied of the objects that they open."""

from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from twin.console_links import copied, s3_object

CONSOLE = "https://us-east-1.console.aws.amazon.com"


@pytest.mark.parametrize(
    ("link", "place"),
    [
        (f"{CONSOLE}/s3/object/reports?region=us-east-1&prefix=a/b.html", ("reports", "a/b.html")),
        ("https://console.aws.amazon.com/s3/object/reports?prefix=a%2Fb.html", ("reports", "a/b.html")),
        (f"{CONSOLE}/s3/object/reports?region=us-east-1", None),
        (f"{CONSOLE}/s3/buckets/reports?prefix=a/b.html", None),
        ("https://example.com/s3/object/reports?prefix=a/b.html", None),
        ("http://console.aws.amazon.com/s3/object/reports?prefix=a", None),
        ("", None),
    ],
)
def test_links_to_objects_are_told_from_others(link: str, place: tuple[str, str] | None) -> None:
    assert s3_object(link) == place


def nobody_asks() -> object:
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    Stubber(client).activate()  # any request would fail the test
    return client


@pytest.mark.parametrize(
    "link", [f"{CONSOLE}/s3/object/reports?prefix=../../outside.html", "https://example.com/page"]
)
def test_nothing_is_fetched_for_other_links_and_keys_that_lead_out_of_the_folder(
    link: str, tmp_path: Path
) -> None:
    assert copied(link, nobody_asks(), tmp_path / "pages") is None
    assert list(tmp_path.iterdir()) == []
