"""The command: exit codes, the report, the table at any width, and clear words about bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.assembly import ROOT
from tests.delivery.gate import handmade
from tests.delivery.gate.handmade import BUCKET, REASON, plugin, suppressed, violation

S1 = "AwsSolutions-S1"


def gate(folder: Path, *arguments: str, columns: int = 120) -> subprocess.CompletedProcess[str]:
    """The command as the build runs it."""
    return subprocess.run(
        [sys.executable, "-m", "delivery.gate", str(folder / "out"), *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def accepted() -> dict[str, Any]:
    return {
        "acknowledged": [(BUCKET, f"AwsSolutions::{S1}", REASON)],
        "plugins": [plugin(suppressed=[suppressed(S1, BUCKET, at=BUCKET)])],
    }


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("passed")
    handmade.assembly(folder / "out", **accepted())
    return folder, gate(folder, "--on", "2026-11-23")


def test_an_assembly_without_open_findings_passes(passed: tuple[Path, Any]) -> None:
    folder, done = passed
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((folder / "build/compliance/report.json").read_text())
    assert report["passed"] is True
    assert report["open"] == []
    assert [each["reason"] for each in report["acknowledged"]] == [REASON.split(" (review")[0]]
    rows = {each["name"]: each for each in report["checks"]}
    assert list(rows) == [
        "AwsSolutions",
        "NIST.800.53.R5",
        "HIPAA.Security",
        "PCI.DSS.321",
        "CloudFormation",
        "cfn-lint",
        "IAM",
        "Acknowledgements",
    ]
    assert rows["AwsSolutions"]["acknowledged"] == rows["AwsSolutions"]["findings"] == 1
    assert rows["AwsSolutions"]["rules"] > 100


def test_the_table_names_each_check_with_its_numbers(passed: tuple[Path, Any]) -> None:
    lines = [line.split() for line in passed[1].stdout.splitlines()]
    assert ["Check", "Rules", "Resources", "Findings", "Acknowledged", "Open"] in lines
    (row,) = [line for line in lines if line[:1] == ["AwsSolutions"]]
    assert row[2:] == ["1", "1", "1", "0"]


def test_the_same_assembly_fails_when_the_review_is_due(passed: tuple[Path, Any]) -> None:
    done = gate(passed[0], "--on", "2027-02-01")
    assert done.returncode == 1
    assert "Ack-Expired" in done.stdout
    assert "set a new date" in done.stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_an_open_finding_fails_with_construct_rule_and_cure_at_any_width(
    passed: tuple[Path, Any], tmp_path: Path, columns: int
) -> None:
    handmade.assembly(tmp_path / "out", plugins=[plugin(violations=[violation(S1, BUCKET)])])
    shutil.copytree(passed[0] / "build", tmp_path / "build")
    done = gate(tmp_path, columns=columns)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    told = lines.index(f"OPEN {S1}: {S1} is broken.")
    assert lines[told + 1] == f"  at   {BUCKET}"
    assert lines[told + 2].startswith("  cure mend the construct")
    table = lines[:told]
    assert max(len(line.rstrip()) for line in table) <= 80
    assert "1 finding is open" in done.stdout


def test_what_one_mistake_breaks_is_told_together(passed: tuple[Path, Any], tmp_path: Path) -> None:
    elsewhere = BUCKET.replace("Bucket", "Other")
    found = [violation(rule, BUCKET, elsewhere) for rule in (S1, "AwsSolutions-S10")]
    handmade.assembly(tmp_path / "out", plugins=[plugin(violations=found)])
    shutil.copytree(passed[0] / "build", tmp_path / "build")
    lines = gate(tmp_path).stdout.splitlines()
    told = lines.index(f"OPEN {S1}: {S1} is broken.")
    assert lines[told + 1].startswith("OPEN AwsSolutions-S10: ")
    assert lines[told + 2 : told + 4] == [f"  at   {BUCKET}", f"  at   {elsewhere}"]
    assert "4 findings are open" in lines[-1]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("manifest.json", "holds no synthesized assembly: run `make synth` first"),
        ("validation-report.json", "is missing: the rules did not run"),
        ("assembly-App/Stack.template.json", "is missing: run `make synth` again"),
        ("assembly-App/Stack.metadata.json", "is missing: run `make synth` again"),
    ],
)
def test_a_missing_file_is_told_in_one_line(tmp_path: Path, broken: str, told: str) -> None:
    handmade.assembly(tmp_path / "out")
    (tmp_path / "out" / broken).unlink()
    done = gate(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", "{"),
        ("manifest.json", "[]"),
        ("manifest.json", "{}"),
        ("validation-report.json", "{"),
        ("validation-report.json", "{}"),
        ("assembly-App/Stack.metadata.json", "{"),
        ("assembly-App/Stack.template.json", "[]"),
    ],
)
def test_broken_json_is_told_in_one_line(tmp_path: Path, name: str, content: str) -> None:
    handmade.assembly(tmp_path / "out")
    (tmp_path / "out" / name).write_text(content)
    done = gate(tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_no_aws_cdk_is_loaded_for_a_verdict() -> None:
    script = "import sys, delivery.gate.__main__; print({'aws_cdk', 'jsii', 'cfnlint'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "set()\n"
