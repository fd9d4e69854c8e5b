"""`python -m twin`: what a person sees and gets, from `up` to `down`."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.twin.conftest import REGION, ROOT, TOOLING
from tests.twin.pipelines.builders import approval_action, build_action, buildspec
from tests.twin.pipelines.command_line import CommandLine
from twin.client import Twin as Client

pytestmark = pytest.mark.twin
PAGE = f"https://{REGION}.console.aws.amazon.com/s3/object/reports?region={REGION}&prefix=why/index.html"


def test_life_of_the_server(line: CommandLine) -> None:
    assert "is down" in line.run("status")
    assert "the twin is not running: start it with python -m twin up" in line.run("push", code=1)
    assert f"is up on http://127.0.0.1:{line.port}" in line.up()
    assert "is up already" in line.up()
    assert "pipeline acme-app0 is not deployed yet" in line.run("watch", code=1)
    other = line.run("up", "--port", str(line.port), "--home", str(line.home.with_name("other")), code=2)
    assert other.strip() == (
        f"twin: port {line.port} is in use by the twin of {line.home}: "
        "stop it, or choose another port with --port"
    )
    os.kill(line.pid(), signal.SIGKILL)
    assert "is down" in line.run("status")
    assert "is up on" in line.up()  # the record of the killed one is no hindrance
    assert line.run("down").strip() == "twin: is down"
    assert line.run("down").strip() == "twin: was not running"


def test_push_watch_approve_failure_and_interrupt(line: CommandLine, tmp_path: Path) -> None:
    line.up()
    pipeline = line.pipeline(
        tmp_path / "checkout",
        stages=[
            {"Name": "Build", "Actions": [build_action("Check")]},
            {
                "Name": "Prod",
                "Actions": [
                    approval_action(
                        "Promote",
                        CustomData="Read #{Code.CommitId}",
                        ExternalEntityLink=PAGE,
                    )
                ],
            },
        ],
    )
    line.prepare()
    commit_id = line.commit(buildspec("true"))
    assert "pushed" in line.run("push")
    pipeline.deploy()
    storage = pipeline.twin.client("s3", TOOLING)
    storage.create_bucket(Bucket="reports")
    storage.put_object(Bucket="reports", Key="why/index.html", Body=b"<p>what changes</p>")
    watching = line.start("watch")
    watching.until("Approval needed: Prod / Promote")  # it looks again every so often
    pipeline.token("Prod", "Promote")
    waiting = json.loads(line.run("status", "--json"))["pipeline"]["approvals"][0]
    assert (waiting["stage"], waiting["text"]) == ("Prod", f"Read {commit_id}")
    assert Path(waiting["page"]).read_text() == "<p>what changes</p>"
    said = line.run("status")
    assert "approval waits: Prod / Promote" in said and f"  read: {waiting['page']}\n" in said
    assert "approved Prod / Promote" in line.run("approve", "--summary", "fine")
    said = watching.end(code=0)
    assert "Build / Check: done in" in said
    assert f"Read {commit_id}" in said and said.rstrip().endswith("Succeeded")
    assert "Running command true" in line.run("logs", "Build/Check")
    assert "no action 'Nothing' has run in that execution (those that have: Source/Code" in line.run(
        "logs", "Nothing", code=1
    )
    assert "no approval waits" in line.run("approve", code=1)

    line.commit(buildspec("echo this is why", "exit 5"))
    (line.project / "twin.toml").touch()
    said = line.run("push", "--watch", code=1)
    assert "Build / Check: FAILED" in said
    assert "why: Build terminated with state: FAILED" in said and "exit status 5" in said
    log = next(text for text in said.splitlines() if text.startswith("  log: ")).removeprefix("  log: ")
    assert "this is why" in Path(log).read_text()
    assert "    this is why" in said.splitlines()

    (line.project / "buildspec.yml").write_text(buildspec("true")["buildspec.yml"])
    line.commit({})
    line.run("push")
    pipeline.token("Prod", "Promote")
    watching = line.start("watch")
    watching.until("Approval needed")
    watching.process.send_signal(signal.SIGINT)
    said = watching.end(code=130)
    assert "what runs in the twin goes on" in said and "Traceback" not in said


def test_erase_leaves_an_empty_twin_with_its_caches(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for kept in ("codebuild/set-up-cache/.venv", "logs/builds"):
        (home / kept).mkdir(parents=True)
    for gone in ("state", "s3", "repositories"):
        (home / gone).mkdir()
    (home / "iam.jsonl").write_text("{}\n")
    Client(ROOT, home).erase()
    assert sorted(path.name for path in home.iterdir()) == ["codebuild", "logs"]
    assert (home / "codebuild/set-up-cache/.venv").is_dir()
