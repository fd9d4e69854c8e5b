"""A twin of its own for pipelines, and small pipelines to run in it: git source, build, stack, approval."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.twin.conftest import SERVER_PYTHON, Twin, start_twin
from tests.twin.pipelines.command_line import CommandLine
from tests.twin.pipelines.pipeline import Pipeline, new_pipeline

REPOSITORIES = [f"acme/app{number}" for number in range(60)]


def write_project(folder: Path) -> Path:
    """A project folder with nothing but `twin.toml`."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = "\n".join(f'[repositories."{name}"]\nbranch = "main"\n' for name in REPOSITORIES)
    (folder / "twin.toml").write_text(tables)
    return folder


@pytest.fixture(scope="session")
def pipeline_twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    folder = tmp_path_factory.mktemp("pipelines")
    running = start_twin(folder / "home", project=write_project(folder / "project"))
    yield running
    running.stop()


@pytest.fixture
def make_pipeline(
    pipeline_twin: Twin, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Pipeline]]:
    """Make pipelines with repositories of their own: `make_pipeline(stages=[...])`; removed afterwards."""
    made: list[Pipeline] = []

    def make(twin: Twin | None = None, **shape: Any) -> Pipeline:
        used = getattr(request.session, "repositories_used", 0)
        request.session.repositories_used = used + 1  # type: ignore[attr-defined]
        pipeline = new_pipeline(
            twin or pipeline_twin, REPOSITORIES[used], tmp_path / f"checkout{used}", **shape
        )
        made.append(pipeline)
        return pipeline

    yield make
    for pipeline in made:
        if pipeline.twin.process.poll() is None:  # else a push to another test could reach it
            pipeline.twin.client("codepipeline").delete_pipeline(name=pipeline.name)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    made = CommandLine(tmp_path)
    monkeypatch.chdir(made.project)
    yield made
    made.run("down")
