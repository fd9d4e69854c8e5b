"""Runs a check unless it has passed for the very same files before.

    python ops/passed_before.py NAME [--apart] PATH[^MEMBER.MEMBER]... -- COMMAND...

What counts as the same: the contents of every file under the paths, of the locks and settings that a check
reads, the command itself, the version of Python. A push that leaves these alone need not pay for them again:
`build/stamps` is in the build cache. A check that fails leaves no mark, and runs again next time.

Of a JSON file one member can be left out of account: `cdk.json^context.platform` is that file without its
settings.

With `--apart` the command sees a copy of just these files, so that it cannot depend on one that is not named.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What decides how any check behaves: its settings, and the versions of all that it runs and imports.
ALWAYS = ("pyproject.toml", "requirements", "package-lock.json")
APART = "--apart"
WITHOUT = "^"
USAGE = f"usage: passed_before.py NAME [{APART}] PATH[{WITHOUT}MEMBER.MEMBER]... -- COMMAND..."


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Answers the command's exit code, or 0 when it need not run; 2 for a wrong call."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    given, command = [each for each in arguments[:split] if each != APART], list(arguments[split + 1 :])
    if len(given) < 2 or not command:
        print(USAGE, file=sys.stderr)
        return 2
    name, *paths = given
    missing = [path for path in paths if not (root / path.split(WITHOUT)[0]).exists()]
    if missing:
        print(f"{name}: there is no {missing[0]}", file=sys.stderr)
        return 2
    mark = root / "build" / "stamps" / "checks" / name
    now = fingerprint(root, [*paths, *ALWAYS], command)
    if mark.is_file() and mark.read_text() == now:
        print(f"{name}: passed before with the same files")
        return 0
    where = root
    if APART in arguments[:split]:
        where, program = root / "build" / "apart" / name, root / command[0]
        _copy(root, [*(path.split(WITHOUT)[0] for path in paths), *ALWAYS], where)
        command[0] = str(program) if program.exists() else command[0]
    done = subprocess.run(command, cwd=where, check=False)
    if done.returncode == 0:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(now)
    return done.returncode


def fingerprint(root: Path, paths: Sequence[str], command: Sequence[str]) -> str:
    """A digest over the command, Python's version, and the name and content of every file."""
    digest = hashlib.sha256(repr((sys.version_info[:3], tuple(command))).encode())
    for path in sorted(path for path in paths if WITHOUT in path):
        digest.update(f"\0{path}\0{_without(root, path)}".encode())
    for path in sorted(set(_files(root, [path for path in paths if WITHOUT not in path]))):
        digest.update(f"\0{path.relative_to(root)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _without(root: Path, path: str) -> str:
    """A JSON file without one of its members; where it has no such member, or is no JSON, all of it."""
    name, _, member = path.partition(WITHOUT)
    text = (root / name).read_text()
    try:
        document = inner = json.loads(text)
        *outer, last = member.split(".")
        for each in outer:
            inner = inner[each]
        del inner[last]
    except (ValueError, KeyError, TypeError):
        return f"as it is: {text}"
    return json.dumps(document)


def _copy(root: Path, paths: Sequence[str], where: Path) -> None:
    shutil.rmtree(where, ignore_errors=True)
    for path in set(_files(root, paths)):
        target = where / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def _files(root: Path, paths: Sequence[str]) -> Iterator[Path]:
    for each in (root / path for path in paths):
        if each.is_file():
            yield each
        else:
            yield from (f for f in each.rglob("*") if f.is_file() and "__pycache__" not in f.parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
