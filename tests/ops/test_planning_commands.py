"""`ops capacity` and `ops cost`: what people and machines are told, without asking AWS anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ops.__main__ import app
from ops.deployment import Deployment, parse
from stages.settings_reader import parse_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command line on the tests' own settings, changed as wished."""
    monkeypatch.setattr("ops.terminal.out.width", 100, raising=False)

    def command(*arguments: str, **changes: Any) -> Result:
        settings = json.loads((ROOT / "tests" / "platform.json").read_text()) | changes

        def read() -> Deployment:
            return parse(json.loads(parse_settings(settings).model_dump_json()))

        monkeypatch.setattr("ops.planning_commands.read_deployment", read)
        return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100"})

    return command


def document(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_every_number_is_told_with_its_value_source_and_setting(run: Any) -> None:
    numbers = document(run("capacity", "--json"))["numbers"]

    assert len(numbers) > 15
    for each in numbers:
        assert each["formula"]
        assert all(one["source"] for one in each["inputs"])
        # No number means no scaling, and a stream on demand.
        if each["key"] not in ("hosting.max_instance_count", "streaming.shards"):
            assert each["applies"] == each["value"], each["key"]
        assert not each["set_by_hand"]


def test_people_are_told_the_formula_and_what_is_set_instead(run: Any) -> None:
    told = run("capacity", api={"burst": 77}).output

    assert "prod: 500,000 images a day" in told
    assert "is set: 77" in told
    assert "images sent in the same instant" in told
    assert "AWS's defaults are enough" in told
    assert max(map(len, told.splitlines())) <= 100


def test_what_is_set_by_hand_is_marked_and_applies(run: Any) -> None:
    told = document(run("capacity", "--json", "--environment", "dev", api={"burst": 77}))
    (burst,) = (each for each in told["numbers"] if each["key"] == "api.burst")

    assert (burst["value"], burst["applies"], burst["set_by_hand"]) == (50, 77, True)
    assert told["provision"]["api_burst"] == 77
    assert told["environment"] == "dev"


def test_another_amount_of_work_names_the_quotas_that_it_exceeds(run: Any) -> None:
    told = run("capacity", "--workload", "50M").output

    assert "Quotas that this exceeds, the worst first:" in told
    assert "aws service-quotas request-service-quota-increase --service-code lambda" in told
    assert {
        each["key"] for each in document(run("capacity", "--workload", "50M", "--json"))["quotas_exceeded"]
    } == {
        "lambda-concurrency",
        "lambda-scaling",
    }


@pytest.mark.slow
def test_the_simulation_holds_and_with_too_little_it_fails_the_command(run: Any) -> None:
    good = run("capacity", "--simulate")
    assert good.exit_code == 0
    assert "held: p99 within 1000 ms, 99.9 % answered" in good.output

    bad = run("capacity", "--simulate", "--json", api={"reserved_concurrency": 10})
    assert bad.exit_code == 1
    assert json.loads(bad.output)["simulated"][0]["refused_share"] > 0.001


def test_the_ladder_has_five_rungs_and_the_quotas_in_the_order_in_which_they_break(run: Any) -> None:
    told = document(run("capacity", "--ladder", "--json"))

    assert [each["images_per_day"] for each in told["rungs"]][::4] == [500_000, 1_000_000_000]
    assert list(told["breaks_at"].values()) == sorted(told["breaks_at"].values())
    assert "Lambda, executions at once" in run("capacity", "--ladder").output


def test_the_bill_is_by_environment_and_follows_its_settings(run: Any) -> None:
    settings: dict[str, Any] = json.loads((ROOT / "tests" / "platform.json").read_text())
    dev, staging, prod = settings["environments"]
    dev |= {"workload": {"images_per_day": 1000}, "safeguards": {"web_acl": False}, "network": {"vpc": False}}
    told = document(run("cost", "--json", environments=[dev, staging, prod]))

    assert list(told) == ["dev", "staging", "prod"]
    assert told["dev"]["usd_a_month"] < told["prod"]["usd_a_month"] / 2
    assert {"web ACL", "private network"}.isdisjoint(told["dev"]["components"])
    assert told["staging"] == told["prod"]
    assert told["prod"]["usd_per_million_images"] == pytest.approx(told["prod"]["usd_a_month"] / 15, abs=0.01)


def test_without_instances_the_plan_has_executions_and_the_bill_what_they_work(run: Any) -> None:
    on_functions = {"hosting": {"mode": "lambda"}}
    told = document(run("capacity", "--json", **on_functions))
    numbers = {each["key"]: each for each in told["numbers"]}
    limit = numbers["hosting.lambda_reserved_concurrency"]

    assert not [key for key in numbers if "instance" in key]
    assert (limit["applies"], limit["set_by_hand"]) == (limit["value"], False)
    assert told["provision"]["instances"] == 0
    assert "executions of the model" in run("capacity", **on_functions).output
    bills = document(run("cost", "--json", **on_functions))
    assert bills["prod"]["components"]["models (Lambda)"] < 30
    assert not [name for name in bills["prod"]["components"] if name.startswith("endpoint")]
    assert "models (Lambda)" in run("cost", **on_functions).output


def test_what_cannot_be_simulated_is_told(run: Any) -> None:
    result = run("capacity", "--simulate", hosting={"mode": "asynchronous"})

    assert result.exit_code == 1
    assert "--simulate: the simulation knows models that answer at once" in result.output


def test_people_read_the_bill_in_a_terminal_of_ordinary_width(run: Any) -> None:
    told = run("cost").output

    assert "endpoint (SageMaker)" in told
    assert "per million images" in told
    assert "planning/prices.py" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("capacity", "--environment", "moon"), "there is none of that name (there are: dev, staging, prod)"),
        (("capacity", "--workload", "lots"), "write 500k, 50M or 1B"),
        (("cost", "--environment", "moon"), "there is none of that name"),
    ],
)
def test_what_was_asked_wrongly_is_told(run: Any, arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 1
    assert words in result.output
