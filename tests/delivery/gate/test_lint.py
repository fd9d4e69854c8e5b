"""cfn-lint in the verdict: warnings count, exceptions stand in one place, nothing is read twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from delivery.gate import lint
from delivery.gate.assembly import Assembly
from delivery.gate.findings import Check
from delivery.gate.lint import lint_check
from tests.assembly import ROOT
from tests.delivery.gate import handmade
from tests.delivery.gate.handmade import STACK

CONFIG = ROOT / ".cfnlintrc"
WRONG: dict[str, Any] = {"Type": "AWS::S3::Bucket", "Properties": {"Colour": "red"}}
# Kept when it is removed but not when it is replaced: a warning.
HALF_KEPT = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"}
OVERLOOKED = WRONG | {"Metadata": {"cfn-lint": {"config": {"ignore_checks": ["E3002"]}}}}


@pytest.fixture(scope="module")
def linted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Check]:
    folder = tmp_path_factory.mktemp("linted")
    resources = {"Wrong": WRONG, "HalfKept": HALF_KEPT, "Overlooked": OVERLOOKED}
    made = handmade.assembly(
        folder / "out", resources={f"{STACK}/{name}/Resource": each for name, each in resources.items()}
    )
    return folder, lint_check(made, config=CONFIG, cache=folder / "cache.json")


def rules_at(check: Check, name: str) -> set[str]:
    return {each.rule for each in check.open if each.construct == f"{STACK}/{name}/Resource"}


def test_errors_and_warnings_are_open_findings_at_their_construct(linted: tuple[Path, Check]) -> None:
    check = linted[1]
    assert rules_at(check, "Wrong") == {"E3002"}
    assert rules_at(check, "HalfKept") == {"W3011"}
    assert any("Colour" in each.says and "Properties.Colour" in each.says for each in check.open)
    assert check.rules is not None
    assert check.rules > 200


def test_an_exception_within_a_template_is_a_finding_itself(linted: tuple[Path, Check]) -> None:
    assert rules_at(linted[1], "Overlooked") == {"exception-in-template"}


def test_what_was_read_before_is_not_read_again(
    linted: tuple[Path, Check], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, first = linted
    monkeypatch.setattr(lint, "_run", lambda _: pytest.fail("cfn-lint was started"))
    assert lint_check(Assembly(folder / "out"), config=CONFIG, cache=folder / "cache.json") == first


def test_exceptions_are_few_and_have_reasons() -> None:
    lines = CONFIG.read_text().splitlines()
    exceptions = [number for number, line in enumerate(lines) if line.strip().startswith("- ")]
    assert {lines[number].strip("- ") for number in exceptions} <= {"E3703", "W3005"}
    assert all(lines[number - 1].strip().startswith("# ") for number in exceptions)
