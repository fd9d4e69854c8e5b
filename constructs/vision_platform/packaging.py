"""Packages without Docker: Lambda functions by uv, and archives that never differ by a byte."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import jsii
import yaml
from aws_cdk import AssetHashType, BundlingOptions, BundlingOutput, DockerImage, ILocalBundling
from aws_cdk import aws_lambda as lambda_

# Lambda's own Python and processor; the wheels in a package must be built for them.
RUNTIME = lambda_.Runtime.PYTHON_3_14
ARCHITECTURE = lambda_.Architecture.ARM_64
_PYTHON_VERSION = "3.14"
# manylinux2014 no longer has numpy wheels; Lambda's Python 3.14 runs on Amazon Linux 2023 (glibc 2.34).
_PLATFORM = "aarch64-manylinux_2_28"
SHARED_PACKAGE = "vision_runtime"
# Lambda's limit for a package with its layers, unpacked.
MOST_BYTES = 250 * 2**20

# Of zlib's levels: 6, the usual one, takes 1.7 times as long and saves 2 % (204 MB of packages: 5.5 s and
# 63 MB, against 3.2 s and 65 MB).
_COMPRESSION = 4
# The first day that a zip can name.
_OLDEST = (1980, 1, 1, 0, 0, 0)

_NEVER_PACKAGED = frozenset({"__pycache__", ".pytest_cache", ".ruff_cache", "README.md"})


# By these words the app knows the message again when it comes back out of the CDK's own process.
PACKAGING_FAULT = "Packaging failed:"


class PackagingError(Exception):
    """A package could not be built; the message says why and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{PACKAGING_FAULT} {message}")


def function_code(source: Path, function: str, also: Sequence[Path] = ()) -> lambda_.Code:
    """The package of `source/<function>`: its files, the shared package, and its locked requirements.

    `also` are files from elsewhere that stand beside the function's own.
    """
    borrowed = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in also]
    digest = content_hash(
        [source / function, source / SHARED_PACKAGE],
        extra=(_PYTHON_VERSION, _PLATFORM, "package-3", *borrowed),
    )
    return lambda_.Code.from_asset(
        str(source),
        asset_hash=digest,
        asset_hash_type=AssetHashType.CUSTOM,
        bundling=_locally(FunctionBundling(source, function, also), BundlingOutput.ARCHIVED),
    )


def source_archive_options(folder: Path) -> tuple[str, BundlingOptions]:
    """The content hash of `folder`, and the bundling that makes a tar.gz of it."""
    bundling = _locally(SourceArchiveBundling(folder), BundlingOutput.SINGLE_FILE)
    return content_hash([folder], extra=("archive-1",)), bundling


def _locally(bundling: ILocalBundling, output: BundlingOutput) -> BundlingOptions:
    # The image is for when local bundling declines; ours succeeds or raises.
    return BundlingOptions(image=DockerImage.from_registry("scratch"), local=bundling, output_type=output)


@jsii.implements(ILocalBundling)
class FunctionBundling:
    """Builds one Lambda package with uv, as the archive that Lambda takes.

    Archived here, an assembly has a few hundred files where it had six thousand, and every project of the
    pipeline unpacks it.
    """

    def __init__(self, source: Path, function: str, also: Sequence[Path] = ()) -> None:
        self._folder = source / function
        self._shared = source / SHARED_PACKAGE
        self._also = also

    def try_bundle(self, output_dir: str, *_: object, **__: object) -> bool:
        """Write `package.zip` into `output_dir`. Raises PackagingError as `fill` does."""
        with tempfile.TemporaryDirectory() as folder:
            self.fill(Path(folder))
            _write_zip(Path(folder), Path(output_dir) / "package.zip")
        return True

    def fill(self, output: Path) -> None:
        """Put what belongs into the package into the folder `output`.

        Raises PackagingError when uv is missing or cannot install the requirements, and when what came of it
        is more than Lambda takes.
        """
        requirements = self._folder / "requirements.txt"
        if requirements.exists():
            _install(requirements, output)
        _copy(self._folder, output)
        _copy(self._shared, output / SHARED_PACKAGE)
        for path in self._also:
            shutil.copyfile(path, output / path.name)
        _check_size(output, self._folder.name)


@jsii.implements(ILocalBundling)
class SourceArchiveBundling:
    """Packs a folder as a tar.gz whose bytes depend on the files' names and contents alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def try_bundle(self, output_dir: str, *_: object, **__: object) -> bool:
        """Write `source.tar.gz` into `output_dir`."""
        write_archive(self._folder, Path(output_dir) / "source.tar.gz")
        return True


def write_archive(folder: Path, target: Path) -> None:
    """Pack the files of `folder` as `target`, a tar.gz without times, owners or modes of this machine."""
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in packaged_files(folder):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size, entry.mode, entry.mtime = path.stat().st_size, 0o644, 0
            with path.open("rb") as content:
                archive.addfile(entry, content)


def _write_zip(folder: Path, target: Path) -> None:
    """Pack all files of `folder` as `target`, a zip without times, owners or modes of this machine."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _OLDEST)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, _COMPRESSION)


def packaged_files(folder: Path) -> Iterator[Path]:
    """The files of `folder` that belong into a package, in a fixed order."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not _NEVER_PACKAGED.intersection(inside.parts) and path.suffix != ".pyc":
            yield path


def content_hash(folders: Iterable[Path], *, extra: Iterable[str] = ()) -> str:
    """A hash over the names and contents of the folders' files, and nothing else about them."""
    digest = hashlib.sha256()
    for part in extra:
        digest.update(f"{part}\0".encode())
    for folder in folders:
        for path in packaged_files(folder):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{folder.name}/{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def _copy(folder: Path, target: Path) -> None:
    """Copy what is packaged; of YAML the same as JSON, which a function reads without a library."""
    for path in packaged_files(folder):
        copy = target / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".yaml":
            copy.with_suffix(".json").write_text(json.dumps(yaml.safe_load(path.read_text())))
        else:
            shutil.copyfile(path, copy)


def _install(requirements: Path, target: Path) -> None:
    command = [
        _find_uv(), "pip", "install", "--quiet", "--no-installer-metadata", "--no-compile-bytecode",
        "--only-binary", ":all:", "--require-hashes", "--python-platform", _PLATFORM,
        "--python-version", _PYTHON_VERSION, "--target", str(target), "-r", str(requirements),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        place = f"{requirements.parent.name}/{requirements.name}"
        raise PackagingError(
            f"uv could not install {place} for Lambda (Python {_PYTHON_VERSION}, {_PLATFORM}):\n"
            f"{result.stderr.strip()}\n"
            "Without a network, or behind a package index, set UV_INDEX_URL or UV_FIND_LINKS; after a change "
            "of requirements.in, lock again."
        )
    # uv's own lock and console scripts are not part of the package.
    (target / ".lock").unlink(missing_ok=True)
    shutil.rmtree(target / "bin", ignore_errors=True)


def _check_size(package: Path, function: str) -> None:
    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        raise PackagingError(
            f"the package of {function} has {size / 2**20:.0f} MB unpacked, and Lambda takes "
            f"{MOST_BYTES / 2**20:.0f} MB: take something out of {function}/requirements.in"
        )


def _find_uv() -> str:
    beside_python = Path(sys.executable).parent / "uv"
    if beside_python.exists():
        return str(beside_python)
    found = shutil.which("uv", path=os.environ.get("PATH"))
    if found is None:
        raise PackagingError("uv is missing, and Lambda packages are built with it: run `make setup`")
    return found
