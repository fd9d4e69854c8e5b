"""Training by command: by arrival or by request, followed to the end, and every refusal in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.models.home import Home

pytestmark = pytest.mark.twin
Command = Callable[..., Any]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    images = [{"key": f"images/{n}.png", "label": "1", "split": "train", "sha256": "0"} for n in range(3)]
    (tmp_path / "images").mkdir()
    for image in images:
        (tmp_path / image["key"]).write_bytes(b"png")
    manifest = {"schema": "vision.dataset/1", "dataset": "digits", "version": tmp_path.name, "images": images}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def executions(home: Home) -> list[dict[str, Any]]:
    api = home.client("stepfunctions")
    listed = api.list_executions(stateMachineArn=home.machine("training"))["executions"]
    return [json.loads(api.describe_execution(executionArn=each["executionArn"])["input"]) for each in listed]


def test_an_arriving_dataset_is_followed_to_the_promoted_model(
    command: Command, home: Home, dataset: Path
) -> None:
    before = len(executions(home))
    done = command("train", "--dataset", str(dataset), "--watch")
    assert done.exit_code == 0, done.stdout + done.stderr
    said = done.stdout
    assert "run r-computed in dev" in said
    assert re.search(r"\d\.\d s  RegisterRun +done in \d", said)
    # The nested promotion is shown state by state, within the state that waits for it.
    assert said.index("Settle") < said.index("Promote ")
    assert "accuracy 0.975, macro_f1 0.97" in said
    assert "s3://artifacts/evaluations/champion/report.html" in said
    assert "python -m ops lineage show r-computed --environment dev" in said
    (given, *_) = executions(home)
    assert len(executions(home)) == before + 1
    assert given["reason"] == "dataset" and given["manifest_tag"]


def test_a_dataset_with_wishes_gets_the_one_run_that_was_wished(
    command: Command, home: Home, dataset: Path
) -> None:
    before = len(executions(home))
    done = command(
        *("train", "--dataset", str(dataset), "--watch", "--json", "--tune"),
        *("--set", "epochs=13", "--run-id", "tried-13"),
    )
    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (told["run_id"], told["status"], told["error"]) == ("tried-13", "FAILED", "GateRejected")
    assert told["cause"] == "accuracy 0.1 is below 0.95"
    (given, *_) = executions(home)
    assert len(executions(home)) == before + 1, "its arrival must not start another run"
    assert (given["tune"], given["hyperparameters"]) == (True, {"epochs": "13"})

    shown = command("watch", "tried-13")
    assert shown.exit_code == 1
    assert "run tried-13: FAILED: GateRejected" in shown.stdout
    assert "train --again tried-13 --environment dev" in shown.stdout

    again = command("train", "--again", "tried-13")
    assert again.exit_code == 0, again.stderr
    assert "watch it: python -m ops watch tried-13 --environment dev" in again.stdout
    assert executions(home)[0] == {"line": "champion", "reason": "request", "run_id": "tried-13"}

    listed = command("runs", "--json")
    runs = [each["run_id"] for each in json.loads(listed.stdout)]
    assert runs.count("tried-13") == 2
    assert "tried-13" in command("runs").stdout


def put_manifest(home: Home) -> str:
    key = "datasets/digits/quiet.json"
    home.client("s3").put_object(Bucket=home.datasets, Key=key, Body=b"{}")
    return f"s3://{home.datasets}/{key}"


def test_the_newest_dataset_is_the_lines(command: Command, home: Home, write: Callable[..., None]) -> None:
    uri = f"s3://{home.datasets}/datasets/digits/v9/manifest.json"
    write("LINE#champion", "DATASET", manifest_uri=uri, manifest_tag="abc", dataset="digits#v9")
    done = command("train", "--run-id", "newest")
    assert done.exit_code == 0, done.stderr
    (given, *_) = executions(home)
    assert (given["manifest_uri"], given["manifest_tag"], given["reason"]) == (uri, "abc", "request")


def test_ctrl_c_leaves_the_run_and_says_how_to_watch_it(
    command: Command, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    started = command("train", "--manifest", put_manifest(home), "--run-id", "slow")
    assert started.exit_code == 0, started.stderr
    with monkeypatch.context() as patch:
        patch.setattr("ops.models.watch.time.sleep", interrupted)
        left = command("watch", "slow")
    assert left.exit_code == 130
    assert "Watch it again: python -m ops watch slow --environment dev" in left.stderr
    assert command("watch", "slow").exit_code == 0, "it has gone on"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--dataset", "/nowhere"), "/nowhere/manifest.json: no manifest here"),
        (("train", "--dataset", "/x", "--manifest", "s3://y"), "--dataset and --manifest name different"),
        (("train", "--manifest", "digits"), "--manifest digits: give s3://"),
        (("train", "--manifest", "s3://other/datasets/m.json"), "dev trains on what lies in s3://"),
        (("train", "--set", "epochs"), "--set epochs: give NAME=VALUE"),
        (("train", "--run-id", "Not Good"), "1 to 25 lower-case letters"),
        (("train", "--again", "unknown"), "has no run unknown"),
        (("train", "--again", "x", "--tune"), "leave out --tune"),
        (("train", "--environment", "nowhere"), "choose from dev, staging, prod"),
        (("train", "--region", "eu-west-1"), "dev is not in eu-west-1"),
        (("train", "--environment", "staging"), "there is no stack vision-staging-data"),
        (("watch", "unknown"), "no run and no execution unknown"),
        (("rollback", "--region", "us-east-1"), "--region goes with --model"),
        (("rollback", "--model", "--environment", "staging"), "there is no stack vision-staging-data"),
        (("promote", "--to", "dev", "--package", "7"), "give a model package's ARN"),
        (("promote", "--to", "nowhere"), "there is no environment nowhere"),
        (("lineage", "show", "unknown"), "knows no run and no request unknown"),
        (("lineage", "show", "digits#v0"), "has no run on a dataset digits#v0"),
        (("drill", "rollback", "--environment", "staging"), "there is no stack vision-staging-data"),
    ],
)
def test_a_refusal_is_one_line(command: Command, arguments: tuple[str, ...], words: str) -> None:
    done = command(*arguments)
    assert done.exit_code == 1, done.stdout
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr
