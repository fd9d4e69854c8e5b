"""Packages: made of the right files, the same to the byte every time, and clear about what is missing."""

from __future__ import annotations

import ast
import json
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from vision_platform import packaging
from vision_platform.model_functions import SERVING_CODE
from vision_platform.packaging import (
    FunctionBundling,
    PackagingError,
    content_hash,
    packaged_files,
    write_archive,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "model"
    (source / "inner").mkdir(parents=True)
    (source / "train.py").write_text("print('train')")
    (source / "inner" / "data.json").write_text("{}")
    return source


def disturb(folder: Path) -> None:
    """What differs between two checkouts of one commit."""
    for path in folder.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    (folder / "__pycache__").mkdir(exist_ok=True)
    (folder / "__pycache__" / "train.cpython-311.pyc").write_bytes(b"compiled")


def test_an_archive_depends_on_nothing_but_its_files(folder: Path, tmp_path: Path) -> None:
    write_archive(folder, tmp_path / "first.tar.gz")
    disturb(folder)
    write_archive(folder, tmp_path / "second.tar.gz")
    assert (tmp_path / "first.tar.gz").read_bytes() == (tmp_path / "second.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "second.tar.gz") as archive:
        assert archive.getnames() == ["inner/data.json", "train.py"]


def test_a_hash_depends_on_names_and_contents_alone(folder: Path, tmp_path: Path) -> None:
    before = content_hash([folder])
    disturb(folder)
    assert content_hash([folder]) == before
    elsewhere = tmp_path / "elsewhere" / "model"
    shutil.copytree(folder, elsewhere)
    assert content_hash([elsewhere]) == before
    (folder / "train.py").write_text("print('other')")
    assert content_hash([folder]) != before


def test_what_a_package_is_built_for_counts_in_its_hash(folder: Path) -> None:
    assert content_hash([folder], extra=["3.13"]) != content_hash([folder], extra=["3.14"])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A function without requirements, and the shared package."""
    for path, content in {
        "gate/handler.py": "def handler(event, context): ...",
        "gate/tests/__pycache__/x.pyc": "",
        "vision_runtime/__init__.py": "",
    }.items():
        (tmp_path / "src" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / path).write_text(content)
    return tmp_path / "src"


def test_a_package_is_the_function_at_its_root_and_the_shared_package(source: Path, tmp_path: Path) -> None:
    FunctionBundling(source, "gate").fill(tmp_path / "out")
    files = packaged_files(tmp_path / "out")
    names = [path.relative_to(tmp_path / "out").as_posix() for path in files]
    assert names == ["handler.py", "vision_runtime/__init__.py"]


def test_a_package_is_an_archive_that_depends_on_nothing_but_its_files(source: Path, tmp_path: Path) -> None:
    archives: list[bytes] = []
    for place in ("first", "second"):
        (tmp_path / place).mkdir()
        assert FunctionBundling(source, "gate").try_bundle(str(tmp_path / place))
        (archive,) = (tmp_path / place).iterdir()
        archives.append(archive.read_bytes())
        disturb(source / "gate")
    assert archives[0] == archives[1]
    with zipfile.ZipFile(archive) as packed:
        assert packed.namelist() == ["handler.py", "vision_runtime/__init__.py"]
        assert {entry.external_attr >> 16 for entry in packed.infolist()} == {0o644}
        assert packed.read("handler.py") == (source / "gate" / "handler.py").read_bytes()


def test_a_missing_uv_is_told_with_the_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packaging.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackagingError, match=r"uv is missing.* run `make setup`"):
        packaging._find_uv()


def test_requirements_that_cannot_be_installed_are_told_with_their_file(source: Path, tmp_path: Path) -> None:
    (source / "gate" / "requirements.txt").write_text("not-locked==1.0\n")
    with pytest.raises(PackagingError) as caught:
        FunctionBundling(source, "gate").fill(tmp_path / "out")
    assert "uv could not install gate/requirements.txt for Lambda (Python 3.14" in str(caught.value)


@pytest.mark.parametrize(
    "function",
    ["plan_dataset", "preprocess", "collect_dataset", "select_model", "gate", "predict", "serve_model"],
)
def test_every_functions_requirements_are_locked_with_hashes(function: str) -> None:
    lock = (ROOT / "lambda_src" / function / "requirements.txt").read_text()
    packages = [line for line in lock.splitlines() if "==" in line]
    assert packages
    assert lock.count("--hash=sha256:") >= len(packages)


def test_the_adapters_package_is_small_and_holds_no_numpy(tmp_path: Path) -> None:
    FunctionBundling(ROOT / "lambda_src", "predict").fill(tmp_path)
    assert not (tmp_path / "numpy").exists()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 30_000_000


def test_the_function_that_serves_models_has_the_models_own_code_and_room_to_grow(tmp_path: Path) -> None:
    also = [ROOT / "model" / name for name in SERVING_CODE]
    FunctionBundling(ROOT / "lambda_src", "serve_model", also).fill(tmp_path)
    for name in SERVING_CODE:
        assert (tmp_path / name).read_bytes() == (ROOT / "model" / name).read_bytes()
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    # Lambda takes 250 MB, and a layer may be put to it.
    assert size < 180_000_000
    assert list(tmp_path.glob("onnxruntime/capi/*aarch64*.so")), "built for another processor"


def test_a_package_takes_of_the_models_code_all_that_it_imports() -> None:
    folder = ROOT / "lambda_src" / "serve_model"
    files = [*folder.glob("*.py"), *(ROOT / "model" / name for name in SERVING_CODE)]
    beside = {path.stem for path in files}
    of_the_model = {path.stem for path in (ROOT / "model").glob("*.py")}
    imported = {
        name.partition(".")[0]
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert imported & of_the_model <= beside


def test_a_package_that_lambda_would_refuse_is_refused_here(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaging, "MOST_BYTES", 10)
    with pytest.raises(PackagingError, match=r"package of gate has .* take something out of gate/req"):
        FunctionBundling(source, "gate").fill(tmp_path / "out")


def test_a_function_reads_the_apis_document_as_json(tmp_path: Path) -> None:
    FunctionBundling(ROOT / "lambda_src", "requests").fill(tmp_path)
    assert json.loads((tmp_path / "openapi.json").read_text())["openapi"].startswith("3.0.")
    assert not list(tmp_path.glob("*.yaml"))
