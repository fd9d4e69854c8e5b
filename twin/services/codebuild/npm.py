"""`npm` in builds: a global install of a tool that the project pins gives the pinned one, or is refused.

Run as a script: `npm.py PROJECT NODE NPM_CLI ARGUMENTS...`. Standard library only.
"""

import json
import os
import sys
from pathlib import Path

_INSTALL = ("install", "i", "add")
_GLOBAL = ("-g", "--global")


def main() -> int:
    """Satisfy or refuse global installs of pinned tools; hand everything else to npm."""
    project, node, npm, *arguments = sys.argv[1:]
    command = [a for a in arguments if not a.startswith("-")]
    if command and command[0] in _INSTALL and any(a in _GLOBAL for a in arguments):
        rest: list[str] = []
        for wanted in command[1:]:
            name, version = _split(wanted)
            pinned = pinned_version(name, [Path.cwd(), *Path.cwd().parents, Path(project)])
            if pinned is None:
                rest.append(wanted)
            elif version == pinned:
                print(f"npm: {name}@{version} is the version that the project pins: using it")
            else:
                asked = f"{name}@{version}" if version else f"{name} without a version"
                print(
                    f"npm: refused to install {asked}: the project pins {name} {pinned} in its package.json. "
                    f"Ask for {name}@{pinned} (in CDK Pipelines: cli_version, cdk_assets_cli_version), "
                    "or change the pin.",
                    file=sys.stderr,
                )
                return 1
        if not rest and command[1:]:
            return 0
        flags = [a for a in arguments if a.startswith("-")]
        arguments = [command[0], *flags, *rest]
    os.execv(node, [node, npm, *arguments])  # noqa: S606  # the real npm takes this process over
    return 0


def pinned_version(name: str, folders: list[Path]) -> str | None:
    """Return the version of a package that the first of these folders pins and has installed, or None."""
    for folder in folders:
        try:
            manifest = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        asked = {**manifest.get("devDependencies", {}), **manifest.get("dependencies", {})}
        if name not in asked:
            continue
        try:
            installed = json.loads(
                (folder / "node_modules" / name / "package.json").read_text(encoding="utf-8")
            )
        except (OSError, ValueError):
            continue
        return str(installed.get("version"))
    return None


def _split(wanted: str) -> tuple[str, str]:
    name, _, version = wanted[1:].partition("@")
    return wanted[0] + name, version


if __name__ == "__main__":
    sys.exit(main())
