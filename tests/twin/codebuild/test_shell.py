"""Commands run as in CodeBuild's agent: state is carried on, nothing is left running."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from twin import config
from twin.services.codebuild.log import BuildLog
from twin.services.codebuild.shell import Shell, Stopped, TimedOut

Make = Callable[..., Shell]


@pytest.fixture
def make_shell(tmp_path: Path) -> Iterator[Make]:
    config.use(config.TwinConfig(home=tmp_path, port=1, project_root=tmp_path))
    log = BuildLog(tmp_path / "build.log", None, "")
    made: list[Shell] = []

    def make(program: str = "sh", seconds: float = 20, **variables: str) -> Shell:
        source = tmp_path / "src"
        source.mkdir(exist_ok=True)
        environment = {"PATH": os.environ["PATH"], **variables}
        deadline = time.monotonic() + seconds
        made.append(Shell(tmp_path / "shell", source, environment, log, program=program, deadline=deadline))
        return made[-1]

    yield make
    for shell in made:
        shell.end()
    log.close()


def said(tmp_path: Path) -> str:
    return (tmp_path / "build.log").read_text()


@pytest.mark.parametrize("program", ["sh", "bash"])
def test_variables_and_folder_are_carried_from_command_to_command(
    make_shell: Make, tmp_path: Path, program: str
) -> None:
    shell = make_shell(program, GIVEN='it\'s "quoted" $HOME\nsecond line')
    for command in ("mkdir -p deep && cd deep", "plain=1", "export SHOUTED='a b'", "unset PATHLESS"):
        assert shell.run(command) == 0
    assert shell.run('echo "$plain|$SHOUTED|$(basename "$PWD")|$GIVEN"') == 0
    assert '1|a b|deep|it\'s "quoted" $HOME\nsecond line' in said(tmp_path)
    assert shell.variables(("plain", "SHOUTED", "MISSING")) == {"plain": "1", "SHOUTED": "a b"}


def test_exit_status_is_that_of_the_command_whatever_way_it_ends(make_shell: Make) -> None:
    shell = make_shell()
    assert shell.run("false") == 1
    assert shell.run("exit 7") == 7
    assert shell.run("set -e\nfalse\ntrue") == 1
    assert shell.run("true # a comment") == 0
    assert shell.run("if true") != 0  # a syntax error


def test_time_out_ends_the_command_and_its_children(make_shell: Make, tmp_path: Path) -> None:
    for seconds in (0.5, 5, 50):  # until the command has come as far as its child
        with pytest.raises(TimedOut):
            make_shell(seconds=seconds).run("sleep 600 & echo $! > child; wait")
        if _child(tmp_path):
            break
    assert not _alive(tmp_path, seconds=10)


def test_stop_ends_the_running_command_and_refuses_more(make_shell: Make, tmp_path: Path) -> None:
    shell = make_shell()

    def stop_once_it_has_a_child() -> None:
        while not _child(tmp_path):
            time.sleep(0.01)
        shell.stop()

    threading.Thread(target=stop_once_it_has_a_child, daemon=True).start()
    with pytest.raises(Stopped):
        shell.run("sleep 60 & echo $! > child; wait")
    assert not _alive(tmp_path, seconds=10)
    with pytest.raises(Stopped):
        shell.run("true")


def test_what_runs_in_the_background_ends_with_the_build(make_shell: Make, tmp_path: Path) -> None:
    shell = make_shell()
    assert shell.run("sleep 60 & echo $! > child") == 0
    assert _alive(tmp_path)
    assert shell.run("true") == 0
    assert _alive(tmp_path)
    shell.end()
    assert not _alive(tmp_path, seconds=10)


def _child(tmp_path: Path) -> int:
    """The process that a command has started and noted, 0 before."""
    note = tmp_path / "src" / "child"
    return int(note.read_text() or 0) if note.exists() else 0


def _alive(tmp_path: Path, seconds: float = 0.5) -> bool:
    """Whether the child is still there after this time."""
    pid, until = _child(tmp_path), time.monotonic() + seconds
    assert pid
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            if ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return False
        except ProcessLookupError:
            return False
        except FileNotFoundError:  # no Linux, or it goes just now
            pass
        time.sleep(0.05)
    return True
