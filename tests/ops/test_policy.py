"""The deployer's policy is enough for everything up to the first approval, and no statement is too much."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops.access import Access
from ops.deployment import read_deployment
from ops.doctor.examination import examine
from ops.status import collect
from tests.ops.conftest import (
    REGION,
    ROOT,
    TOOLING,
    Twin,
    bootstrap,
    ops,
    person,
    write_profiles,
)
from tests.twin.conftest import start_twin

pytestmark = [pytest.mark.twin, pytest.mark.delivery]

POLICY = json.loads((ROOT / "docs/deployer-policy.json").read_text())
# IAM's limit for a managed policy, in characters that are not white space.
MOST_CHARACTERS = 6144
# The twin's CloudFormation does not judge policies in roles, nor does ops itself raise quotas, make
# connections, decide unasked or open reports: their statements serve the person in the console. No
# environment here serves models from functions.
NOT_JUDGED = {
    "LookAtModelFunctions",
    "BootstrapRolePolicies",
    "RaiseQuotas",
    "MakeConnection",
    "DecideAndRollBack",
    "ReadReports",
    "DecryptReports",
}


SIDS = [each["Sid"] for each in POLICY["Statement"] if each["Sid"] not in NOT_JUDGED]


def without(sid: str) -> dict[str, Any]:
    return {**POLICY, "Statement": [each for each in POLICY["Statement"] if each["Sid"] != sid]}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Twin, Path]]:
    """A twin in which a person with the policy, and nothing else, has deployed for the first time."""
    twin = start_twin(tmp_path_factory.mktemp("deployer"))
    accounts = read_deployment().accounts()
    profiles = tmp_path_factory.mktemp("aws") / "credentials"
    write_profiles(profiles, {name: person(twin, number, POLICY) for name, number in accounts.items()})
    done = as_person(twin, profiles, "deploy", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    yield twin, profiles
    twin.stop()


def as_person(twin: Twin, profiles: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    mapped = " ".join(f"{name}={name}" for name in read_deployment().accounts())
    return ops(
        twin,
        *arguments,
        AWS_ACCESS_KEY_ID="",
        AWS_SECRET_ACCESS_KEY="",
        AWS_SHARED_CREDENTIALS_FILE=str(profiles),
        OPS_PROFILES=mapped,
    )


def test_policy_fits_into_a_managed_policy() -> None:
    for name in ("deployer-policy.json", "destroyer-policy.json"):
        text = (ROOT / "docs" / name).read_text()
        assert len("".join(text.split())) <= MOST_CHARACTERS
        for statement in json.loads(text)["Statement"]:
            assert not any("*" in action for action in statement["Action"])


def test_person_with_the_policy_bootstraps_deploys_and_looks_and_is_denied_nothing(
    deployed: tuple[Twin, Path],
) -> None:
    twin, profiles = deployed
    looked = as_person(twin, profiles, "doctor")
    assert looked.returncode == 0, looked.stdout + looked.stderr
    told = json.loads(as_person(twin, profiles, "status", "--json").stdout)
    assert told["deployed"]
    assert [each["unknown"] for each in told["environments"]] == [[]] * len(told["environments"])
    assert [each for each in twin.get("iam")["denials"] if "user/deployer" in each["principal"]] == []


@pytest.mark.parametrize("sid", SIDS)
def test_without_a_statement_something_is_denied(
    deployed: tuple[Twin, Path],
    sid: str,
    bootstrap_template: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twin, _ = deployed
    before = len(twin.get("iam")["denials"])
    if sid.startswith("Bootstrap"):
        # What a refused bootstrap leaves behind must not stand in the next one's way.
        empty = str(600000000000 + SIDS.index(sid))
        assert bootstraps(twin, person(twin, empty, without(sid)), bootstrap_template) is False
    elif sid == "DeployThroughBootstrapRoles":
        key = person(twin, TOOLING, without(sid))
        role = f"arn:aws:iam::{TOOLING}:role/cdk-hnb659fds-deploy-role-{TOOLING}-{REGION}"
        with pytest.raises(ClientError, match="AccessDenied"):
            twin.client("sts", key).assume_role(RoleArn=role, RoleSessionName="deployer")
    else:
        looks(twin, without(sid), tmp_path, monkeypatch)
    denied = twin.get("iam")["denials"][before:]
    wanted = {action for each in POLICY["Statement"] if each["Sid"] == sid for action in each["Action"]}
    assert {each["action"] for each in denied} & wanted


def test_the_policy_bootstraps_an_account(deployed: tuple[Twin, Path], bootstrap_template: str) -> None:
    twin, _ = deployed
    assert bootstraps(twin, person(twin, "777777777777", POLICY), bootstrap_template)


def bootstraps(twin: Twin, key: dict[str, str], template: str) -> bool:
    """Whether a person can do what the CDK CLI does to bootstrap an account."""
    try:
        bootstrap(twin, template, key)
        version = twin.client("ssm", key).get_parameter(Name="/cdk-bootstrap/hnb659fds/version")
    except Exception as fault:
        assert "AccessDenied" in str(fault) or "not authorized" in str(fault) or "Waiter" in str(fault), fault
        return False
    return bool(version["Parameter"]["Value"])


def looks(twin: Twin, document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doctor and status, as a person with this policy in the tooling account and dev."""
    deployment = read_deployment()
    first = deployment.environments[0]
    write_profiles(
        tmp_path / "credentials",
        {
            "tooling": person(twin, deployment.tooling.account, document),
            first.name: person(twin, first.account, document),
        },
    )
    for name, value in twin.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    access = Access(deployment, {"tooling": "tooling", first.name: first.name})
    examine(ROOT, lambda _: access)
    try:
        collect(deployment, access)
    except ClientError as fault:
        assert "AccessDenied" in str(fault)
