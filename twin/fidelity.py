"""What the twin does with every resource type and property: table, gate over an assembly, document."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TABLE_PATH = "twin/fidelity_table.yaml"
CLASSES = ("executed", "recorded", "inert")


class FidelityError(Exception):
    """The table is not as it must be; the message names the entry."""


@dataclass(frozen=True)
class Entry:
    """Class of a type or property, and a note for the reader."""

    kind: str
    note: str = ""


@dataclass(frozen=True)
class Type:
    """A resource type: its own class, and its properties'."""

    entry: Entry
    properties: dict[str, Entry]


@dataclass(frozen=True)
class Use:
    """One property (or the type itself, where `property` is empty) of one resource in an assembly."""

    stack: str
    logical_id: str
    type_name: str
    property: str = ""

    def __str__(self) -> str:
        """Name the place, for a message."""
        what = f"{self.type_name}.{self.property}" if self.property else self.type_name
        return f"{what} ({self.stack}/{self.logical_id})"


@dataclass(frozen=True)
class Table:
    """All classed types."""

    types: dict[str, Type]
    notes: dict[str, list[str]]

    def knows(self, type_name: str) -> bool:
        """Whether the twin deploys the type; custom resources are Lambda functions and need no entry."""
        return type_name in self.types or type_name.startswith("Custom::")

    def classes(self, use: Use) -> Entry | None:
        """Return the class of a use, None when the table lacks it."""
        if use.type_name.startswith("Custom::"):
            return Entry("executed")
        known = self.types.get(use.type_name)
        if known is None:
            return None
        return known.properties.get(use.property) if use.property else known.entry


@cache
def load() -> Table:
    """Read the table; raises `FidelityError` naming an entry that is wrong."""
    content = yaml.safe_load(Path(__file__).with_name("fidelity_table.yaml").read_text(encoding="utf-8"))
    types: dict[str, Type] = {}
    for name, body in content["types"].items():
        properties = {
            key: _entry(f"{name}.{key}", value) for key, value in (body.get("properties") or {}).items()
        }
        types[name] = Type(
            _entry(name, {"class": body.get("class"), "note": body.get("note", "")}), properties
        )
    return Table(types, content["notes"])


def _entry(name: str, value: Any) -> Entry:
    entry = Entry(value) if isinstance(value, str) else Entry(value.get("class", ""), value.get("note", ""))
    if entry.kind not in CLASSES:
        raise FidelityError(f"{TABLE_PATH}: {name} must be one of {', '.join(CLASSES)}, not {entry.kind!r}")
    if entry.kind != "executed" and not entry.note and "." in name and ":" in name:
        raise FidelityError(
            f"{TABLE_PATH}: {name} is {entry.kind} and needs a note that says what is missing"
        )
    return entry


def uses(assembly: Path) -> Iterator[Use]:
    """Yield every type and property in the templates of a cloud assembly, nested ones included."""
    for template in sorted(assembly.rglob("*.template.json")):
        stack = template.name.removesuffix(".template.json")
        for logical_id, resource in json.loads(template.read_text()).get("Resources", {}).items():
            yield Use(stack, logical_id, resource["Type"])
            for name in resource.get("Properties") or {}:
                yield Use(stack, logical_id, resource["Type"], name)


def unclassed(assembly: Path, table: Table | None = None) -> list[Use]:
    """Return the uses that the table lacks, each type and property once."""
    table = table or load()
    found: dict[tuple[str, str], Use] = {}
    for use in uses(assembly):
        if table.classes(use) is None and (use.type_name, "") not in found:
            found.setdefault((use.type_name, use.property), use)
    return list(found.values())


def document(assembly: Path) -> str:
    """Write `docs/twin-fidelity.md` for an assembly; raises `FidelityError` when something is unclassed."""
    table = load()
    missing = unclassed(assembly, table)
    if missing:
        raise FidelityError(f"not in {TABLE_PATH}: {'; '.join(map(str, missing))}")
    used: dict[str, set[str]] = {}
    for use in uses(assembly):
        used.setdefault(use.type_name, set()).add(use.property)
    lines = ["# What the local twin does, and what it does not", ""]
    lines += [*table.notes["introduction"], ""]
    for title, key in (
        ("Behaviour that differs from AWS", "differences"),
        ("Refused", "refused"),
    ):
        lines += [f"## {title}", "", *(f"- {note}" for note in table.notes[key]), ""]
    lines += ["## Resource types and properties in our templates", ""]
    lines += ["Generated from the synthesized templates and `twin/fidelity_table.yaml` by", ""]
    lines += ["    python -m twin fidelity --assembly cdk.out --write docs/twin-fidelity.md", ""]
    lines += ["| type | class | executed | recorded or inert |", "|---|---|---|---|"]
    lines += [_row(name, used[name], table) for name in sorted(used)]
    return "\n".join(lines) + "\n"


def _row(name: str, properties: set[str], table: Table) -> str:
    if name.startswith("Custom::"):
        return f"| {name} | executed | by its Lambda function | |"
    known = table.types[name]
    entries = [(key, known.properties[key]) for key in sorted(properties - {""})]
    executed = [f"{key} ({e.note})" if e.note else key for key, e in entries if e.kind == "executed"]
    rest = [f"{key} ({e.kind}): {e.note}" for key, e in entries if e.kind != "executed"]
    note = f"{known.entry.kind}: {known.entry.note}" if known.entry.note else known.entry.kind
    return f"| {name.removeprefix('AWS::')} | {note} | {', '.join(executed)} | {'<br>'.join(rest)} |"


def main(arguments: list[str] | None = None) -> int:
    """Check an assembly and write the document; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m twin fidelity", description=__doc__)
    parser.add_argument("--assembly", type=Path, default=Path("cdk.out"))
    parser.add_argument("--write", type=Path, help="file for the document; without it only the check is made")
    chosen = parser.parse_args(arguments)
    if not (chosen.assembly / "manifest.json").is_file():
        print(f"twin: {chosen.assembly} is no cloud assembly: run cdk synth first")
        return 2
    try:
        text = document(chosen.assembly)
    except FidelityError as fault:
        print(f"twin: {fault}")
        return 1
    if chosen.write:
        chosen.write.parent.mkdir(parents=True, exist_ok=True)
        chosen.write.write_text(text, encoding="utf-8")
    return 0
