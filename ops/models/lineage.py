"""What came from what: a run, a request, a dataset version or a model, with all before and behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.tree import Tree

from ops.faults import OperatorFault
from ops.models.home import Home
from ops.models.records import Records

Record = dict[str, Any]
# Keys by which the table is searched; a reader has no use for them.
_KEYS = ("pk", "sk", "gsi1pk", "gsi1sk", "expires_at")
_SHORT = {"FAILED": "red", "SUCCEEDED": "green", "RUNNING": "yellow", "QUEUED": "yellow"}


@dataclass
class Node:
    """One thing in the tree: its kind, what it is called, what is known of it, and what came from it."""

    kind: str
    name: str
    facts: Record = field(default_factory=dict[str, Any])
    asked: bool = False
    children: list[Node] = field(default_factory=list["Node"])

    def as_dict(self) -> Record:
        """For machines."""
        return {
            "kind": self.kind,
            "name": self.name,
            **({"asked": True} if self.asked else {}),
            **self.facts,
            **({"children": [child.as_dict() for child in self.children]} if self.children else {}),
        }


def of(home: Home, what: str, *, predictions: int) -> Node:
    """The tree around what is asked for.

    A dataset is named `name#version` or `name/version`, a model by its package's ARN, runs and requests by
    their ids. Raises OperatorFault when the environment knows no such thing.
    """
    records = Records(home)
    if ":model-package/" in what:
        return _of_model(records, what, predictions)
    name = what.replace("/", "#", 1) if "#" not in what else what
    if "#" in name:
        return _of_dataset(records, name, predictions)
    run = records.run(what)
    if run is not None:
        return _of_run(records, run, what, what, predictions)
    prediction = records.prediction(what)
    if prediction is not None:
        return _of_prediction(prediction, what)
    raise OperatorFault(
        f"{home} knows no run and no request {what}; datasets are NAME#VERSION, models are ARNs of packages, "
        f"and python -m ops runs {home.option} lists runs"
    )


def _of_dataset(records: Records, name: str, predictions: int) -> Node:
    items = records.descendants(name, predictions=predictions)
    if not items:
        raise OperatorFault(f"{records.home} has no run on a dataset {name}")
    return _tree(name, items, asked=name)


def _of_run(records: Records, run: Record, run_id: str, asked: str, predictions: int) -> Node:
    dataset = str(run.get("gsi1pk", "")).removeprefix("DATASET#") or _dataset_name(run.get("dataset"))
    if not dataset:
        # It failed before its dataset was read.
        return Node("run", run_id, _facts(run), asked=True)
    items = records.descendants(dataset, run=run_id, predictions=predictions)
    return _tree(dataset, items, asked=asked)


def _of_model(records: Records, package: str, predictions: int) -> Node:
    model = records.model(package)
    if model is None:
        raise OperatorFault(f"{records.home} has no lineage of {package}")
    run_id = str(model.get("run_id") or "")
    run = records.run(run_id) if run_id else None
    dataset = _dataset_name(model.get("dataset"))
    if run is None and dataset:
        # Trained in another environment, whose lineage knows the run; what the model did here is known here.
        items = records.descendants(dataset, run=run_id, predictions=predictions)
        return _tree(dataset, items, asked=package)
    if run is None:
        return Node("model", package, _facts(model), asked=True)
    return _of_run(records, run, run_id, package, predictions)


def _of_prediction(prediction: Record, request: str) -> Node:
    """From the item alone: it names model, run and dataset."""
    leaf = Node("prediction", request, _facts(prediction), asked=True)
    model = Node("model", str(prediction.get("model_version", "unknown")), children=[leaf])
    run = Node("run", str(prediction.get("run_id") or "unknown"), children=[model])
    return Node("dataset", _dataset_name(prediction.get("dataset")) or "unknown", children=[run])


def _tree(dataset: str, items: list[Record], *, asked: str) -> Node:
    root = Node("dataset", dataset, asked=asked == dataset)
    runs: dict[str, Node] = {}
    models: dict[str, Node] = {}
    for item in items:
        run_id, _, rest = item["gsi1sk"].removeprefix("RUN#").partition("#")
        if run_id not in runs:
            runs[run_id] = Node("run", run_id, asked=asked == run_id)
            root.children.append(runs[run_id])
        run = runs[run_id]
        kind = rest.partition("#")[0]
        if not kind:
            run.facts = _facts(item)
        elif kind == "EVALUATION":
            run.children.append(Node("evaluation", str(item.get("evaluation_uri", "")), _facts(item)))
        elif kind == "MODEL":
            _model(run, models, rest.partition("#")[2], asked).facts = _facts(item)
        elif kind == "DEPLOYMENT":
            package = str(item.get("model_package_arn", "unknown"))
            name = str(item.get("deployment_id") or item["pk"].split("#")[-1])
            _model(run, models, package, asked).children.append(Node("deployment", name, _facts(item)))
        elif kind == "PREDICTION":
            package = str(item.get("model_version", "unknown"))
            name = str(item.get("request_id") or item["pk"].removeprefix("PREDICTION#"))
            _model(run, models, package, asked).children.append(Node("prediction", name, _facts(item)))
    for run in runs.values():
        run.children.sort(key=lambda child: child.kind)
    return root


def _model(run: Node, models: dict[str, Node], package: str, asked: str) -> Node:
    if package not in models:
        models[package] = Node("model", package, asked=asked == package)
        run.children.append(models[package])
    return models[package]


def _facts(item: Record) -> Record:
    return {name: value for name, value in item.items() if name not in _KEYS}


def _dataset_name(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value.get('name')}#{value.get('version')}"
    return str(value or "")


def drawn(node: Node, *, most: int) -> Tree:
    """The tree for a terminal; of a model's predictions the first `most`, and a word on the rest."""
    tree = Tree(_label(node), guide_style="dim")
    _draw(node, tree, most)
    return tree


def _draw(node: Node, tree: Tree, most: int) -> None:
    shown = 0
    for child in node.children:
        shown += child.kind == "prediction"
        if child.kind == "prediction" and shown > most:
            tree.add("[dim]... and more: --predictions N shows more[/dim]")
            return
        _draw(child, tree.add(_label(child)), most)


def _label(node: Node) -> str:
    facts = node.facts
    name = f"[bold reverse]{node.name}[/]" if node.asked else f"[bold]{node.name}[/]"
    words = [each for each in _words(node.kind, facts) if each]
    return f"{node.kind} {name}{'  ' + ', '.join(words) if words else ''}"


def _words(kind: str, facts: Record) -> list[str]:
    match kind:
        case "run":
            status = str(facts.get("status", ""))
            style = _SHORT.get(status)
            return [
                f"[{style}]{status}[/]" if style else status,
                str(facts.get("reason", "")),
                f"attempt {facts['attempt']}" if facts.get("attempt", 1) != 1 else "",
                str(facts.get("started_at", ""))[:16].replace("T", " "),
                f"accuracy {facts['accuracy']:.4g}" if "accuracy" in facts else "",
                str(facts.get("error", "")),
            ]
        case "evaluation":
            return [
                f"{name} {facts[name]:.4g}"
                for name in ("accuracy", "macro_f1")
                if isinstance(facts.get(name), int | float)
            ]
        case "deployment":
            return [str(facts.get(name, "")) for name in ("status", "reason", "started_at")]
        case "prediction":
            confidence = facts.get("confidence")
            return [
                str(facts.get("label", "")),
                f"confidence {confidence:.3f}" if isinstance(confidence, int | float) else "",
                str(facts.get("answered_at", "")),
            ]
        case _:
            return []
