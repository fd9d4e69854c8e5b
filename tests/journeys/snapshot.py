"""A copy of this checkout as it stands, uncommitted work included, in which tests make commits."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.journeys.changes import Change

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ("dev", "staging")
_ENVIRONMENTS = (*ENVIRONMENTS, "prod")
# Set-up has made these in the checkout: a person's tools and the twin's interpreter. Builds make their own.
_SHARED = (".venv", "node_modules", "build/envs")
# The build of a journey proves that a failing check stops a delivery, not once more that all of them pass.
_SHORTER = {"PRODUCT": "lambda_src/gate", "PARTS_TESTS": "tests/lambda_src", "BLOCKS_TESTS": "tests/ops"}
_TESTS = (
    "__init__.py",
    "conftest.py",
    "assembly.py",
    "fuzz",
    "lambda_src/conftest.py",
    "lambda_src/gate",
    "model/conftest.py",
    "model/made_up.py",
    "model/test_image.py",
    "ops/test_passed_before.py",
    "planning/test_run_cost.py",
    "stages/test_gate_settings.py",
    "twin/conftest.py",
)


@dataclass(frozen=True)
class Snapshot:
    """A repository of its own, with the platform in two environments and a shorter build."""

    root: Path

    def git(self, *arguments: str, given: bytes | None = None) -> str:
        """What git says, run here."""
        return _git(self.root, *arguments, given=given).decode().strip()

    def commit(self, message: str) -> str:
        """Commits everything that has changed; answers the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    @contextmanager
    def changed(self, change: Change) -> Generator[str]:
        """A commit with the change, which is taken back by another one afterwards."""
        change.make(self.root)
        commit = self.commit(change.title)
        try:
            yield commit
        finally:
            self.git("revert", "--no-edit", commit)


def take(folder: Path, environments: Sequence[str] = ENVIRONMENTS, *, approval: bool = False) -> Snapshot:
    """Copies the checkout's HEAD and what differs from it in tracked files, with these environments alone.

    `approval` says whether each of them is asked for.
    """
    head = _git(ROOT, "rev-parse", "HEAD").decode().strip()
    uncommitted = _git(ROOT, "diff", "--binary", head)
    _git(folder.parent, "clone", "--quiet", "--no-checkout", str(ROOT), str(folder))
    snapshot = Snapshot(folder)
    snapshot.git("checkout", "--quiet", "-B", "main", head)
    if uncommitted:
        snapshot.git("apply", "--index", given=uncommitted)
    snapshot.git("config", "user.name", "A developer")
    snapshot.git("config", "user.email", "developer@example.com")
    snapshot.git("config", "commit.gpgsign", "false")
    _share_what_set_up_makes(snapshot)
    _shorten(folder, environments, approval=approval)
    snapshot.commit(f"The checkout as it stands, cut to {' and '.join(environments)}")
    return snapshot


def _share_what_set_up_makes(snapshot: Snapshot) -> None:
    # The links are no folders, which is all that the project's .gitignore may know.
    ignored = snapshot.root / ".git" / "info" / "exclude"
    ignored.parent.mkdir(exist_ok=True)
    with ignored.open("a") as lines:
        lines.writelines(f"/{name}\n" for name in _SHARED)
    for name in _SHARED:
        link = snapshot.root / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to((ROOT / name).resolve())


def _shorten(folder: Path, environments: Sequence[str], *, approval: bool) -> None:
    """Fewer environments, and as many tests as the journeys need."""
    path = folder / "cdk.json"
    app = json.loads(path.read_text())
    platform: dict[str, Any] = app["context"]["platform"]
    platform["environments"] = [
        environment | {"approval": approval, "protected": False}
        for environment in platform["environments"]
        if environment["name"] in environments
    ]
    path.write_text(json.dumps(app, indent=2) + "\n")
    aliases = folder / "twin.toml"
    gone = {f"{name} =" for name in _ENVIRONMENTS if name not in environments}
    lines = aliases.read_text().splitlines(keepends=True)
    aliases.write_text("".join(line for line in lines if not line.startswith(tuple(gone))))
    makefile = folder / "Makefile"
    for name, value in _SHORTER.items():
        shorter, found = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", makefile.read_text())
        assert found == 1, f"the Makefile has no {name} any more: teach this test"
        makefile.write_text(shorter)
    kept = [folder / "tests" / name for name in _TESTS]
    for test in sorted((folder / "tests").rglob("*"), reverse=True):
        if any(test == one or one in test.parents or test in one.parents for one in kept):
            continue
        shutil.rmtree(test) if test.is_dir() else test.unlink()


def _git(folder: Path, *arguments: str, given: bytes | None = None) -> bytes:
    # Variables of a git hook that runs these tests would point at the checkout's own repository.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        input=given,
        env=clean,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}"
    return done.stdout
