"""The rules and the app: they reach every stage, fail the real synth, and the verdict tells what is open."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aws_cdk import App, Aws, Stack

from tests.assembly import ROOT, Assembly
from vision_platform.references import flatten

# One environment of the app as it is, but for two faults in its data stack, two levels below the app, and for
# one acknowledgement that is taken out.
FAULTY_APP = """
from aws_cdk import aws_s3 as s3
import app, stages.data
from vision_platform import compliance

class Faulty(stages.data.DataStack):
    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        s3.Bucket(self, "Bare")
        self.lineage.table.node.default_child.add_property_override("Colour", "red")

stages.data.DataStack = Faulty
import stages.platform_stage
stages.platform_stage.DataStack = Faulty

record = compliance._Acknowledgement.validate
compliance._Acknowledgement.validate = (
    lambda self: [] if self._construct.node.path == "REMOVED" else record(self)
)

settings = app.read_context(app.ROOT)
app.read_context = lambda _: settings | {"sandbox": "dev"}
raise SystemExit(app.main())
"""


class Refusal(NamedTuple):
    """What `cdk synth` said, what the verdict said of what it left, and the acknowledgement that is out."""

    synth: str
    verdict: str
    code: int
    rule: str
    construct: str


@pytest.fixture(scope="module")
def refusal(tmp_path_factory: pytest.TempPathFactory, assembly: Assembly) -> Refusal:
    """The real `cdk synth` and the real verdict on an environment with two faults and a missing reason."""
    removed = next(
        each
        for report in assembly.reports.values()
        for each in report["suppressedViolations"]
        if each["acknowledgedAt"].startswith("Delivery/Dev/")
    )
    folder = tmp_path_factory.mktemp("app")
    for name in ("app.py", "cdk.json", "package-lock.json", ".cfnlintrc"):
        shutil.copy(ROOT / name, folder)
    for name in ("constructs", "delivery", "stages", "model", "lambda_src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    # The sandbox has no pipeline around it.
    at = removed["acknowledgedAt"].removeprefix("Delivery/")
    (folder / "faulty.py").write_text(FAULTY_APP.replace("REMOVED", at))
    # One stack is named, so that the others' functions are not packaged; all are checked all the same.
    command: list[Any] = [ROOT / "node_modules/.bin/cdk", "synth", "--quiet", "--exclusively"]
    command += ["Dev/Foundation", "--app", f"{ROOT / '.venv/bin/python'} faulty.py"]
    node = str(Path(os.environ["JSII_NODE"]).parent)
    environment = os.environ | {"PATH": f"{node}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    synth = _run(command, folder, environment)
    assert synth.returncode != 0, synth.stdout + synth.stderr
    verdict = _run([sys.executable, "-m", "delivery.gate"], folder, environment)
    construct = removed["violatingConstructs"][0]["constructPath"].removeprefix("Delivery/")
    return Refusal(
        synth=synth.stdout + synth.stderr,
        verdict=verdict.stdout + verdict.stderr,
        code=verdict.returncode,
        rule=removed["ruleName"].split("[")[0],
        construct=construct,
    )


def _run(command: list[Any], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
def test_an_unacknowledged_finding_inside_a_stage_fails_cdk_synth(refusal: Refusal) -> None:
    assert "AwsSolutions-S1" in refusal.synth
    assert "Dev/Data/Bare/Resource" in refusal.synth


@pytest.mark.slow
def test_a_template_that_cloudformation_would_refuse_fails_cdk_synth(refusal: Refusal) -> None:
    assert "Colour" in refusal.synth


@pytest.mark.slow
def test_a_refusal_shows_the_findings_and_no_stack_trace(refusal: Refusal) -> None:
    assert "ValidationFailed:" in refusal.synth
    assert "Traceback" not in refusal.synth


@pytest.mark.slow
def test_the_verdict_tells_the_faults_with_their_constructs(refusal: Refusal) -> None:
    assert refusal.code == 1
    lines = refusal.verdict.splitlines()
    assert "  at   Dev/Data/Bare/Resource" in lines
    for rule in ("AwsSolutions-S1", "CloudFormation Validate F3002", "cfn-lint E3002"):
        assert any(line.startswith(f"OPEN {rule}: ") for line in lines), rule


@pytest.mark.slow
def test_the_verdict_fails_without_one_acknowledgement(refusal: Refusal) -> None:
    assert any(line.startswith(f"OPEN {refusal.rule}") for line in refusal.verdict.splitlines())
    assert f"  at   {refusal.construct}" in refusal.verdict.splitlines()


def test_every_kind_of_stack_is_reached(assembly: Assembly) -> None:
    checked = {
        construct["constructPath"].split("/")[1]
        for report in assembly.reports.values()
        for finding in report["suppressedViolations"]
        for construct in finding["violatingConstructs"]
    }
    assert {"Pipeline", "Dev", "Staging", "Prod"} <= checked


def test_ids_are_flattened_as_the_rules_flatten_them() -> None:
    stack = Stack(App(), "Stack")
    assert flatten(stack.resolve(f"arn:{Aws.PARTITION}:s3:::x/*")) == "arn:<AWS::Partition>:s3:::x/*"
    assert flatten({"Fn::Sub": "a-${AWS::Region}"}) == "a-<AWS::Region>"
    assert flatten({"Fn::GetAtt": ["Bucket", "Arn"]}) == "<Bucket.Arn>"
    output = {"Fn::GetStackOutput": {"StackName": "data", "OutputName": "Arn"}}
    assert flatten(output) == '{"Fn::GetStackOutput":{"StackName":"data","OutputName":"Arn"}}'
