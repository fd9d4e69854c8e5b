"""`python -m twin` in a project of its own, and a pipeline in the twin that it starts."""

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tests.twin.conftest import ROOT, SERVER_PYTHON, Twin, free_port
from tests.twin.pipelines.pipeline import PATIENCE_SECONDS, Pipeline, new_pipeline, wait_for
from twin.cli import app

REPOSITORY = "acme/app0"


@dataclass
class Started:
    """A command that runs; what it says goes to a file, so that nothing of it is lost between two looks."""

    process: subprocess.Popen[bytes]
    said: Path

    def until(self, text: str) -> None:
        """Wait until the command has said `text`; fails when it ends without."""

        def look() -> bool:
            ended = self.process.poll() is not None
            found = text in self.said.read_text()
            assert found or not ended, f"ended without saying {text!r}:\n{self.said.read_text()}"
            return found

        wait_for(look, f"{text!r} to be said:\n{self.said.read_text()}")

    def end(self, code: int) -> str:
        """Wait for the end of the command; returns all that it has said."""
        ended = self.process.wait(PATIENCE_SECONDS)
        said = self.said.read_text()
        assert ended == code, said
        return said


class CommandLine:
    """The command line in a project of its own."""

    def __init__(self, folder: Path) -> None:
        self.project, self.port = folder / "project", free_port()
        self.home = self.project / "build" / "twin"
        (self.project / "build" / "envs").mkdir(parents=True)
        (self.project / "build" / "envs" / "twin").symlink_to(SERVER_PYTHON.parents[1])
        (self.project / "twin.toml").write_text(
            '[accounts]\ntooling = "111111111111"\n'
            '[pipeline]\nname = "acme-app0"\naccount = "tooling"\nregion = "us-east-1"\n'
            f'[repositories."{REPOSITORY}"]\nbranch = "main"\n'
        )

    def start(self, *arguments: str) -> "Started":
        """Start a command in a process of its own."""
        # The user's own AWS settings do not matter.
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "AWS_PROFILE": "nobody"}
        said = self.project.with_name(f"said-{uuid.uuid4().hex}.txt")
        with said.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "twin", *arguments],
                cwd=self.project,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Started(process, said)

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command in this process: 0.5 s faster than in one of its own."""
        done = CliRunner().invoke(app, list(arguments))
        assert done.exit_code == code, done.output
        return done.output

    def up(self, code: int = 0) -> str:
        return self.run("up", "--port", str(self.port), code=code)

    def pid(self) -> int:
        return json.loads(self.run("status", "--json"))["pid"]

    def prepare(self) -> None:
        """Make the project a git repository."""
        (self.project / ".gitignore").write_text("build/\n")
        for arguments in (["init", "-q", "-b", "main"], ["add", "-A"]):
            subprocess.run(["git", "-C", str(self.project), *arguments], check=True)

    def commit(self, files: dict[str, str]) -> str:
        """Commit files to the project; returns the commit's id."""
        for name, content in files.items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        git = ["git", "-C", str(self.project), "-c", "user.name=T", "-c", "user.email=t@example.com"]
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "change"], check=True)
        shown = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        return shown.stdout.strip()

    def pipeline(self, checkout: Path, **shape: Any) -> Pipeline:
        """A pipeline in this line's twin; `deploy` makes it."""

        class Running:
            """Stands where the fixture's process does."""

            def poll(self) -> None:
                return None

        twin: Any = Twin(self.port, self.home, Running())  # type: ignore[arg-type]
        return new_pipeline(twin, REPOSITORY, checkout, **shape)
