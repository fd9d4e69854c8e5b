"""One deployed environment for all fault tests, asked throughout; and the table of what became of each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.models import outcome, start
from ops.models.pictures import of_the_champion
from ops.models.records import Records
from ops.models.traffic import Client, Traffic
from tests.faults import platform as platforms
from tests.faults.world import Row, World, sample_data
from tests.twin.conftest import DEV, ROOT, SERVER_PYTHON

TABLE = ROOT / "build" / "faults" / "table.md"
_WORLD = pytest.StashKey[World]()
_REQUESTS_PER_SECOND = 5.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder is left to `make test-faults`."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker("faults")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[World]:
    """The environment with its first champion, which a caller asks from now on."""
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    folder = tmp_path_factory.mktemp("faults")
    with platforms.deployed(folder) as platform, pytest.MonkeyPatch.context() as patch:
        for name, value in platform.caller().items():
            if name.startswith(("AWS_", "HTTPS_", "NO_PROXY", "REQUESTS_")):
                patch.setenv(name, value)
        home = platform.home
        queue = _listen(platform)
        run = start.with_folder(home, sample_data(folder / "dataset"), start.Wish())
        told = outcome.watch(home, run)
        assert told["status"] == "SUCCEEDED", told
        champion = Records(home).champion()
        assert champion is not None
        traffic = Traffic(Client(home), of_the_champion(home, champion), _REQUESTS_PER_SECOND)
        made = World(platform, str(run.input["manifest_uri"]), traffic, queue)
        request.config.stash[_WORLD] = made
        with traffic.flowing():
            yield made


def _listen(platform: platforms.Platform) -> str:
    """A queue that gets every event of the platform's bus."""
    sqs, events = platform.client("sqs"), platform.client("events")
    url = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Principal": {"Service": "events.amazonaws.com"},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    bus = platform.home.prefix
    events.put_rule(Name="heard", EventBusName=bus, EventPattern=json.dumps({"account": [DEV]}))
    events.put_targets(Rule="heard", EventBusName=bus, Targets=[{"Id": "heard", "Arn": arn}])
    return url


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the table, and writes it to build/faults/table.md."""
    world = config.stash.get(_WORLD, None)
    if world is None or not world.rows:
        return
    counts = world.traffic.counts
    asked = f"{counts.sent} requests were sent to the champion throughout, {counts.failed} failed."
    terminalreporter.section("faults")
    wide = [max(len(getattr(row, name)) for row in world.rows) for name in ("state", "fault")]
    for row in world.rows:
        mark = "" if row.good else "  <-- not as it should be"
        terminalreporter.write_line(
            f"{row.state:<{wide[0]}}  {row.fault:<{wide[1]}}  {row.outcome}{mark}", red=not row.good
        )
    terminalreporter.write_line(asked)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(_page(world.rows, asked), encoding="utf-8")
    terminalreporter.write_line(f"table: {os.path.relpath(TABLE, Path.cwd())}")


def _page(rows: list[Row], asked: str) -> str:
    lines = ["# Faults at every state", "", asked, "", "| state | fault | outcome |", "|---|---|---|"]
    for row in rows:
        said = row.outcome.replace("|", "\\|")
        lines.append(f"| {row.state} | {row.fault} | {said if row.good else f'**{said}**'} |")
    return "\n".join(lines) + "\n"
