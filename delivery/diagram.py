"""`python -m delivery.diagram`: draws the pipeline and its roles from the synthesized template, as Mermaid.

The page keeps what people have written; only what stands between the markers is drawn anew.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# `vision_platform` lies in a source root of its own, as for app.py.
sys.path.insert(0, str(ROOT / "constructs"))

from vision_platform.references import flatten  # noqa: E402

BEGIN, END = "<!-- drawn by delivery.diagram: begin -->", "<!-- drawn by delivery.diagram: end -->"
_ARN = re.compile(r"^arn:[^:]*:iam::(?P<account>\d{12}):role/(?P<name>.+)$")
_ON_FAILURE = {"RETRY": "when it fails: tried again", "ROLLBACK": "when it fails: rolled back"}


class DiagramError(Exception):
    """There is no pipeline to draw, or no place to draw it; the message says which file, and the cure."""


@dataclass(frozen=True)
class Role:
    """A role in an account."""

    account: str
    name: str


@dataclass(frozen=True)
class Stage:
    """One stage: what it does, line by line, and the roles that it acts by."""

    name: str
    lines: tuple[str, ...]
    asks: bool
    entered_if: str | None
    roles: tuple[Role, ...]


def page(text: str, template: Mapping[str, Any]) -> str:
    """`text` with the drawing of `template` between its markers. Raises DiagramError without markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DiagramError(f"the page lacks the lines {BEGIN} and {END}: write them where the drawing goes")
    return f"{before}{BEGIN}\n\n{draw(template)}\n\n{END}{after}"


def draw(template: Mapping[str, Any]) -> str:
    """The Mermaid flow chart of the template's pipeline. Raises DiagramError when it has none."""
    resources = template["Resources"]
    pipelines = [each for each in resources.values() if each["Type"] == "AWS::CodePipeline::Pipeline"]
    if not pipelines:
        raise DiagramError("the template has no pipeline")
    properties = pipelines[0]["Properties"]
    stages = [_stage(each, resources) for each in properties["Stages"]]
    roles = list(dict.fromkeys(role for stage in stages for role in stage.roles))
    lines = ["```mermaid", "flowchart LR", f'  subgraph pipeline["{properties["Name"]}"]', "    direction TB"]
    lines += [f"    {_node(number, stage)}" for number, stage in enumerate(stages)]
    lines += [f"    {edge}" for edge in _edges(stages)]
    lines.append("  end")
    for account in sorted({role.account for role in roles}):
        lines.append(f'  subgraph a{account}["account {account}"]')
        lines += [
            f'    r{number}["{role.name}"]' for number, role in enumerate(roles) if role.account == account
        ]
        lines.append("  end")
    lines += [
        f"  s{number} -.-> {' & '.join(f'r{roles.index(role)}' for role in stage.roles)}"
        for number, stage in enumerate(stages)
        if stage.roles
    ]
    return "\n".join([*lines, "```"])


def _node(number: int, stage: Stage) -> str:
    label = "<br/>".join([f"<b>{stage.name}</b>", *stage.lines])
    opening, closing = ("{{", "}}") if stage.asks else ("[", "]")
    return f's{number}{opening}"{label}"{closing}'


def _edges(stages: list[Stage]) -> Iterator[str]:
    for number, stage in enumerate(stages[1:], start=1):
        if stage.entered_if is None:
            yield f"s{number - 1} --> s{number}"
        else:
            yield f's{number - 1} -->|"{stage.entered_if}"| s{number}'
            yield f's{number - 1} -->|"otherwise"| s{number + 1}'


def _stage(stage: Mapping[str, Any], resources: Mapping[str, Any]) -> Stage:
    actions = sorted(stage["Actions"], key=lambda action: action["RunOrder"])
    deploying = [each for each in actions if each["ActionTypeId"]["Category"] == "Deploy"]
    others = [each for each in actions if each not in deploying]
    asking = [each for each in actions if each["ActionTypeId"]["Category"] == "Approval"]
    lines = [*_deployments(deploying), *[_described(each, resources) for each in others]]
    failure = stage.get("OnFailure", {}).get("Result")
    if failure:
        lines.append(f"<i>{_ON_FAILURE[failure]}</i>")
    roles = [role for each in actions for role in _roles_of(each, resources)]
    return Stage(
        stage["Name"], tuple(lines), bool(asking), _entry(stage), tuple(sorted(set(roles), key=_order))
    )


def _order(role: Role) -> tuple[str, str]:
    return role.account, role.name


def _entry(stage: Mapping[str, Any]) -> str | None:
    conditions = stage.get("BeforeEntry", {}).get("Conditions", [])
    if not conditions:
        return None
    rule = conditions[0]["Rules"][0]["Configuration"]
    variable = rule["Variable"].strip("#{}").rpartition(".")[2]
    word = {"NE": "is not", "EQ": "is"}[rule["Operator"]]
    return f"{variable} {word} {rule['Value']}"


def _deployments(actions: list[dict[str, Any]]) -> Iterator[str]:
    """One line for each region: its stacks by what their names do not share, and how they are deployed."""
    for region in dict.fromkeys(each.get("Region", "") for each in actions):
        here = [each for each in actions if each.get("Region", "") == region]
        names = list(dict.fromkeys(each["Configuration"]["StackName"] for each in here))
        shared = names[0].rpartition("-")[0]
        reviewed = any(each["Configuration"]["ActionMode"] == "CHANGE_SET_EXECUTE" for each in here)
        how = "change sets of" if reviewed else "stacks"
        rest = ", ".join(name.removeprefix(f"{shared}-") for name in names)
        yield f"{how} {shared}: {rest}" + (f" ({region})" if region else "")


def _described(action: Mapping[str, Any], resources: Mapping[str, Any]) -> str:
    kind = action["ActionTypeId"]
    if kind["Category"] == "Approval":
        return f"{action['Name']}: a person's yes within {action['TimeoutInMinutes'] // 60} h"
    if kind["Provider"] == "CodeBuild":
        environment = _project(action, resources)["Environment"]
        return f"{action['Name']} on {'arm64' if environment['Type'] == 'ARM_CONTAINER' else 'x86'}"
    return f"{action['Name']} by {kind['Provider']}"


def _roles_of(action: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterator[Role]:
    """The roles that an action acts by: its own, CloudFormation's, those that its build assumes."""
    arns = [action.get("RoleArn"), action["Configuration"].get("RoleArn")]
    if action["ActionTypeId"]["Provider"] == "CodeBuild":
        role = _project(action, resources)["ServiceRole"]["Fn::GetAtt"][0]
        arns += list(_assumed_by(role, resources))
    for arn in arns:
        found = _ARN.match(flatten(arn).replace("<AWS::Partition>", "aws")) if arn else None
        if found:
            account, name = found["account"], found["name"]
            yield Role(account, re.sub(rf"-{account}(-[a-z0-9-]+)?$", r"\1", name))


def _assumed_by(role: str, resources: Mapping[str, Any]) -> Iterator[Any]:
    for resource in resources.values():
        properties = resource.get("Properties", {})
        if not resource["Type"].startswith("AWS::IAM::") or {"Ref": role} not in properties.get("Roles", []):
            continue
        for statement in properties["PolicyDocument"]["Statement"]:
            if "sts:AssumeRole" in _listed(statement["Action"]):
                yield from _listed(statement["Resource"])


def _project(action: Mapping[str, Any], resources: Mapping[str, Any]) -> dict[str, Any]:
    return resources[action["Configuration"]["ProjectName"]["Ref"]]["Properties"]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def main() -> int:
    """Draw into the page, or print the drawing; exit code 2 when that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m delivery.diagram", description=__doc__)
    parser.add_argument("assembly", nargs="?", default="cdk.out", help="default: cdk.out")
    parser.add_argument("--write", metavar="PAGE", help="draw between the markers of this page")
    arguments = parser.parse_args()
    try:
        template = _template(Path(arguments.assembly))
        if arguments.write is None:
            print(draw(template))
        else:
            place = Path(arguments.write)
            place.write_text(page(place.read_text(encoding="utf-8"), template), encoding="utf-8")
    except (DiagramError, OSError) as error:
        print(f"delivery.diagram: {error}", file=sys.stderr)
        return 2
    return 0


def _template(assembly: Path) -> dict[str, Any]:
    path = assembly / "Delivery.template.json"
    if not path.exists():
        raise DiagramError(f"{path} is missing: run `npx cdk synth` first")
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
