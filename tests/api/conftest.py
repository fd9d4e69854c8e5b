"""One deployed environment with a champion, and who calls its API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.credentials import Credentials

from ops.models import outcome, start
from tests.api.caller import Caller
from tests.faults import platform as platforms
from tests.faults.world import sample_data
from tests.twin.conftest import DEV, SERVER_PYTHON

_REACHED_BY = ("AWS_", "HTTPS_", "NO_PROXY", "REQUESTS_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder is left to `make test-api` and `make bench-api`."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker("api")


@contextmanager
def reached(platform: platforms.Platform) -> Iterator[None]:
    """This process reaches the API under AWS's own address."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in platform.caller().items():
            if name.startswith(_REACHED_BY):
                patch.setenv(name, value)
        yield


@dataclass
class World:
    """The environment, and its API's address."""

    platform: platforms.Platform
    url: str

    def caller(self, keys: Credentials | None) -> Caller:
        return Caller(self.url, keys)

    def session(self, role_arn: str) -> Credentials:
        """Credentials of a role of the environment's account."""
        sts = self.platform.client("sts")
        made = sts.assume_role(RoleArn=role_arn, RoleSessionName="test-of-the-api")["Credentials"]
        return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    folder = tmp_path_factory.mktemp("api")
    with platforms.deployed(folder) as platform, reached(platform):
        run = start.with_folder(platform.home, sample_data(folder / "dataset"), start.Wish())
        told = outcome.watch(platform.home, run)
        assert told["status"] == "SUCCEEDED", told
        yield World(platform, platforms.outputs(platform, "inference")["ApiUrl"])


@pytest.fixture(scope="session")
def owner(world: World) -> Caller:
    """Calls as the account itself, which may everything."""
    return world.caller(Credentials(DEV, "test"))
