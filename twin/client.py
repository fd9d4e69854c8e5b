"""The twin from outside, for the command line and the demo: start it, push to it, watch, approve, stop it.

Needs boto3 only; the twin's own environment is not imported.
"""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
import botocore.session
from botocore.config import Config

from twin import console_links
from twin.delivery_watch import Approval, Change, Watch
from twin.server_process import DEFAULT_PORT, BusyPort, Health, ServerProcess, TwinError, fetch

__all__ = ["DEFAULT_PORT", "BusyPort", "Health", "Twin", "TwinError", "find_project"]

# What builds have cached, what people may still want to read, and the proxy's authority.
_KEPT_BY_ERASE = ("codebuild", "logs", "lock", "proxy")


class Twin:
    """The twin of one project."""

    def __init__(self, project: Path | None = None, home: Path | None = None) -> None:
        """`project` is the folder of `twin.toml` (found from here upwards); `home` is its ``build/twin``."""
        self.project = (project or find_project()).resolve()
        self.home = (home or self.project / "build" / "twin").resolve()
        self.server = ServerProcess(self.project, self.home)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The content of `twin.toml`; raises `TwinError` when it cannot be read."""
        path = self.project / "twin.toml"
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise TwinError(f"there is no twin.toml in {self.project}") from None
        except tomllib.TOMLDecodeError as fault:
            raise TwinError(f"{path} is not valid TOML: {fault}") from fault

    def account(self, name: str) -> str:
        """Return the account id behind an alias of `twin.toml` (or the id itself)."""
        found = str(self.settings.get("accounts", {}).get(name, name))
        if not (found.isdigit() and len(found) == 12):
            raise TwinError(f"no account is called {name!r}: add it to [accounts] in twin.toml")
        return found

    # ---- life

    def health(self) -> Health | None:
        """Return the running twin of this home, or None."""
        return self.server.health()

    def start(self, port: int = DEFAULT_PORT) -> tuple[Health, bool]:
        """Start the twin in the background; returns it, and whether it was this call that started it.

        Raises `BusyPort` when something else has the port, `TwinError` when the twin does not come up.
        """
        return self.server.start(port)

    def stop(self) -> bool:
        """Stop the twin, with its state kept; returns False when it was not running."""
        return self.server.stop()

    def reset(self) -> None:
        """Empty the running twin: no resources, no state, no repositories' content. Raises `TwinError`."""
        self.post("reset")

    def erase(self) -> None:
        """Delete what a stopped twin has kept, so that it starts empty at once; caches and logs stay.

        Raises `TwinError` while the twin is running: `reset` empties that one.
        """
        if self.health() is not None:
            raise TwinError("the twin is running: stop it first, or reset it")
        for path in self.home.iterdir() if self.home.is_dir() else ():
            if path.name in _KEPT_BY_ERASE:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def need(self) -> Health:
        """Return the running twin; raises `TwinError` when there is none."""
        running = self.health()
        if running is None:
            raise TwinError("the twin is not running: start it with python -m twin up")
        return running

    def get(self, path: str) -> Any:
        """Return JSON from one of the twin's own paths; raises `TwinError`."""
        return fetch(f"http://127.0.0.1:{self.need().port}/_twin/{path}", "GET", 30)

    def post(self, path: str, body: Any = None) -> Any:
        """Post to one of the twin's own paths and return its JSON; raises `TwinError`."""
        return fetch(f"http://127.0.0.1:{self.need().port}/_twin/{path}", "POST", 60, body)

    def delete(self, path: str) -> Any:
        """Delete at one of the twin's own paths and return its JSON; raises `TwinError`."""
        return fetch(f"http://127.0.0.1:{self.need().port}/_twin/{path}", "DELETE", 30)

    # ---- AWS

    def client(self, service: str, account: str, region: str = "us-east-1") -> Any:
        """Return a boto3 client as root of an account (alias or id), untouched by the user's AWS settings."""
        core = botocore.session.Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": (None, None, os.devnull, None),
                "credentials_file": (None, None, os.devnull, None),
            }
        )
        session = boto3.Session(
            aws_access_key_id=self.account(account),
            aws_secret_access_key="test",  # noqa: S106  # the documented secret of every account's root in the twin
            region_name=region,
            botocore_session=core,
        )
        endpoint = f"http://127.0.0.1:{self.need().port}"
        return session.client(service, endpoint_url=endpoint, config=Config(proxies={}, read_timeout=60))

    @property
    def pipeline_name(self) -> str:
        """The project's pipeline, from `twin.toml`; raises `TwinError` when it names none."""
        return self._pipeline_setting("name")

    def _pipeline_setting(self, key: str) -> str:
        try:
            return str(self.settings["pipeline"][key])
        except KeyError:
            raise TwinError(f"twin.toml lacks pipeline.{key}") from None

    @cached_property
    def pipeline_api(self) -> Any:
        """A CodePipeline client in the pipeline's account and region."""
        return self.pipeline_client("codepipeline")

    def pipeline_client(self, service: str) -> Any:
        """Return a client of a service in the pipeline's account and region."""
        region = self.settings.get("pipeline", {}).get("region", "us-east-1")
        return self.client(service, self._pipeline_setting("account"), region)

    # ---- git

    def repository(self) -> tuple[Path, str]:
        """Return the bare repository behind the pipeline's connection, and its branch."""
        repositories: Mapping[str, Any] = self.settings.get("repositories", {})
        if not repositories:
            raise TwinError('twin.toml names no repository: add [repositories."owner/name"]')
        name, settings = next(iter(repositories.items()))
        return self.home / "repositories" / f"{name}.git", str(settings.get("branch", "main"))

    def push(self, ref: str = "HEAD", *, source: Path | None = None, force: bool = False) -> str:
        """Push a commit to the twin's repository and return its id; raises `TwinError`.

        `source` is the working copy that has it (default: the project).
        """
        self.need()
        remote, branch = self.repository()
        folder = str(source or self.project)
        commit = _git(
            folder, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", saying=f"there is no {ref}"
        )
        flags = ["--force"] if force else []
        _git(
            folder,
            "push",
            "--quiet",
            *flags,
            str(remote),
            f"{commit}:refs/heads/{branch}",
            saying="the push was refused; if history was rewritten, use --force",
        )
        return commit

    def changed_files(self) -> int:
        """Return how many files of the project differ from HEAD: a push leaves them behind."""
        return len(_git(str(self.project), "status", "--porcelain", saying="git status failed").splitlines())

    # ---- delivery

    def watch(self, execution: str | None = None, *, commit: str | None = None) -> Iterator[Change]:
        """Yield what happens to an execution until it ends; restarts after self-mutation are followed.

        Without an `execution`, that of `commit` is awaited, or else the newest is watched.
        """
        return Watch(self.pipeline_api, self.pipeline_name).changes(execution, commit=commit)

    def approvals(self) -> list[Approval]:
        """Return the approvals that wait for a decision, with copies of the pages that they link to."""
        waiting = Watch(self.pipeline_api, self.pipeline_name).approvals()
        s3 = self.pipeline_client("s3") if waiting else None
        pages = [console_links.copied(each.link, s3, self.home / "pages") for each in waiting]
        return [
            replace(each, page=str(page)) if page else each for each, page in zip(waiting, pages, strict=True)
        ]

    def decide(
        self, *, approve: bool, summary: str, stage: str | None = None, action: str | None = None
    ) -> Approval:
        """Approve or reject the approval that waits (of `stage` and `action`, where several do).

        Raises `TwinError`.
        """
        waiting = [a for a in self.approvals() if stage in (None, a.stage) and action in (None, a.action)]
        if not waiting:
            raise TwinError("no approval waits for a decision" + (" there" if stage or action else ""))
        if len(waiting) > 1:
            places = ", ".join(f"--stage {a.stage} --action {a.action}" for a in waiting)
            raise TwinError(f"several approvals wait: choose {places}")
        chosen = waiting[0]
        self.pipeline_api.put_approval_result(
            pipelineName=self.pipeline_name,
            stageName=chosen.stage,
            actionName=chosen.action,
            token=chosen.token,
            result={"summary": summary, "status": "Approved" if approve else "Rejected"},
        )
        return chosen

    def expire(self, stage: str | None = None, action: str | None = None) -> list[str]:
        """Let the time of a waiting approval be over now; returns its stage and action, or nothing.

        AWS has no such call: there the days must pass. Raises `TwinError`.
        """
        query = {"pipeline": self.pipeline_name, "stage": stage, "action": action}
        given = urlencode({key: value for key, value in query.items() if value})
        return [f"{a['stage']} / {a['action']}" for a in self.post(f"approvals/expire?{given}")]

    def taken_up(self, commit: str) -> list[dict[str, Any]]:
        """Return what each pipeline behind the repository made of a pushed commit: an execution, or None.

        Raises `TwinError`.
        """
        return self.get(f"pushes?commit={commit}")


def find_project() -> Path:
    """Return the nearest folder from here upwards that has a `twin.toml`; raises `TwinError`."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "twin.toml").is_file():
            return folder
    raise TwinError("there is no twin.toml here or above: run this inside the project")


def _git(folder: str, *arguments: str, saying: str) -> str:
    done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        detail = done.stderr.strip().splitlines()
        raise TwinError(f"{saying}" + (f": {detail[-1]}" if detail else ""))
    return done.stdout.strip()
