"""Artifacts, caches, archives and globs: which files go where."""

import os
from pathlib import Path

import pytest

from twin.archives import ArchiveError, pack, pack_contents, unpack
from twin.globs import matches
from twin.services.codebuild.buildspec import ArtifactFiles
from twin.services.codebuild.files import BuildCache, NoFiles, collect


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("**/*", "a", True),
        ("**/*", "a/b/c", True),
        ("*", "a/b", False),
        ("a/**", "a/b/c", True),
        ("docs/*.md", "docs/x.md", True),
        ("docs/*.md", "docs/y/x.md", False),
        ("**/x.md", "x.md", True),
        ("{a,b}*/c?", "bb/cd", True),
        ("[!a]", "a", False),
        ("a.b", "axb", False),
        ("./a", "a", True),
    ],
)
def test_globs(pattern: str, path: str, fits: bool) -> None:
    assert matches(pattern, path) is fits


def test_artifacts_take_what_they_declare(tmp_path: Path) -> None:
    write(tmp_path, "out/a.txt", "out/deep/.hidden", "out/deep/skip.log", "other")
    everything = ArtifactFiles(("**/*",), base_directory="out", exclude_paths=("**/*.log",))
    assert [name for name, _ in collect(everything, tmp_path)] == ["a.txt", "deep/.hidden"]
    flat = ArtifactFiles(("out/**/*",), discard_paths=True)
    assert [name for name, _ in collect(flat, tmp_path)] == [".hidden", "a.txt", "skip.log"]
    single = ArtifactFiles(("out/a.txt",), base_directory=".")
    assert [name for name, _ in collect(single, tmp_path)] == ["out/a.txt"]
    fitting = ArtifactFiles(("*",), base_directory="o*t")
    assert [name for name, _ in collect(fitting, tmp_path)] == ["a.txt"]


def test_artifact_without_files_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, "a")
    with pytest.raises(NoFiles, match="no matching base directory path found for out"):
        collect(ArtifactFiles(("**/*",), base_directory="out"), tmp_path)
    with pytest.raises(NoFiles, match=r"no matching artifact paths found: \*.jar"):
        collect(ArtifactFiles(("*.jar",)), tmp_path)


def test_cache_moves_folders_between_builds(tmp_path: Path) -> None:
    store, first, second = tmp_path / "store", tmp_path / "1", tmp_path / "2"
    patterns = (".venv/**/*", "build/envs/**/*", "/var/cache/uv/**/*", "*.tmp")
    write(first, ".venv/bin/python", "build/envs/x", "build/out")
    cache = BuildCache(store, first, patterns)
    assert cache.ignored == ["/var/cache/uv/**/*", "*.tmp"]
    assert cache.restore() == []
    assert cache.keep() == [".venv", "build/envs"]
    write(second, "build/source")
    assert BuildCache(store, second, patterns).restore() == [".venv", "build/envs"]
    assert (second / ".venv/bin/python").exists() and (second / "build/source").exists()
    assert not (store / ".venv").exists()


def test_archives_keep_permissions_links_and_times(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    write(source, "run.sh", "deep/file")
    (source / "run.sh").chmod(0o755)
    (source / "link").symlink_to("deep/file")
    os.utime(source / "deep/file", (1_600_000_000, 1_600_000_000))
    unpack(pack((n, source / n) for n in ("run.sh", "deep/file", "link")), target)
    assert os.access(target / "run.sh", os.X_OK)
    assert (target / "link").is_symlink() and (target / "link").read_text() == "deep/file"
    assert (target / "deep/file").stat().st_mtime == 1_600_000_000


def test_archives_that_leave_their_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"entry '../evil' would be written outside"):
        unpack(pack_contents({"../evil": b""}), tmp_path / "x")
    with pytest.raises(ArchiveError, match="not a zip"):
        unpack(b"nonsense", tmp_path / "x")
