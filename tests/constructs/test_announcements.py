"""What people are told: documented keys, commands that exist, and a topic for these rules alone."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from tests.assembly import Assembly, Resource
from tests.events import validate

_COMMAND = re.compile(r"python -m ops (.+)$")


@pytest.fixture(scope="module")
def rules(assembly: Assembly) -> dict[str, Resource]:
    """The rules that write to people, by the kind of event."""
    found = assembly.resources("AWS::Events::Rule", stack="-dev-monitoring")
    return {each.properties["EventPattern"]["detail-type"][0]: each for each in found}


def message(rule: Resource) -> tuple[dict[str, str], list[str]]:
    (target,) = rule.properties["Targets"]
    transformer = target["InputTransformer"]
    lines = [json.loads(line) for line in transformer["InputTemplate"].splitlines()]
    return transformer["InputPathsMap"], lines


def test_people_hear_of_what_asks_for_attention(rules: dict[str, Resource]) -> None:
    assert set(rules) == set(validate.schemas()) - {"Training Started", "Training Complete"}


def test_messages_name_only_what_the_event_has(rules: dict[str, Resource]) -> None:
    for kind, rule in rules.items():
        paths, lines = message(rule)
        named = set(re.findall(r"<(\w+)>", "\n".join(lines)))
        assert named == set(paths)
        known = {f"$.detail.{key}" for key in validate.detail_of(kind)["required"]} | {"$.time"}
        assert set(paths.values()) <= known
        assert sum(map(len, lines)) < 8192, "EventBridge's limit of a template"


def test_only_the_champion_is_told_of(rules: dict[str, Resource]) -> None:
    assert all(rule.properties["EventPattern"]["detail"]["line"] == ["champion"] for rule in rules.values())


def test_a_failed_promotion_is_told_once(rules: dict[str, Resource]) -> None:
    (filtered,) = rules["Training Failed"].properties["EventPattern"]["detail"]["error"]
    assert "RolledBack" in filtered["anything-but"]


def test_the_messages_commands_exist(rules: dict[str, Resource]) -> None:
    from typer.main import get_command

    from ops.__main__ import app

    commands = [
        found[1] for rule in rules.values() for line in message(rule)[1] if (found := _COMMAND.search(line))
    ]
    assert len(commands) >= 2 * len(rules)
    for command in commands:
        arguments = [re.sub(r"<\w+>", "value", word) for word in shlex.split(command)]
        _parse(get_command(app), arguments)


def _parse(command: Any, arguments: list[str]) -> None:
    """Reads a command's arguments as the command line does, without running it. Raises what it raises."""
    with command.make_context("ops", arguments, resilient_parsing=False) as context:
        if hasattr(command, "commands"):
            name, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            assert name is not None
            _parse(inner, rest)


def test_no_other_rule_may_write_to_people(assembly: Assembly, rules: dict[str, Resource]) -> None:
    policy = assembly.only("AWS::SNS::TopicPolicy", stack="-dev-monitoring").properties["PolicyDocument"]
    (statement,) = [each for each in policy["Statement"] if each.get("Sid") == "Announcements"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    allowed = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert {each["Fn::GetAtt"][0] for each in allowed} == {each.logical_id for each in rules.values()}
