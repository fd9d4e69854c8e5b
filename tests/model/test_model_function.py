"""The function that serves models, as far as it is not AWS: what it loads, keeps, answers and refuses."""

import base64
import io
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from predictor import Predictor
from shards import Examples

from tests.model.conftest import ROOT

sys.path.insert(0, str(ROOT / "lambda_src" / "serve_model"))

from models import ModelBroken, ModelMissing, Models
from serving import answer

ORIGIN = {"model_version": "package/1", "model_run": "run-a", "model_dataset": "digits#v1"}
Pack = Callable[..., None]


class Folder:
    """A bucket's folder: archives by name, and how often each was fetched."""

    def __init__(self, place: Path) -> None:
        self.place, self.fetched = place, list[str]()

    def fetch(self, name: str, target: Path) -> None:
        self.fetched.append(name)
        source = self.place / name
        if not source.exists():
            raise ModelMissing(f"s3://lake/models/champion/{name} is not there")
        shutil.copyfile(source, target)

    def add(self, name: str, **files: bytes) -> None:
        with tarfile.open(self.place / name, "w:gz") as archive:
            for file, content in files.items():
                member = tarfile.TarInfo(file.replace("_", "."))
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def folder(tmp_path: Path, trained: Path) -> Folder:
    found = Folder(tmp_path)
    content = {name.replace(".", "_"): (trained / name).read_bytes() for name in ("model.onnx", "spec.json")}
    for name in ("a", "b", "c"):
        found.add(name, **content)
    return found


def asked(model: str, images: bytes | None) -> dict[str, Any]:
    event: dict[str, Any] = {"model": model, "origin": ORIGIN}
    return event if images is None else event | {"images": base64.b64encode(images).decode()}


def test_answers_are_the_models_own(folder: Folder, trained: Path, examples: Examples) -> None:
    images = examples.images[:3]

    document = answer(Models(folder.fetch), asked("a", images.tobytes()))

    assert {name: document[name] for name in ORIGIN} == ORIGIN
    rows = Predictor.load(trained).probabilities(images)
    for prediction, row in zip(document["predictions"], rows, strict=True):
        np.testing.assert_allclose(list(prediction["probabilities"].values()), row, atol=1e-6)


def test_first_request_loads_the_model_and_the_others_find_it(folder: Folder, examples: Examples) -> None:
    models, image = Models(folder.fetch), examples.images[0].tobytes()
    assert not models.holds("a")
    for _ in range(3):
        answer(models, asked("a", image))
    assert folder.fetched == ["a"]


def test_model_that_was_not_asked_for_longest_goes_when_there_are_too_many(folder: Folder) -> None:
    models = Models(folder.fetch, most=2)
    for name in ("a", "b", "a", "c"):
        models.get(name)
    assert [models.holds(name) for name in ("a", "b", "c")] == [True, False, True]


def test_request_without_images_only_loads(folder: Folder) -> None:
    models = Models(folder.fetch)
    assert answer(models, asked("a", None)) == {"loaded": "a"}
    assert models.holds("a")


def test_missing_archive_is_told_by_its_address(folder: Folder, examples: Examples) -> None:
    with pytest.raises(ModelMissing, match="s3://lake/models/champion/d is not there"):
        answer(Models(folder.fetch), asked("d", examples.images[0].tobytes()))


def test_broken_archives_are_told_with_what_is_wrong(folder: Folder, trained: Path) -> None:
    spec = (trained / "spec.json").read_bytes()
    onnx = (trained / "model.onnx").read_bytes()
    (folder.place / "text").write_bytes(b"no archive")
    whole = (folder.place / "a").read_bytes()
    (folder.place / "cut").write_bytes(whole[: len(whole) // 2])
    folder.add("empty", spec_json=spec)
    folder.add("junk", spec_json=spec, model_onnx=b"junk")
    folder.add("other", spec_json=spec.replace(b'"width": ', b'"width": 1'), model_onnx=onnx)
    reasons = {
        "text": "no tar.gz archive",
        "cut": "no tar.gz archive",
        "empty": "no such file",
        "junk": "ONNX Runtime does not load it",
        "other": "its inputs are",
    }
    models = Models(folder.fetch)
    for name, reason in reasons.items():
        with pytest.raises(ModelBroken, match=reason):
            models.get(name)
        assert not models.holds(name)


def test_archive_cannot_write_outside_of_its_folder(folder: Folder, tmp_path: Path) -> None:
    with tarfile.open(folder.place / "evil", "w:gz") as archive:
        member = tarfile.TarInfo("../../evil.txt")
        archive.addfile(member, io.BytesIO(b""))
    with pytest.raises(ModelBroken):
        Models(folder.fetch).get("evil")


@pytest.mark.parametrize("images", [b"", b"short"])
def test_wrong_body_is_refused_and_no_error(folder: Folder, images: bytes) -> None:
    assert "it must be N x" in answer(Models(folder.fetch), asked("a", images))["refused"]


def test_what_is_no_base64_is_refused(folder: Folder) -> None:
    assert "refused" in answer(Models(folder.fetch), {"model": "a", "images": "?"})


def test_nothing_of_an_archive_stays_on_disk(
    folder: Folder, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path_factory.mktemp("tmp")
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    Models(folder.fetch).get("a")
    assert list(place.iterdir()) == []
