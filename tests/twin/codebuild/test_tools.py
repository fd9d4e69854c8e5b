"""`npm install -g` of pinned tools, and the JUnit reader."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from twin.services.codebuild import npm, reports


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": {"aws-cdk": "2.1148.1"}}))
    installed = tmp_path / "node_modules/aws-cdk/package.json"
    installed.parent.mkdir(parents=True)
    installed.write_text(json.dumps({"version": "2.1148.1"}))
    return tmp_path


def run_npm(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    real = project / "real.py"
    real.write_text("import sys; print('real npm', *sys.argv[1:])")
    command = [sys.executable, npm.__file__, str(project), sys.executable, str(real), *arguments]
    elsewhere = project / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return subprocess.run(command, capture_output=True, text=True, cwd=elsewhere, check=False)


def test_pinned_version_is_there_already(project: Path) -> None:
    done = run_npm(project, "install", "-g", "aws-cdk@2.1148.1")
    assert done.returncode == 0
    assert "aws-cdk@2.1148.1 is the version that the project pins" in done.stdout


@pytest.mark.parametrize("wanted", ["aws-cdk@2", "aws-cdk@latest", "aws-cdk"])
def test_other_versions_are_refused_with_the_cure(project: Path, wanted: str) -> None:
    done = run_npm(project, "install", "-g", wanted)
    assert done.returncode == 1
    assert "the project pins aws-cdk 2.1148.1" in done.stderr
    assert "Ask for aws-cdk@2.1148.1 (in CDK Pipelines: cli_version" in done.stderr


def test_everything_else_goes_to_npm(project: Path) -> None:
    assert run_npm(project, "ci").stdout == "real npm ci\n"
    both = run_npm(project, "install", "-g", "aws-cdk@2.1148.1", "@scope/tool@1")
    assert both.stdout.splitlines()[-1] == "real npm install -g @scope/tool@1"


JUNIT = """<testsuites><testsuite name="s">
<testcase classname="a.b" name="good" time="0.5"/>
<testcase classname="a.b" name="bad" time="1"><failure message="m">trace</failure></testcase>
<testcase name="odd"><error message="e"/></testcase><testcase name="left"><skipped/></testcase>
</testsuite></testsuites>"""


def test_junit_becomes_test_cases(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(JUNIT)
    cases = reports.read_junit(path, "junit.xml")
    assert [(c.name, c.status) for c in cases] == [
        ("a.b.good", "SUCCEEDED"), ("a.b.bad", "FAILED"), ("odd", "ERROR"), ("left", "SKIPPED")
    ]  # fmt: skip
    assert cases[1].message == "m\ntrace" and cases[0].duration == 500_000_000
    assert reports.status(cases) == "FAILED"
    assert reports.summary(cases)["statusCounts"]["SUCCEEDED"] == 1
    path.write_text("<html/>")
    with pytest.raises(reports.ReportError, match="its root is <html>"):
        reports.read_junit(path, "junit.xml")
