"""The documented events: schemas that are valid, examples that match, and senders that keep to them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.assembly import Assembly
from tests.events import validate
from tests.events.announced import announcements

FILES = sorted(validate.FOLDER.glob("*.json"))
COMMON = {"version", "environment", "line", "run_id"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_schema_is_valid_named_for_its_event_and_its_examples_match(path: Path) -> None:
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    detail = schema["properties"]["detail"]
    assert path.name == f"{schema['title'].lower().replace(' ', '-')}.v{validate.version_of(path)}.json"
    assert schema["properties"]["detail-type"] == {"const": schema["title"]}
    assert detail["properties"]["version"]["const"] == str(validate.version_of(path))
    assert set(detail["required"]) >= COMMON
    assert all(each.get("description") for each in detail["properties"].values())
    assert schema["examples"]
    for example in schema["examples"]:
        assert not list(Draft202012Validator(schema).iter_errors(example))


def test_every_kind_of_event_is_in_the_page_for_readers() -> None:
    page = (validate.FOLDER / "README.md").read_text()
    assert [path.name for path in FILES if f"({path.name})" not in page] == []


@pytest.fixture
def event() -> dict[str, Any]:
    return copy.deepcopy(validate.schemas()["Model Promoted"]["examples"][0])


def test_a_good_event_has_no_faults(event: dict[str, Any]) -> None:
    assert validate.faults(event) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reason": "whim"}, "detail.reason: 'whim' is not one of"),
        ({"endpoint_name": None}, "detail.endpoint_name: None is not of type 'string'"),
        ({"surprise": 1}, "detail.surprise: is not documented"),
        ({"version": "2"}, "detail.version"),
    ],
)
def test_what_differs_from_the_schema_is_named(
    event: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    event["detail"] |= change
    (fault,) = validate.faults(event)
    assert words in fault


def test_what_is_missing_or_unknown_is_named(event: dict[str, Any]) -> None:
    del event["detail"]["line"]
    with pytest.raises(AssertionError, match="'line' is a required property"):
        validate.check([event])
    event["detail-type"] = "Model Eaten"
    with pytest.raises(AssertionError, match="Model Eaten: no schema"):
        validate.check([event])


def test_events_of_other_sources_are_passed_over(event: dict[str, Any]) -> None:
    assert validate.check([event, {"source": "aws.events", "detail-type": "Scheduled Event"}]) == 1


def test_state_machines_announce_what_is_documented(assembly: Assembly) -> None:
    wrong: list[str] = []
    found = announcements(assembly)
    for each in found:
        where = f"{each.machine} / {each.state} ({each.kind})"
        assert each.source == validate.SOURCE, where
        assert each.kind in validate.schemas(), where
        assert isinstance(each.detail, dict), f"{where}: write its keys out"
        schema = validate.detail_of(each.kind)
        wrong += [f"{where}: lacks {key}" for key in schema["required"] if key not in each.detail]
        wrong += [
            f"{where}: {key} is not documented" for key in each.detail if key not in schema["properties"]
        ]
    assert wrong == []
    # Drift is announced by whoever watches the stream, not by a state machine.
    assert {each.kind for each in found} == set(validate.schemas()) - {"Drift Detected"}
