"""The first deployment, by hand, once: look, bootstrap what is not, deploy the pipeline, say what is next."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.access import Access
from ops.deployment import Deployment, Place
from ops.doctor import bootstrap, report, versions
from ops.doctor.findings import Finding, Verdict
from ops.faults import OperatorFault
from ops.terminal import confirm, say

_BOOTSTRAP = (
    "bootstrap-missing",
    "bootstrap-outdated",
    "bootstrap-trust-missing",
    "bootstrap-policy-missing",
)
# What the pipeline can be deployed without: it matters when the pipeline runs.
_CAN_WAIT = ("connection-", "quota-", "transition-", "source-bucket-")
_LAST_LINES = 12


def run(
    root: Path,
    deployment: Deployment,
    access: Access,
    findings: Sequence[Finding],
    *,
    policy: str,
    yes: bool,
) -> None:
    """Bootstraps and deploys; `findings` are the doctor's, `policy` what CloudFormation may do.

    Raises OperatorFault when something is wrong that must be mended first, or a tool fails; Cancelled.
    """
    faults = [each for each in findings if each.verdict is Verdict.FAULT]
    first = [each for each in faults if each.name not in _BOOTSTRAP and not each.name.startswith(_CAN_WAIT)]
    if first:
        report.show(first)
        raise OperatorFault(f"{len(first)} thing(s) must be mended before anything is deployed")
    missing = [
        place
        for place in deployment.places()
        if any(each.name in _BOOTSTRAP and each.where == str(place) for each in faults)
    ]
    if missing:
        _bootstrap(root, deployment, access, _once(missing), policy=policy, yes=yes)
    say(f"Deploys the pipeline {deployment.pipeline} to {deployment.tooling}.")
    confirm("Go on?", yes=yes)
    command = ["deploy", "--require-approval", "never", "--no-notices", "--all"]
    _cdk(root, [*command], access.environment(deployment.tooling), root)
    _next_steps(deployment, [each for each in faults if each.name.startswith(_CAN_WAIT)])


def _once(places: Sequence[Place]) -> list[Place]:
    return list({(place.account, place.region): place for place in places}.values())


def _bootstrap(
    root: Path, deployment: Deployment, access: Access, places: list[Place], *, policy: str, yes: bool
) -> None:
    say("Not bootstrapped for the CDK, or without trust in the tooling account:")
    for place in places:
        say(f"  {place}")
    say(f"CloudFormation may do there what {policy} allows.")
    confirm("Bootstrap them?", yes=yes)
    # Beside a cdk.json the CLI would synthesize the app first.
    folder = root / "build" / "ops"
    folder.mkdir(parents=True, exist_ok=True)
    for place in places:
        say(f"bootstraps {place} ...")
        arguments = bootstrap.command(place, deployment.tooling, [], policy)
        _cdk(root, [*arguments, "--no-notices"], access.environment(place), folder)


def _cdk(root: Path, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
    """Run the pinned CDK CLI on the Node that set-up brings. Raises OperatorFault with its last words."""
    node = versions.node(root)
    if node is None:
        raise OperatorFault("Node is missing from .venv: make setup")
    search = [str(node.parent), str(root / ".venv/bin"), environment.get("PATH", os.defpath)]
    log = root / "build" / "ops" / f"cdk-{arguments[0]}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        done = subprocess.run(
            [str(node), str(root / "node_modules/.bin/cdk"), *arguments],
            cwd=folder,
            env={**environment, "PATH": os.pathsep.join(search), "JSII_NODE": str(node)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        last = "\n".join(log.read_text(errors="replace").strip().splitlines()[-_LAST_LINES:])
        raise OperatorFault(f"cdk {arguments[0]} failed; the whole output: {log}\n{last}")


def _next_steps(deployment: Deployment, left: Sequence[Finding]) -> None:
    say(f"{deployment.pipeline} is deployed. From here on it deploys itself. Next:", style="green")
    steps = [f"{each.what}: {each.cure}" for each in left]
    source = deployment.source
    if source["kind"] == "connection":
        steps.append(f"push to the branch {source['branch']} of {source['repository']}")
    else:
        steps.append(f"put a zip of the sources to s3://{source['bucket']}/{source['key']}")
    steps.append("python -m ops status shows how far it is; python -m ops approve decides what waits")
    for number, step in enumerate(steps, 1):
        say(f"  {number}. {step}")
