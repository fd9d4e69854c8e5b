"""Environments built from requirements: once per machine, exactly as asked; faults tell the cure."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from twin import environments
from twin.environments import EnvironmentBuildError, environment_for

WHEEL_TAG = "py3-none-any"


def wheel(folder: Path, name: str, version: str = "1.0") -> None:
    """A minimal wheel that needs no build and no network."""
    import zipfile

    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-{WHEEL_TAG}.whl", "w") as packed:
        packed.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        packed.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        packed.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {WHEEL_TAG}\n")
        packed.writestr(f"{info}/RECORD", "")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)


def test_environment_holds_what_was_asked_and_nothing_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path / "wheels", "onlyhere")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    python = environment_for("--no-index\nonlyhere==1.0  # a comment\n", label="a test")
    code = "import onlyhere, importlib.util as u; print(onlyhere.VERSION, u.find_spec('pytest'))"
    assert subprocess.check_output([python, "-c", code], text=True).split() == ["1.0", "None"]
    assert (environments.site_packages(python) / "onlyhere.py").exists()


def test_same_requirements_are_built_once_even_when_asked_for_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path / "wheels", "onlyhere")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    with ThreadPoolExecutor(4) as threads:
        texts = ["--no-index\nonlyhere==1.0\n", "# note\n--no-index\n\nonlyhere==1.0\n"] * 2
        made = set(threads.map(lambda text: environment_for(text, label="a test"), texts))
    assert len(made) == 1
    assert [path.name for path in (tmp_path / "cache/envs").iterdir() if path.is_dir()] == [
        next(iter(made)).parent.parent.name
    ]


def test_build_that_was_interrupted_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(tmp_path / "wheels", "onlyhere")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    text = "--no-index\nonlyhere==1.0\n"
    folder = environment_for(text, label="a test").parent.parent
    (folder / environments.COMPLETE_MARK).unlink()
    (environments.site_packages(folder / "bin" / "python") / "onlyhere.py").unlink()
    python = environment_for(text, label="a test")
    assert (environments.site_packages(python) / "onlyhere.py").exists()


def test_wrong_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(tmp_path / "wheels", "onlyhere")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    with pytest.raises(EnvironmentBuildError, match="function f: a package cannot be had"):
        environment_for(f"--no-index\nonlyhere==1.0 --hash=sha256:{'0' * 64}\n", label="function f")


def test_missing_distribution_is_named_and_leaves_nothing_that_counts_as_built(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(EnvironmentBuildError, match=r"(?s)image x: a package cannot be had.*absent"):
            environment_for("--no-index\nabsent==1\n", label="image x")


def test_unreachable_index_says_that_the_network_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    for variable in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    text = "--index-url http://127.0.0.1:9/simple\nabsent==1\n"
    with pytest.raises(EnvironmentBuildError, match="the package index cannot be reached"):
        environment_for(text, label="image x")


def test_version_of_python_that_is_missing_is_answered_with_the_twins_own() -> None:
    assert environments.interpreter("3.99") == environments.interpreter()
    assert environments.version_of(environments.interpreter()).startswith("3.")
