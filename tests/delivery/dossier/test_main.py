"""The command: what it needs to know, what it says when it cannot, and what it hands to the pipeline."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from delivery.dossier import __main__ as command
from delivery.dossier.model import Dossier
from delivery.dossier.settings import Settings, SettingsError
from delivery.dossier.text import exports, one_line, short_text
from tests.delivery.dossier.world import Templates, World, refusal, templates, write_assembly

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def run(
    world: World, variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Runs the command on a planned environment; keywords are variables to change."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(command, "Aws", lambda _: world)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    write_assembly(tmp_path / "cdk.out", templates())

    def call(**changes: str) -> int:
        for name, value in changes.items():
            monkeypatch.setenv(name, value)
        return command.main(["--output", str(tmp_path / "out")])

    return call


def test_dossier_is_kept_and_the_variables_can_be_sourced(
    run: Callable[..., int], world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    kept = {key.rsplit("/", 1)[1] for key in world.objects if key.startswith("dossier/e3/prod/")}
    assert kept == {"index.html", "dossier.json", "summary.txt"}
    assert "Nothing changes in prod." in capsys.readouterr().out
    script = f". {tmp_path}/out/variables.sh; echo $DOSSIER_RISK $DOSSIER_URL"
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == "none s3://vision-reports/dossier/e3/prod/index.html\n"


@pytest.mark.parametrize(
    ("operation", "code", "says"),
    [
        (
            "DescribeStacks",
            "AccessDenied",
            "reading the deployed stacks by .* access denied to DescribeStacks",
        ),
        ("GetTemplate", "Throttling", "AWS throttled GetTemplate beyond all retries; retry the stage"),
        ("ListObjectsV2", "NoSuchBucket", "reading s3://vision-reports/dossier/e1/.*NoSuchBucket"),
        ("GetObject", "AccessDenied", "reading the smoke results in vision-reports: access denied to GetObj"),
        ("PutObject", "AccessDenied", "keeping the dossier in s3://vision-reports/dossier/e3/prod/"),
        ("GetPipeline", "PipelineNotFoundException", "reading the executions of vision-delivery"),
    ],
)
def test_what_cannot_be_read_or_kept_is_one_line(
    fails: Callable[[], str], world: World, operation: str, code: str, says: str
) -> None:
    world.faults[operation] = refusal(code, operation)
    assert re.search(says, fails())


@pytest.fixture
def fails(run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Runs the command, which must fail in one line and export nothing; returns the line."""

    def call() -> str:
        (tmp_path / "out").mkdir()
        (tmp_path / "out/variables.sh").write_text("export DOSSIER_RISK=none\n")
        assert run() == 1
        said = capsys.readouterr().err.splitlines()
        assert said[0] == "The dossier cannot be made, and nobody should approve without it:"
        assert not (tmp_path / "out/variables.sh").exists()
        (line,) = said[1:]
        return line

    return call


def break_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def lose_template(folder: Path) -> None:
    next(folder.rglob("*.template.json")).unlink()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lose_template, "template.json is missing: the template of"),
        (break_manifest, "manifest.json cannot be read"),
    ],
)
def test_damaged_assembly_is_named(
    fails: Callable[[], str], tmp_path: Path, fault: Callable[[Path], None], says: str
) -> None:
    fault(tmp_path / "cdk.out")
    assert says in fails()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ENVIRONMENT": "qa"}, "no stack of the environment 'qa' .* it has stacks of: prod"),
        ({"TARGET_ACCOUNT": "1" * 12}, "goes to account 444444444444, not to TARGET_ACCOUNT 111111111111"),
        ({"TARGET_REGIONS": "eu-west-1"}, "deploys to us-east-1 as well: add it to TARGET_REGIONS"),
    ],
)
def test_assembly_of_something_else_is_refused(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], changes: dict[str, str], says: str
) -> None:
    assert run(**changes) == 1
    assert re.search(says, capsys.readouterr().err)


def test_missing_and_wrong_variables_are_all_named(variables: dict[str, str]) -> None:
    del variables["PIPELINE_NAME"]
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({**variables, "TARGET_ACCOUNT": "44", "TARGET_REGIONS": "here, us-east-1"})
    said = str(raised.value).splitlines()
    assert said[0] == "PIPELINE_NAME is not set: the delivery pipeline's name"
    assert [line.split(" is wrong")[0] for line in said[1:]] == ["TARGET_ACCOUNT", "TARGET_REGIONS"]


def test_accepted_findings_are_compared_with_those_of_what_is_deployed(
    make: Callable[..., Dossier], world: World
) -> None:
    first = make(A1="as it was", A2="to go")
    assert first.acknowledgements.compared_with is None
    world.objects["dossier/e1/prod/dossier.json"] = first.model_dump_json(by_alias=True).encode()
    found = make(A1="for another reason", A3="new").acknowledgements
    assert found.compared_with == "e1"
    assert {each.finding for each in found.added} == {"A3"}
    assert {each.finding for each in found.removed} == {"A2"}
    assert {each.finding for each in found.changed} == {"A1"}


def test_missing_and_failed_smoke_results_are_told(make: Callable[..., Dossier], world: World) -> None:
    summary = json.loads(world.objects.pop("smoke/e3/staging/summary.json"))
    summary |= {"passed": False, "region": "eu-west-1"}
    summary["checks"].append({"name": "api", "title": "The API answers", "status": "failed", "seconds": 1})
    world.objects["smoke/e3/staging-eu-west-1/summary.json"] = json.dumps(summary).encode()
    world.objects["smoke/e3/stagingish/summary.json"] = b"of another environment"
    dossier = make()
    assert dossier.smoke is not None
    (result,) = dossier.smoke.results
    assert (result.region, result.failed) == ("eu-west-1", ("The API answers",))
    assert "Smoke test of staging FAILED" in short_text(dossier)


def test_stack_that_nothing_plans_any_more_is_told(make: Callable[..., Dossier], world: World) -> None:
    world.deployed["vision-prod-old"] = {"Resources": {}}
    assert make().left_behind == ("vision-prod-old",)


def test_stack_that_was_never_created_counts_as_new(make: Callable[..., Dossier], world: World) -> None:
    world.deployed["vision-prod-data"]["_status"] = "ROLLBACK_COMPLETE"
    data, inference = make().stacks
    assert (data.first, inference.first) == (True, False)
    assert "in the state ROLLBACK_COMPLETE" in data.notes[0]


def test_many_risks_still_fit(make: Callable[..., Dossier]) -> None:
    def widen(planned: Templates) -> None:
        document = planned["vision-prod-inference"]["Resources"]["RolePolicy"]["Properties"]["PolicyDocument"]
        for number in range(60):
            document["Statement"].append(
                {
                    "Effect": "Allow",
                    "Action": f"s3:Do{number}",
                    "Resource": f"arn:aws:s3:::{'x' * 60}{number}",
                }
            )

    dossier = make(widen)
    assert len(dossier.risks) == 60
    text = short_text(dossier)
    assert len(text) < 900
    assert "TO BE CONFIRMED (60 risks)" in text
    assert "more" in text


@pytest.mark.parametrize("value", ["it's", '"$(rm -rf x)`y`', "a\nb\r\tc", "§ ünï", "", "\x1b[31m"])
def test_no_value_can_run_or_break_the_line(value: str) -> None:
    script = exports({"X": value})
    assert script.count("\n") == 1
    said = subprocess.run(
        ["bash", "-c", f'{script}printf %s "$X"'], capture_output=True, text=True, check=True, env={}
    )
    assert said.stdout == one_line(value)


def test_dossier_knows_nothing_of_the_cdk() -> None:
    for path in (ROOT / "delivery" / "dossier").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                part = name.split(".")
                assert part[0] not in ("aws_cdk", "constructs", "stages", "vision_platform"), path
                assert part[0] != "delivery" or part[1] == "dossier", path
