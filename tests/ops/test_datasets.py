"""Uploading a dataset: the manifest arrives last, and what is no dataset is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from ops.datasets import DatasetInvalid, Published, publish


class S3Recorder:
    """Takes the place of S3: remembers the order of uploads."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def put_object(self, **request: Any) -> dict[str, str]:
        self.keys.append(request["Key"])
        return {"ETag": '"0123"'}


class AccountStandIn:
    def __init__(self) -> None:
        self.s3 = S3Recorder()

    def client(self, service: str) -> S3Recorder:
        assert service == "s3"
        return self.s3


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    images = [{"key": f"images/{n}.png", "label": "1", "split": "train", "sha256": "0"} for n in range(5)]
    (tmp_path / "images").mkdir()
    for image in images:
        (tmp_path / image["key"]).write_bytes(b"png")
    manifest = {"schema": "vision.dataset/1", "dataset": "digits", "version": "v1", "images": images}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def test_the_manifest_arrives_after_every_image(dataset: Path) -> None:
    account = AccountStandIn()
    published = publish(account, dataset, bucket="b")
    assert published == Published("s3://b/datasets/digits/v1/manifest.json", "0123", 5)
    assert len(account.s3.keys) == 6
    assert account.s3.keys[-1] == "datasets/digits/v1/manifest.json"


def test_a_manifest_for_a_run_of_its_own_has_a_name_that_starts_none(dataset: Path) -> None:
    account = AccountStandIn()
    published = publish(account, dataset, bucket="b", starts_a_run=False)
    assert published.uri == f"s3://b/{account.s3.keys[-1]}"
    # What the rule on arrivals looks for.
    assert not published.uri.endswith("manifest.json")


def test_a_missing_image_is_named_before_anything_is_sent(dataset: Path) -> None:
    (dataset / "images/3.png").unlink()
    account = AccountStandIn()
    with pytest.raises(DatasetInvalid, match=r"images/3\.png"):
        publish(account, dataset, bucket="b")
    assert account.s3.keys == []


def test_a_missing_field_is_named(dataset: Path) -> None:
    (dataset / "manifest.json").write_text(json.dumps({"dataset": "digits", "images": []}))
    with pytest.raises(DatasetInvalid, match="'version' is missing"):
        publish(AccountStandIn(), dataset, bucket="b")


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match=r"manifest\.json: no manifest here"):
        publish(AccountStandIn(), tmp_path, bucket="b")
