"""Set-up on machines that lack something: one clear message, no stack trace, a cure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Just what set-up reads: its script and the lock files."""
    (tmp_path / "ops").mkdir()
    shutil.copy(ROOT / "ops/set_up.py", tmp_path / "ops")
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def run(checkout: Path, *arguments: str, script: str = "ops/set_up.py", **env: str):
    return subprocess.run(
        [sys.executable, script, *arguments],
        cwd=checkout,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_without_a_network_it_says_so_and_how_to_go_on(checkout: Path) -> None:
    # Nothing listens on port 9, so that every download is refused at once; the caches are empty.
    offline = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        "PIP_FIND_LINKS": "",
    }
    done = run(checkout, "dev", **offline)
    assert done.returncode == 1
    assert "could not install uv" in done.stderr
    assert "check the network or proxy" in done.stderr
    assert "Traceback" not in done.stderr
    assert (checkout / "build/logs/set-up.log").exists()


def test_an_old_python_is_named_with_the_cure(checkout: Path) -> None:
    script = checkout / "old.py"
    script.write_text(
        "import sys\nsys.path.insert(0, 'ops')\nimport set_up\n"
        "sys.version_info = (3, 9, 2)\nsys.argv = ['set_up.py']\nsys.exit(set_up.main())\n"
    )
    done = run(checkout, script="old.py")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed, this is 3.9.2" in done.stderr
    assert "PYTHON=" in done.stderr


def test_the_script_can_be_parsed_by_the_pythons_it_must_refuse() -> None:
    import ast

    ast.parse((ROOT / "ops/set_up.py").read_text(), feature_version=(3, 8))


def test_without_git_it_says_so(checkout: Path) -> None:
    done = run(checkout, PATH="/nonexistent")
    assert done.returncode == 1
    assert "git is needed" in done.stderr


def test_an_unknown_step_is_named(checkout: Path) -> None:
    done = run(checkout, "everything")
    assert done.returncode == 1
    assert "unknown step 'everything'" in done.stderr
