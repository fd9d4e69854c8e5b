"""Lineage by command: the tree around a run, a request, a dataset or a model, by few queries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ops.models import lineage, records
from ops.models.home import Home
from ops.models.records import Records
from tests.ops.models.conftest import PACKAGES, TABLE

pytestmark = pytest.mark.twin
Command = Callable[..., Any]
PREDICTIONS = 7


@pytest.fixture
def two_runs(home: Home) -> Iterator[Any]:
    """Runs `one` and `one-b` on digits#v1, each with a model; the first has answered seven requests."""
    table = home.client("dynamodb")

    def put(pk: str, sk: str, gsi1sk: str, **attributes: str) -> None:
        item = {"pk": pk, "sk": sk, "gsi1pk": "DATASET#digits#v1", "gsi1sk": gsi1sk, **attributes}
        table.put_item(TableName=TABLE, Item={name: {"S": value} for name, value in item.items()})

    for number, run in enumerate(("one", "one-b")):
        package = f"{PACKAGES}{number + 1}"
        start = f"RUN#{run}"
        put(start, "RUN", start, status="SUCCEEDED", reason="dataset", started_at="2026-11-23T01:00:00Z")
        put(start, "EVALUATION", f"{start}#EVALUATION", evaluation_uri=f"s3://a/{run}.json")
        put(f"MODEL#{package}", "MODEL", f"{start}#MODEL#{package}", run_id=run)
        put(
            f"DEPLOYMENT#champion#{run}",
            "DEPLOYMENT",
            f"{start}#DEPLOYMENT#2026-11-23T01:05:00Z",
            model_package_arn=package,
            deployment_id=run,
            status="SUCCEEDED",
        )
    for number in range(PREDICTIONS):
        put(
            f"PREDICTION#q{number}",
            "PREDICTION",
            f"RUN#one#PREDICTION#2026-11-23T02:00:0{number}Z#q{number}",
            model_version=f"{PACKAGES}1",
            run_id="one",
            dataset="digits#v1",
            label="3",
            request_id=f"q{number}",
        )
    return table


def test_a_run_shows_its_own_and_no_other_runs(two_runs: Any, command: Command) -> None:
    told = json.loads(command("lineage", "show", "one", "--json").stdout)
    assert (told["kind"], told["name"]) == ("dataset", "digits#v1")
    (run,) = told["children"]
    assert (run["name"], run["asked"], run["status"]) == ("one", True, "SUCCEEDED")
    assert [child["kind"] for child in run["children"]] == ["evaluation", "model"]
    model = run["children"][1]
    assert model["name"] == f"{PACKAGES}1"
    # One more than a tree shows says that there are more.
    assert [child["kind"] for child in model["children"]] == ["deployment"] + 6 * ["prediction"]


def test_a_dataset_shows_all_that_it_influenced(two_runs: Any, command: Command) -> None:
    drawn = command("lineage", "show", "digits/v1", "--predictions", "2").stdout
    assert "run one" in drawn and "run one-b" in drawn
    assert f"model {PACKAGES}1\n" in drawn, "in one piece, to be copied"
    assert "prediction q1" in drawn and "prediction q2" not in drawn
    assert "--predictions N shows more" in drawn


def test_a_model_leads_to_its_run_and_its_answers(two_runs: Any, command: Command) -> None:
    told = json.loads(command("lineage", "show", f"{PACKAGES}2", "--json").stdout)
    (run,) = told["children"]
    (model,) = [child for child in run["children"] if child["kind"] == "model"]
    assert (run["name"], model["asked"]) == ("one-b", True)


def test_a_request_leads_back_to_what_trained_its_model_by_one_item(
    two_runs: Any, home: Home, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("its own item is enough")

    monkeypatch.setattr(Records, "descendants", refuse)
    told = json.loads(command("lineage", "show", "q3", "--json").stdout)
    names = []
    while told:
        names.append((told["kind"], told["name"]))
        told = told.get("children", [None])[0]
    assert names == [
        ("dataset", "digits#v1"),
        ("run", "one"),
        ("model", f"{PACKAGES}1"),
        ("prediction", "q3"),
    ]


def test_a_run_that_failed_before_its_dataset_was_read_is_shown_alone(
    write: Callable[..., None], command: Command
) -> None:
    write("RUN#early", "RUN", status="FAILED", error="ManifestError")
    drawn = command("lineage", "show", "early").stdout
    assert "run early" in drawn and "ManifestError" in drawn


def test_many_answers_are_passed_by_without_reading_them(
    two_runs: Any, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_PAGE", 5)
    asked: list[str] = []
    query = Records._query

    def counted(self: Records, dataset: str, first: str, last: str) -> Any:
        asked.append(first)
        return query(self, dataset, first, last)

    monkeypatch.setattr(Records, "_query", counted)
    found = Records(home).descendants("digits#v1", predictions=1)
    kinds = [item["gsi1sk"].split("#")[2:3] for item in found]
    assert len(found) == 4 + 1 + 4, kinds
    assert asked[0] == "RUN#" and "RUN#one#PREDICTION$" in asked
    assert lineage.of(home, "digits#v1", predictions=10).name == "digits#v1"
