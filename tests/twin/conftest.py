"""One running twin for the whole session, and the ways tests talk to it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
SERVER_PYTHON = ROOT / "build/envs/twin/bin/python"
REGION = "us-east-1"
TOOLING, DEV, STAGING, PROD = "111111111111", "222222222222", "333333333333", "444444444444"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Twin:
    """A running twin."""

    port: int
    home: Path
    process: subprocess.Popen[bytes]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str, account: str | dict[str, str] = TOOLING, region: str = REGION) -> Any:
        """boto3 client as root of an account id, or with credentials (variables, or STS's answer)."""
        if isinstance(account, str):
            keys: dict[str, str | None] = {"aws_access_key_id": account, "aws_secret_access_key": "test"}
        else:
            keys = {
                "aws_access_key_id": account.get("AWS_ACCESS_KEY_ID") or account.get("AccessKeyId"),
                "aws_secret_access_key": account.get("AWS_SECRET_ACCESS_KEY")
                or account.get("SecretAccessKey"),
                "aws_session_token": account.get("AWS_SESSION_TOKEN") or account.get("SessionToken"),
            }
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            config=Config(retries={"max_attempts": 1}),
            **keys,
        )

    def get(self, path: str) -> Any:
        """JSON from the twin's own path, such as ``health``."""
        answer = requests.get(f"{self.endpoint}/_twin/{path}", timeout=30)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str) -> Any:
        answer = requests.post(f"{self.endpoint}/_twin/{path}", timeout=30)
        answer.raise_for_status()
        return answer.json()

    def environment(self, account: str = TOOLING) -> dict[str, str]:
        """Environment for a command that talks to the twin as root of an account."""
        return {
            **os.environ,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def statistic(self, account: str, metric: str, statistic: str, **dimensions: str) -> list[float]:
        """A statistic of `<namespace>:<metric>` of the last ten minutes, for each minute with any value."""
        namespace, _, name = metric.rpartition(":")
        points = self.client("cloudwatch", account).get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": each, "Value": value} for each, value in dimensions.items()],
            StartTime=time.time() - 600,
            EndTime=time.time() + 60,
            Period=60,
            Statistics=[statistic],
        )["Datapoints"]
        return [point[statistic] for point in points]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


def start_twin(home: Path, port: int | None = None, project: Path = ROOT) -> Twin:
    """Start a twin and wait until it answers."""
    port = port or free_port()
    home.mkdir(parents=True, exist_ok=True)
    command = [SERVER_PYTHON, "-m", "twin.server", "--home", home, "--port", str(port), "--project", project]
    with (home / "output.log").open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    twin = Twin(port, home, process)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            twin.get("health")
            return twin
        except requests.ConnectionError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError(f"the twin did not start:\n{(home / 'output.log').read_text()[-4000:]}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder counts as a test of the twin, whether or not its file says so."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker("twin")


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    running = start_twin(tmp_path_factory.mktemp("twin"))
    yield running
    if running.stop() != 0:
        print((running.home / "output.log").read_text()[-4000:], file=sys.stderr)


@pytest.fixture
def new_twin(tmp_path: Path) -> Iterator[Callable[..., Twin]]:
    """Start twins of a test's own (`new_twin(home=..., port=..., project=...)`); all are stopped."""
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    started: list[Twin] = []

    def start(home: Path = tmp_path / "home", port: int | None = None, project: Path = ROOT) -> Twin:
        started.append(start_twin(home, port, project))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.stop()
