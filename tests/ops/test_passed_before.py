"""A check is skipped only when it passed for the very same files, settings and command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ops import passed_before


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("code/a.py", "requirements/dev.txt", "pyproject.toml", "package-lock.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def runs(project: Path, code: int = 0, path: str = "code") -> int:
    """Asks for the check; answers how often its command has run so far."""
    count = project / "count"
    program = f"open({str(count)!r}, 'a').write('.'); raise SystemExit({code})"
    answer = passed_before.main(["types", path, "--", sys.executable, "-c", program], project)
    assert answer == code
    return len(count.read_text())


def test_passes_once_for_the_same_files(project: Path) -> None:
    assert [runs(project), runs(project)] == [1, 1]


@pytest.mark.parametrize(
    "changed", ["code/a.py", "requirements/dev.txt", "pyproject.toml", "package-lock.json"]
)
def test_runs_again_when_a_file_or_lock_changed(project: Path, changed: str) -> None:
    runs(project)
    (project / changed).write_text("other")
    assert runs(project) == 2


def test_runs_again_when_a_file_came_moved_or_went(project: Path) -> None:
    runs(project)
    (project / "code/b.py").write_text("b")
    assert runs(project) == 2
    (project / "code/b.py").rename(project / "code/c.py")
    assert runs(project) == 3
    (project / "code/c.py").unlink()
    assert runs(project) == 4


def test_a_member_of_a_json_file_can_be_left_out_of_account(project: Path) -> None:
    path = "cdk.json^context.platform"
    for content, times in (
        ('{"context": {"platform": {"a": 1}, "flag": true}}', 1),
        ('{"context": {"platform": {"a": 2}, "flag": true}}', 1),
        ('{"context": {"platform": {"a": 2}, "flag": false}}', 2),
        ('{"context": {"flag": false}}', 3),
        ("{", 4),
    ):
        (project / "cdk.json").write_text(content)
        assert runs(project, path=path) == times, content


def test_compiled_files_do_not_count(project: Path) -> None:
    runs(project)
    (project / "code/__pycache__").mkdir()
    (project / "code/__pycache__/a.pyc").write_bytes(b"1")
    assert runs(project) == 1


def test_a_failure_is_never_remembered(project: Path) -> None:
    assert [runs(project, code=3), runs(project, code=3)] == [1, 2]


def test_apart_sees_only_the_named_files(project: Path) -> None:
    (project / "other.py").write_text("")
    seen = project / "seen"
    program = f"""if True:
        from pathlib import Path
        Path({str(seen)!r}).write_text(repr(sorted(map(str, Path().rglob("*.*")))))"""
    command = ["types", "--apart", "code", "--", sys.executable, "-c", program]
    assert passed_before.main(command, project) == 0
    assert seen.read_text() == repr(
        ["code/a.py", "package-lock.json", "pyproject.toml", "requirements/dev.txt"]
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "usage"),
        (["types", "code"], "usage"),
        (["types", "nowhere", "--", "true"], "there is no nowhere"),
    ],
)
def test_a_wrong_call_says_so(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert passed_before.main(arguments, project) == 2
    assert said in capsys.readouterr().err
