"""docs/iam.md: every statement that names a resource by wildcard, with its reason, from the templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from delivery.gate.assembly import Assembly, Stack
from delivery.gate.iam import WILDCARD_RESOURCE, Reasons, is_wild, wild_resources
from delivery.gate.neutral import Neutral
from delivery.gate.statements import Kind, Statement, listed, of_resource
from vision_platform.references import flatten

_HEAD = """# IAM statements with a wildcard in their resource

Drawn from the templates by `python -m delivery.gate --write-iam docs/iam.md`; a test holds this page to be
current. No statement allows an action by wildcard, and every other statement names its resources: the verdict
(`make compliance`) fails otherwise. Environments that differ only by name are one row.

## Statements and their reasons

"""
_MANAGED = """
## Policies of AWS

Written and kept by AWS, attached where a service demands just these.

"""
_OWN = """
## Policies of keys and the like

They speak for their own resource alone: `*` in the policy of a key is that key. To a bucket of logs, its
objects are what the service of AWS that writes them names. Listed is who gets in.

"""
_NONE = "**none: the verdict fails**"
_NOTHING = "There is none.\n"


class _Row(NamedTuple):
    """What makes statements of two environments the same."""

    owner: str
    cells: tuple[str, ...]


def iam_page(assembly: Assembly) -> str:
    """The page as Markdown. It depends on the templates alone, so the same commit gives the same page."""
    neutral = Neutral(assembly)
    reasons = Reasons(assembly)
    everywhere = {each.environment for each in assembly.stacks if each.environment}
    roles, managed, own = _Folded(everywhere), _Folded(everywhere), _Folded(everywhere)
    for stack in assembly.stacks:
        for resource in stack.resources:
            name, environment = neutral.role(resource.path, stack)
            for statement in of_resource(resource):
                if statement.kind is Kind.RESOURCE:
                    for cells in _lets_in(statement, stack, neutral):
                        own.add(name, cells, environment)
                for cells in _by_reason(statement, stack, neutral, reasons):
                    roles.add(name, cells, environment)
            for policy in listed(resource.properties.get("ManagedPolicyArns")):
                text = flatten(policy)
                if ":aws:policy/" in text:
                    reason = reasons.of_managed_policy(resource.path, text) or _NONE
                    managed.add(name, (_code([neutral.text(text, stack)]), reason), environment)
    return (
        _HEAD
        + roles.table("Role or resource", "Where", "Actions", "Resource", "Reason")
        + _MANAGED
        + managed.table("Role", "Where", "Policy", "Reason")
        + _OWN
        + own.table("Resource", "Where", "Principal", "Actions", "Under the condition of")
    )


class _Folded:
    """Rows of a table, those of several environments in one."""

    def __init__(self, everywhere: set[str]) -> None:
        self._everywhere = everywhere
        self._rows: dict[_Row, set[str]] = {}

    def add(self, owner: str, cells: tuple[str, ...], environment: str) -> None:
        """Add a row for one environment; without its name, for the pipeline."""
        self._rows.setdefault(_Row(owner, cells), set()).add(environment)

    def table(self, *columns: str) -> str:
        """The rows, sorted, with the environments of each in the second column."""
        if not self._rows:
            return _NOTHING
        lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
        for row, where in sorted(self._rows.items()):
            cells = (f"`{row.owner}`", self._where(where), *row.cells)
            lines.append(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |")
        return "\n".join(lines) + "\n"

    def _where(self, names: set[str]) -> str:
        if names == {""}:
            return "pipeline"
        return "every environment" if names >= self._everywhere else ", ".join(sorted(names))


def _by_reason(
    statement: Statement, stack: Stack, neutral: Neutral, reasons: Reasons
) -> Iterator[tuple[str, str, str]]:
    """Actions, resources and reason; the resources that are accepted for the same reason are one row."""
    alike: dict[str, list[str]] = {}
    for resource in wild_resources(statement):
        reason = reasons.of(statement, WILDCARD_RESOURCE, resource)
        alike.setdefault(neutral.text(reason, stack) or _NONE, []).append(neutral.text(resource, stack))
    actions = _code(statement.actions)
    if statement.kind is Kind.RESOURCE:
        actions += "<br>to " + _code(neutral.text(each, stack) for each in statement.principals)
    for reason, resources in alike.items():
        yield actions, _code(resources), reason


def _lets_in(statement: Statement, stack: Stack, neutral: Neutral) -> Iterator[tuple[str, str, str]]:
    wild = [each for each in statement.resources if is_wild(each)]
    if wild and not wild_resources(statement):
        principals = [neutral.text(each, stack) for each in statement.principals]
        yield _code(principals), _code(statement.actions), _code(sorted(statement.condition_keys)) or "none"


def _code(names: Iterable[str]) -> str:
    return "<br>".join(f"`{each}`" for each in dict.fromkeys(names))
