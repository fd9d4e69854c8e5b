"""The dataset manifest: faults are found before a training run is paid for, and named (R13)."""

import json
from typing import Any

import pytest

from vision_runtime.manifest import ManifestError, read_manifest

CLASSES = ("cat", "dog")


def entry(number: int, label: str, split: str) -> dict[str, Any]:
    return {"key": f"images/{number}.png", "label": label, "split": split, "sha256": f"{number:064x}"}


@pytest.fixture
def document() -> dict[str, Any]:
    images = [
        entry(2 * n + k, label, split)
        for n, split in enumerate(("train", "holdout"))
        for k, label in enumerate(CLASSES)
    ]
    return {
        "schema": "vision.dataset/1",
        "dataset": "pets",
        "version": "1",
        "classes": list(CLASSES),
        "images": images,
    }


def read(document: dict[str, Any]) -> Any:
    return read_manifest(json.dumps(document).encode(), CLASSES)


def test_good_manifest_gives_its_splits_in_one_order_whatever_the_files_are_called(
    document: dict[str, Any],
) -> None:
    document["images"].reverse()
    for number, image in enumerate(document["images"]):
        image["key"] = f"renamed/{number}.png"
    manifest = read(document)
    assert [image.sha256 for image in manifest.of("train")] == [f"{number:064x}" for number in (0, 1)]
    assert [image.sha256 for image in manifest.of("holdout")] == [f"{number:064x}" for number in (2, 3)]


def test_validation_split_may_lack_classes_or_be_absent(document: dict[str, Any]) -> None:
    assert read(document).of("validation") == []
    document["images"].append(entry(9, "dog", "validation"))
    assert [image.key for image in read(document).of("validation")] == ["images/9.png"]


def test_order_of_the_classes_does_not_matter(document: dict[str, Any]) -> None:
    document["classes"].reverse()
    assert read(document)


@pytest.mark.parametrize("content", [b"", b"[]", b"not json", b'{"schema": "vision.dataset/1"', b"\xff\xfe"])
def test_something_else_than_a_manifest(content: bytes) -> None:
    with pytest.raises(ManifestError):
        read_manifest(content, CLASSES)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("schema", "vision.dataset/2", "schema"),
        ("dataset", "a/b", "dataset"),
        ("version", "", "version"),
        ("images", [], "images"),
        ("owner", "me", "owner"),
        ("classes", ["cat"], "classes"),
        ("classes", ["cat", "fox"], "classes: the manifest declares"),
    ],
)
def test_wrong_field_is_named(document: dict[str, Any], field: str, value: Any, named: str) -> None:
    document[field] = value
    with pytest.raises(ManifestError, match=named):
        read(document)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("split", "testing", r"images\[1\]\.split: .*found 'testing'"),
        ("sha256", "abc", r"images\[1\]\.sha256"),
        ("label", "fox", r"images\[1\]\.label: 'fox' of 'images/1.png'"),
        ("key", "../other/1.png", r"images\[1\]\.key: .*leaves the manifest's folder"),
        ("key", "/etc/passwd", r"images\[1\]\.key"),
        ("key", "a//b.png", r"images\[1\]\.key"),
        ("key", "images/0.png", r"images\[1\]\.key: 'images/0.png' stands in the manifest twice"),
        ("weight", 2, r"images\[1\]\.weight"),
    ],
)
def test_wrong_image_is_named(document: dict[str, Any], field: str, value: Any, named: str) -> None:
    document["images"][1][field] = value
    with pytest.raises(ManifestError, match=named):
        read(document)


@pytest.mark.parametrize("split", ["train", "holdout"])
def test_class_missing_in_a_split_is_named(document: dict[str, Any], split: str) -> None:
    document["images"] = [
        image for image in document["images"] if (image["label"], image["split"]) != ("dog", split)
    ]
    with pytest.raises(ManifestError, match=f"class 'dog' has no image in the split '{split}'"):
        read(document)


def test_holdout_image_that_is_trained_on_is_named(document: dict[str, Any]) -> None:
    document["images"][2]["sha256"] = document["images"][0]["sha256"]
    with pytest.raises(ManifestError, match=r"'images/0.png' \(train\) and 'images/2.png' \(holdout\)"):
        read(document)


def test_same_image_with_two_labels_is_named(document: dict[str, Any]) -> None:
    document["images"][1]["sha256"] = document["images"][0]["sha256"]
    with pytest.raises(ManifestError, match=r"'images/0.png' \(cat\) and 'images/1.png' \(dog\)"):
        read(document)


def test_a_thousand_faults_make_a_short_message(document: dict[str, Any]) -> None:
    document["images"] += [entry(number, "fox", "train") for number in range(10, 1010)]
    with pytest.raises(ManifestError, match="and 990 more") as caught:
        read(document)
    assert len(str(caught.value)) < 2000
