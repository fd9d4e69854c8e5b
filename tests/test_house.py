"""Who may know whom: imports follow the house of docs and design, and nothing goes around it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each part, where it lies, and the other parts that it may import.
HOUSE: dict[str, tuple[str, frozenset[str]]] = {
    "app": ("app.py", frozenset({"delivery", "stages", "vision_platform"})),
    "delivery": ("delivery", frozenset({"stages", "vision_platform"})),
    "stages": ("stages", frozenset({"vision_platform", "planning"})),
    "vision_platform": ("constructs/vision_platform", frozenset({"planning"})),
    "planning": ("planning", frozenset()),
    "lambda_src": ("lambda_src", frozenset()),
    "model": ("model", frozenset()),
    "smoke_tests": ("smoke_tests", frozenset()),
    # The demo drives the twin; the operator's commands know only AWS. They explain the plan, and count what
    # it costs: planning is arithmetic without CDK and AWS, and a second copy of it could only differ.
    "ops": ("ops", frozenset({"twin", "planning"})),
    "twin": ("twin", frozenset()),
}
# What only some parts may know of the world outside.
ONLY_FOR = {
    "aws_cdk": {"app", "delivery", "stages", "vision_platform"},
    "constructs": {"app", "delivery", "stages", "vision_platform"},
    "cdk_nag": {"vision_platform"},
    "boto3": {"delivery", "lambda_src", "smoke_tests", "ops", "twin"},
    "ministack": {"twin"},
}


def sources(part: str) -> list[Path]:
    place = ROOT / HOUSE[part][0]
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


@cache
def imported(path: Path) -> set[str]:
    """First parts of the names of all modules that a file imports, at its top or within functions."""
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("part", HOUSE)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    forbidden = set(HOUSE) - HOUSE[part][1] - {part}
    found = {
        (str(path.relative_to(ROOT)), name) for path in sources(part) for name in imported(path) & forbidden
    }
    assert found == set()


@pytest.mark.parametrize("outside", ONLY_FOR)
def test_what_is_outside_is_known_only_where_it_belongs(outside: str) -> None:
    knowing = {part for part in HOUSE if any(outside in imported(path) for path in sources(part))}
    assert knowing <= ONLY_FOR[outside]


def test_constructs_stays_a_source_root_and_no_package() -> None:
    assert not (ROOT / "constructs" / "__init__.py").exists(), "it would hide PyPI's constructs from aws_cdk"


def test_every_file_opens_with_a_sentence_that_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for part in HOUSE
        for path in sources(part)
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []
