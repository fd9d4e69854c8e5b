"""Runs the CDK CLI and other tools for the demo, with their output in a log and their faults in words."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_LAST_LINES = 12
_TOOL_SECONDS = 300
# At most so many CLIs at once: each is a Node process of its own.
_AT_ONCE = 2
POLICY = "arn:aws:iam::aws:policy/AdministratorAccess"


class DemoError(Exception):
    """The demo cannot go on; the message says which step, why, and where the log is."""


class Tools:
    """The tools of one checkout, pointed at one twin."""

    def __init__(self, *, project: Path, endpoint: str, region: str, logs: Path) -> None:
        """`endpoint` is the twin's URL; `logs` receives one file a step."""
        self._project, self._endpoint, self._region, self._logs = project, endpoint, region, logs
        logs.mkdir(parents=True, exist_ok=True)

    def bootstrap(self, accounts: Iterable[str], *, trusting: str) -> None:
        """Bootstraps accounts for the CDK, all of them trusting the tooling account.

        Raises:
            DemoError: one of them failed.
        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            jobs = [pool.submit(self._bootstrap, account, trusting) for account in accounts]
            for job in jobs:
                job.result()

    def _bootstrap(self, account: str, trusting: str) -> None:
        trust = ["--trust", trusting, "--cloudformation-execution-policies", POLICY]
        # An empty folder: beside a cdk.json the CLI would synthesize the app first.
        folder = self._logs / "bootstrap" / account
        folder.mkdir(parents=True, exist_ok=True)
        target = f"aws://{account}/{self._region}"
        self._run(
            f"bootstrap-{account}", ["cdk", "bootstrap", "--no-notices", target, *trust], account, folder
        )

    def deploy(self, account: str) -> None:
        """Synthesizes the checkout and deploys its pipeline: the one deployment that a person makes.

        Raises:
            DemoError: synthesis or deployment failed.
        """
        assembly = str(self._logs.parent / "cdk.out")
        command = ["cdk", "deploy", "--no-notices", "--require-approval", "never", "--output", assembly]
        self._run("deploy-pipeline", [*command, "--all"], account, self._project)

    def sample_data(self, folder: Path, limit: int) -> None:
        """Writes the sample dataset: real scans of handwritten digits.

        Raises:
            DemoError: the script failed.
        """
        script = str(self._project / "model" / "sample_data.py")
        command = ["python", script, "--out", str(folder), "--limit", str(limit)]
        self._run("sample-data", command, "", self._project)

    def _run(self, step: str, command: list[str], account: str, folder: Path) -> None:
        log = self._logs / f"{step}.log"
        with log.open("wb") as output:
            try:
                done = subprocess.run(
                    command,
                    cwd=folder,
                    env=self._environment(account),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=_TOOL_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise DemoError(f"{step}: no end after {_TOOL_SECONDS} s. Log: {log}") from None
        if done.returncode:
            said = log.read_text(errors="replace").strip().splitlines()[-_LAST_LINES:]
            last = "\n".join("    " + line for line in said)
            raise DemoError(f"{step} failed (exit {done.returncode}). Log: {log}\n{last}")

    def _environment(self, account: str) -> dict[str, str]:
        dropped = ("PYTHONDONTWRITEBYTECODE", "AWS_PROFILE", "AWS_SESSION_TOKEN")
        return {
            **{name: value for name, value in os.environ.items() if name not in dropped},
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
        }
