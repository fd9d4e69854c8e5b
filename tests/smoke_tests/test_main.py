"""The command: exit codes, where reports go, and what a signal does."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smoke_tests import __main__ as command
from smoke_tests import session
from smoke_tests.context import Context
from tests.smoke_tests.world import World

ROOT = Path(__file__).parents[2]


@pytest.fixture
def deployed(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], base_url: str, world: World, quick: None
) -> Iterator[World]:
    """The environment variables of a deployed environment that lies in memory."""
    for name, value in (environment | {"API_URL": base_url, "REPORTS_BUCKET": "reports"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(session, "assume", lambda *_: world.aws())
    monkeypatch.setattr(session, "own_s3", lambda: world.aws().s3)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield world
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_good_run_exits_with_0_and_says_where_the_report_is(
    deployed: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "PASSED: all 31 checks of dev" in said[-1]
    assert any("report kept: s3://reports/smoke/local-smoke-" in line for line in said)
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "junit.xml", "summary.json"}


def test_a_poor_run_exits_with_1_and_still_writes_its_reports(
    deployed: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.accuracy = 0.5
    assert command.main(["--output", str(tmp_path)]) == 1
    verdict = capsys.readouterr().out.splitlines()[-1]
    assert "FAILED: dev" in verdict
    assert "accuracy: " in verdict, "the first failed check says why"
    assert (tmp_path / "index.html").exists()


def test_a_report_that_cannot_be_kept_fails_the_run_in_words(
    deployed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusing = World(denied={"PutObject"})
    monkeypatch.setattr(session, "own_s3", lambda: refusing.aws().s3)
    assert command.main(["--output", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "the report could not be kept: AWS answered AccessDenied to PutObject" in captured.out
    assert "Traceback" not in captured.out + captured.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_work_and_lets_the_clean_up_go_on(
    context: Callable[..., Context], number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    run = context()
    before = signal.getsignal(number)
    try:
        command._stop_on_signals(run)
        os.kill(os.getpid(), number)
        assert run.budget.cancelled == number.name
        assert run.budget.for_clean_up().cancelled == ""
        assert "cleaning up, please wait" in capfd.readouterr().out
    finally:
        signal.signal(number, before)


def test_missing_settings_exit_with_2_and_no_stack_trace() -> None:
    bare = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "smoke_tests"], cwd=ROOT, env=bare, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "API_URL is not set" in done.stderr and "Traceback" not in done.stderr
