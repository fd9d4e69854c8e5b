"""What of a build's folder outlives it: the artifacts that it declares, the folders that it caches."""

import os
import re
import shutil
from pathlib import Path

from twin.globs import matches
from twin.services.codebuild.buildspec import ArtifactFiles

_GLOB = re.compile(r"[*?\[{]")
_EVERYTHING_BELOW = re.compile(r"/\*\*(/\*)?$|/\*$")


class NoFiles(Exception):
    """No file matches what the buildspec declares; the message is CodeBuild's."""


def collect(artifact: ArtifactFiles, source: Path) -> list[tuple[str, Path]]:
    """Return (name in the artifact, file) for the files that an artifact declares; raises `NoFiles`."""
    base = _base_directory(artifact.base_directory, source)
    found: dict[str, Path] = {}
    for relative in select(artifact.files, base):
        if any(matches(pattern, relative) for pattern in artifact.exclude_paths):
            continue
        name = relative.rsplit("/", 1)[-1] if artifact.discard_paths else relative
        found[name] = base / relative
    if not found:
        raise NoFiles(
            f"no matching artifact paths found: {', '.join(artifact.files)} in {artifact.base_directory}"
        )
    return sorted(found.items())


def select(patterns: tuple[str, ...], base: Path) -> list[str]:
    """Return the files below `base`, as relative paths, that fit any of the globs; hidden files count."""
    if not any(_GLOB.search(pattern) for pattern in patterns):
        return [p for p in (q.removeprefix("./") for q in patterns) if (base / p).is_file()]
    names: list[str] = []
    for folder, folders, files in os.walk(base):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        here = Path(folder).relative_to(base)
        names += [(here / name).as_posix() for name in (*files, *links)]
    return sorted(name for name in names if any(matches(pattern, name) for pattern in patterns))


def _base_directory(name: str, source: Path) -> Path:
    if not _GLOB.search(name):
        base = source / name
        if not base.is_dir():
            raise NoFiles(f"no matching base directory path found for {name}")
        return base
    pattern = name.strip("/")
    fitting = sorted(p for p in source.glob(pattern) if p.is_dir())
    if not fitting:
        raise NoFiles(f"no matching base directory path found for {name}")
    return fitting[0]


class BuildCache:
    """Folders that a project keeps from one build to the next, as CodeBuild's local custom cache does.

    They are moved, not copied: a build finds them where the last one left them.
    """

    def __init__(self, store: Path, source: Path, patterns: tuple[str, ...]) -> None:
        """`store` belongs to the project; `source` is the build's folder."""
        self._store, self._source = store, source
        self.folders: list[str] = []
        self.ignored: list[str] = []
        for pattern in patterns:
            folder = _EVERYTHING_BELOW.sub("", pattern).removeprefix("./").strip()
            inside = not folder.startswith(("/", "~", "$", "..")) and folder not in ("", ".")
            (self.folders if inside and not _GLOB.search(folder) else self.ignored).append(
                folder if inside else pattern
            )

    def restore(self) -> list[str]:
        """Move kept folders into the source, unless the source brings its own; returns those moved."""
        return self._move(self._store, self._source, replace=False)

    def keep(self) -> list[str]:
        """Move the folders out of the source for the next build; returns those moved."""
        return self._move(self._source, self._store, replace=True)

    def _move(self, origin: Path, target: Path, *, replace: bool) -> list[str]:
        moved: list[str] = []
        for folder in self.folders:
            here, there = origin / folder, target / folder
            if not here.exists():
                continue
            if there.exists():
                if not replace:
                    continue
                shutil.rmtree(there, ignore_errors=True)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(here, there)
            moved.append(folder)
        return moved
