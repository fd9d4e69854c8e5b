"""The pinned deployment tools: package-lock.json says which, on a laptop and in the pipeline."""

from __future__ import annotations

import json
from pathlib import Path


class ToolchainError(Exception):
    """The lock file does not pin a tool; the message says which."""


def locked_version(project_root: Path, package: str) -> str:
    """The version of an npm package that package-lock.json pins. Raises ToolchainError when it pins none."""
    try:
        lock = json.loads((project_root / "package-lock.json").read_text(encoding="utf-8"))
        return lock["packages"][f"node_modules/{package}"]["version"]
    except (FileNotFoundError, KeyError, json.JSONDecodeError):
        raise ToolchainError(
            f"package-lock.json does not pin {package}: run `npm install {package}` and commit the lock file"
        ) from None
