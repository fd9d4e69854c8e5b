"""The git side of the twin: bare repositories that stand behind connections, and the watch for pushes."""

import json
import logging
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from twin import config

_WATCH_SECONDS = 0.5
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+")
log = logging.getLogger("twin.git")


class GitError(Exception):
    """A repository, branch or commit is not there; the message names it and the cure."""


@dataclass(frozen=True)
class Commit:
    """What a source action tells of a commit; `date` is ISO 8601 with offset, `message` the whole text."""

    id: str
    message: str
    author: str
    date: str


@dataclass(frozen=True)
class Push:
    """One branch or tag that a push moved; `old` is empty where it is new."""

    repository: str
    kind: str
    name: str
    old: str
    new: str


def repository_path(name: str) -> Path:
    """Return the bare repository of a full repository name (``owner/name``), made when it is missing.

    Raises `GitError` for a name that `twin.toml` does not list: nothing stands behind such a connection.
    """
    settings = config.current()
    known = settings.section("repositories")
    if name not in known or not _REPOSITORY.fullmatch(name):
        raise GitError(
            f'no repository stands behind {name!r}: add [repositories."{name}"] to twin.toml '
            f"(it has: {', '.join(known) or 'none'})"
        )
    path = settings.home / "repositories" / f"{name}.git"
    if not (path / "HEAD").exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        branch = str(known[name].get("branch", "main"))
        subprocess.run(
            ["git", "init", "--quiet", "--bare", f"--initial-branch={branch}", str(path)],
            check=True,
            capture_output=True,
        )
    return path


def prepare_all() -> None:
    """Make every repository of `twin.toml`, so that there is something to push to."""
    for name in config.current().section("repositories"):
        repository_path(name)


def empty_all() -> None:
    """Throw away all repositories and make them anew, empty."""
    shutil.rmtree(config.current().home / "repositories", ignore_errors=True)
    prepare_all()


def head(repository: str, branch: str) -> str:
    """Return the commit at the tip of a branch; raises `GitError`."""
    try:
        return _git(repository, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}").strip()
    except GitError:
        raise GitError(f"{repository} has no branch {branch!r} yet: push one (python -m twin push)") from None


def describe(repository: str, commit: str) -> Commit:
    """Return what there is to say of a commit; raises `GitError` when there is none of that id."""
    try:
        shown = _git(repository, "log", "-1", "--format=%H%x00%an%x00%aI%x00%B", commit)
    except GitError:
        raise GitError(f"{repository} has no commit {commit!r}") from None
    identity, author, date, message = shown.split("\0", 3)
    return Commit(identity, message.strip(), author, date)


def archive(repository: str, commit: str) -> bytes:
    """Return the commit's files as a zip."""
    return _git_bytes(repository, "archive", "--format=zip", "-1", commit)


def changed_files(repository: str, old: str, new: str) -> list[str]:
    """Return the files that differ between two commits; all of `new` where `old` is empty."""
    if not old:
        listed = _git(repository, "ls-tree", "-r", "--name-only", "-z", new)
    else:
        listed = _git(repository, "diff", "--name-only", "--no-renames", "-z", old, new)
    return [name for name in listed.split("\0") if name]


def clone(repository: str, commit: str, branch: str, target: Path) -> None:
    """Clone the whole history into `target`, with `commit` checked out on `branch`."""
    shutil.rmtree(target, ignore_errors=True)
    origin = str(repository_path(repository))
    for command in (
        ["git", "clone", "--quiet", "--no-checkout", origin, str(target)],
        ["git", "-C", str(target), "checkout", "--quiet", "-B", branch, commit],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise GitError(f"cannot clone {repository} at {commit}: {done.stderr.strip()}")


def clone_reference(repository: str, commit: str, branch: str) -> bytes:
    """Return the artifact that stands for a full clone."""
    return json.dumps({"repository": repository, "commit": commit, "branch": branch}).encode()


def _git(repository: str, *arguments: str) -> str:
    return _git_bytes(repository, *arguments).decode("utf-8", errors="replace")


def _git_bytes(repository: str, *arguments: str) -> bytes:
    path = repository_path(repository)
    done = subprocess.run(["git", "-C", str(path), *arguments], capture_output=True, check=False)
    if done.returncode:
        raise GitError(f"git {arguments[0]} in {repository}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


class PushWatch:
    """Sees pushes by looking at the repositories' references, twice a second.

    A hook would have to find this process again from whatever environment the push runs in; references
    also tell of pushes that came while the twin was down.
    """

    def __init__(self, on_push: Callable[[Push], None]) -> None:
        """`on_push` is called in the watching thread, once per branch or tag that moved."""
        self._on_push = on_push
        self._seen: dict[str, dict[str, str]] = {}
        self._lock, self._looking = threading.Lock(), threading.RLock()
        self._closed = threading.Event()

    def known(self) -> dict[str, dict[str, str]]:
        """Return repository -> reference -> commit as last seen, to be persisted."""
        with self._lock:
            return {name: dict(refs) for name, refs in self._seen.items()}

    def remember(self, known: dict[str, dict[str, str]]) -> None:
        """Take up what `known` returned; what moved since then counts as pushed."""
        with self._lock:
            self._seen = {name: dict(refs) for name, refs in known.items()}

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="git-watch", daemon=True).start()

    def _watch(self) -> None:
        while not self._closed.wait(_WATCH_SECONDS):
            try:
                self.look()
            except (GitError, OSError):
                log.exception("cannot look at the repositories")

    def look(self) -> None:
        """Compare references with those last seen, and report what moved; returns when that is done."""
        with self._looking:  # two looks at once could report a push twice
            for name in config.current().section("repositories"):
                now = _references(repository_path(name))
                with self._lock:
                    before = self._seen.get(name, {})
                    self._seen[name] = now
                for push in _moved(name, before, now):
                    log.info("push to %s: %s %s is now %s", name, push.kind, push.name, push.new)
                    self._on_push(push)


def _moved(repository: str, before: dict[str, str], now: dict[str, str]) -> Iterable[Push]:
    for reference, commit in now.items():
        if before.get(reference) != commit:
            kind = "branch" if reference.startswith("refs/heads/") else "tag"
            name = reference.removeprefix("refs/heads/").removeprefix("refs/tags/")
            yield Push(repository, kind, name, before.get(reference, ""), commit)


def _references(path: Path) -> dict[str, str]:
    """Read branches and tags from the repository's files: git itself would cost a process each time."""
    found: dict[str, str] = {}
    packed = path / "packed-refs"
    if packed.is_file():
        for line in packed.read_text().splitlines():
            commit, _, reference = line.partition(" ")
            if reference.startswith(("refs/heads/", "refs/tags/")) and not line.startswith(("#", "^")):
                found[reference] = commit
    for folder in ("heads", "tags"):
        for file in (path / "refs" / folder).rglob("*"):
            if file.is_file() and not file.name.endswith(".lock"):
                commit = file.read_text().strip()
                if commit:
                    found[file.relative_to(path).as_posix()] = commit
    return found
