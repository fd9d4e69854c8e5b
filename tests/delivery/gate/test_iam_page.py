"""docs/iam.md: current, complete, and short, since environments that differ by name alone are one row."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery.gate.assembly import Assembly
from delivery.gate.iam import wild_resources
from delivery.gate.iam_page import iam_page
from delivery.gate.statements import statements
from tests.assembly import ROOT
from tests.assembly import Assembly as Synthesized
from tests.delivery.gate import handmade
from tests.delivery.gate.handmade import REASON, STACK

HOW = "make synth && .venv/bin/python -m delivery.gate --write-iam docs/iam.md"


@pytest.fixture(scope="module")
def real(assembly: Synthesized) -> Assembly:
    return Assembly(assembly.folder)


@pytest.fixture(scope="module")
def page(real: Assembly) -> str:
    return iam_page(real)


# A page that lags behind is no reason to stop a delivery: make test finds it.
@pytest.mark.slow
def test_the_page_in_docs_is_current(page: str) -> None:
    assert (ROOT / "docs/iam.md").read_text() == page, f"write it anew: {HOW}"


def test_every_statement_with_a_wildcard_has_its_reason(page: str, real: Assembly) -> None:
    assert any(wild_resources(each) for each in statements(real))
    assert "the verdict fails**" not in page


def test_environments_that_differ_by_name_alone_are_one_row(page: str, real: Assembly) -> None:
    names = {each.environment for each in real.stacks if each.environment}
    accounts = {each.account for each in real.stacks}
    assert len(names) > 1
    assert [each for each in names | accounts if f"-{each}-" in page or f":{each}:" in page] == []
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == len(set(rows))
    assert any("| every environment |" in row for row in rows)


def test_a_statement_is_told_with_role_actions_resource_and_reason(tmp_path: Path) -> None:
    statement = {
        "Effect": "Allow",
        "Action": ["s3:GetObject"],
        "Resource": "arn:aws:s3:::x-dev-222222222222/*",
    }
    policy = {"Type": "AWS::IAM::Policy", "Properties": {"PolicyDocument": {"Statement": [statement]}}}
    path = f"{STACK}/Reader/DefaultPolicy/Resource"
    finding = "IAM::IAM-WildcardResource[arn:aws:s3:::x-dev-222222222222/*]"
    made = handmade.assembly(tmp_path, resources={path: policy}, acknowledged=[(path, finding, REASON)])
    row = (
        "| `Stack/Reader` | every environment | `s3:GetObject` | `arn:aws:s3:::x-<environment>-<account>/*` |"
        f" {REASON.split(' (review')[0]} |"
    )
    assert row in iam_page(made).splitlines()


def test_a_statement_without_a_reason_is_told_as_such(tmp_path: Path) -> None:
    statement = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    policy = {"Type": "AWS::IAM::Policy", "Properties": {"PolicyDocument": {"Statement": statement}}}
    made = handmade.assembly(tmp_path, resources={f"{STACK}/Reader/DefaultPolicy/Resource": policy})
    assert "**none: the verdict fails**" in iam_page(made)
