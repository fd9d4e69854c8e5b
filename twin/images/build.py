"""Builds an image from a context and a Dockerfile, reproducibly: one layer of files, config, manifest."""

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from twin.images.dockerfile import Copy, DockerfileError, PipInstall, Recipe, parse
from twin.images.ignore import IgnoreRules

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
# In the image's config, beside what Docker writes: what the twin needs to run it.
TWIN_KEY = "twin"
_ARCHITECTURES = {"linux/amd64": "amd64", "linux/arm64": "arm64", "linux/arm64/v8": "arm64"}


class BuildError(Exception):
    """The image cannot be built; the message names what is wrong and the cure."""


@dataclass(frozen=True)
class BuiltImage:
    """An image as a registry keeps it: a manifest that names config and layer by their digests."""

    manifest: bytes
    config: bytes
    layer: bytes

    @property
    def digest(self) -> str:
        """The digest of the manifest, which is the image's."""
        return sha256(self.manifest)


def sha256(data: bytes) -> str:
    """Return the digest of `data` as registries write it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def build(context: Path, dockerfile: Path, platform: str = "linux/amd64") -> BuiltImage:
    """Build the image of a context folder. Raises `DockerfileError` or `BuildError`."""
    if not dockerfile.is_file():
        raise BuildError(f"there is no Dockerfile at {dockerfile}")
    architecture = _ARCHITECTURES.get(platform)
    if architecture is None:
        raise BuildError(f"--platform {platform} is refused: use one of {', '.join(_ARCHITECTURES)}")
    recipe = parse(dockerfile.read_text(encoding="utf-8"))
    files: dict[str, Path] = {}
    requirements: list[str] = []
    rules = IgnoreRules.of(context)
    for step in recipe.steps:
        if isinstance(step, Copy):
            files.update(_copied(context, step, rules, files))
        else:
            requirements += _requirements(step, files)
    raw = _tar(files)
    layer = gzip.compress(raw, compresslevel=6, mtime=0)
    config = _json(_config(recipe, architecture, sha256(raw), "\n".join(requirements)))
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": _CONFIG_TYPE, "size": len(config), "digest": sha256(config)},
            "layers": [{"mediaType": _LAYER_TYPE, "size": len(layer), "digest": sha256(layer)}],
        }
    )
    return BuiltImage(manifest, config, layer)


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True).encode()


def _copied(context: Path, step: Copy, rules: IgnoreRules, present: dict[str, Path]) -> dict[str, Path]:
    """Return what one COPY adds: absolute path in the image -> file on this machine."""
    found: dict[str, Path] = {}
    for source in step.sources:
        matches = _matches(context, step.line, source)
        added: dict[str, Path] = {}
        for match in matches:
            if match.is_dir():
                added |= {f"{step.destination}/{p.relative_to(match).as_posix()}": p for p in _files(match)}
            elif step.into_folder or len(matches) > 1 or _is_folder(step.destination, present):
                added[f"{step.destination}/{match.name}"] = match
            else:
                added[step.destination] = match
        kept = {
            "/" + target.lstrip("/"): path
            for target, path in added.items()
            if not rules.ignores(path.relative_to(context).as_posix())
        }
        if not kept and any(not match.is_dir() for match in matches):
            raise DockerfileError(step.line, f"COPY {source}: .dockerignore leaves nothing of it")
        found |= kept
    return found


def _is_folder(destination: str, present: dict[str, Path]) -> bool:
    return destination == "/" or any(target.startswith(destination + "/") for target in present)


def _matches(context: Path, line: int, source: str) -> list[Path]:
    inner = PurePosixPath(source.lstrip("/"))
    if ".." in inner.parts:
        raise DockerfileError(line, f"COPY {source}: the source lies outside of the build context")
    if any(sign in source for sign in "*?["):
        matches = sorted(context.glob(str(inner)))
    else:
        matches = [path for path in [context / inner] if path.exists()]
    if not matches:
        raise DockerfileError(line, f"COPY {source}: there is no such file in the build context")
    return matches


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _requirements(step: PipInstall, files: dict[str, Path]) -> list[str]:
    """Return the requirement lines of a `pip install`, read from the files copied so far."""
    lines: list[str] = []
    for name in step.files:
        path = files.get(name)
        if path is None:
            raise DockerfileError(step.line, f"pip install -r {name}: no COPY before it puts that file there")
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip().startswith(("-r", "--requirement", "-c", "--constraint", "-e", "--editable")):
                raise DockerfileError(
                    step.line,
                    f"{name}: {line.strip()!r} is refused: the twin wants one file that lists everything",
                )
            lines.append(line)
    return [*lines, *step.packages]


def _tar(files: dict[str, Path]) -> bytes:
    """Pack files by their place in the image: sorted, no times, no owners, so that equal stays equal."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for target in sorted(files):
            data = files[target].read_bytes()
            entry = tarfile.TarInfo(target.lstrip("/"))
            entry.size = len(data)
            entry.mode = 0o755 if files[target].stat().st_mode & 0o111 else 0o644
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _config(recipe: Recipe, architecture: str, layer: str, requirements: str) -> dict[str, Any]:
    return {
        "architecture": architecture,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Env": [f"{name}={value}" for name, value in recipe.env.items()],
            "WorkingDir": recipe.workdir,
            "Entrypoint": list(recipe.entrypoint),
            "Cmd": list(recipe.cmd),
            "ExposedPorts": {port if "/" in port else f"{port}/tcp": {} for port in recipe.ports},
            "User": recipe.user,
            "Labels": recipe.labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        TWIN_KEY: {"base": recipe.base, "python": recipe.python, "requirements": requirements},
    }
