"""Pipeline definitions: read from API or CloudFormation and checked; what the twin does not do is refused."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from twin.json_service import NotImplementedInTwin, ServiceError, service_model
from twin.services.codepipeline.conditions import check_conditions
from twin.wire import WireError, recase

_NAME = re.compile(r"[A-Za-z0-9.@_-]{1,100}")
# (category, provider) -> configuration keys without which the action cannot run
PROVIDERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("Source", "CodeStarSourceConnection"): ("ConnectionArn", "FullRepositoryId", "BranchName"),
    ("Source", "S3"): ("S3Bucket", "S3ObjectKey"),
    ("Build", "CodeBuild"): ("ProjectName",),
    ("Test", "CodeBuild"): ("ProjectName",),
    ("Deploy", "CloudFormation"): ("ActionMode", "StackName"),
    ("Approval", "Manual"): (),
    ("Invoke", "Lambda"): ("FunctionName",),
}
_APPROVAL_MINUTES = (5, 86_400)


def from_cloudformation(name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the declaration that CloudFormation properties make; raises `ServiceError`."""
    ours = ("RoleArn", "ArtifactStore", "Stages", "PipelineType", "ExecutionMode", "Variables", "Triggers")
    declared: dict[str, Any] = {"Name": name, **{k: properties[k] for k in ours if k in properties}}
    if "ArtifactStores" in properties:
        declared["ArtifactStores"] = {s["Region"]: s["ArtifactStore"] for s in properties["ArtifactStores"]}
    declared["Stages"] = [
        {**stage, "Actions": [_with_text_configuration(action) for action in stage["Actions"]]}
        for stage in properties["Stages"]
    ]
    try:
        return recase(service_model("codepipeline").shape_for("PipelineDeclaration"), declared)
    except WireError as fault:
        raise ServiceError("InvalidStructureException", str(fault)) from fault


def _with_text_configuration(action: Mapping[str, Any]) -> dict[str, Any]:
    """Configuration values are strings; CloudFormation lets templates write them as JSON."""
    configuration = action.get("Configuration") or {}
    texts = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in configuration.items()}
    return {**action, "Configuration": texts}


def check(declaration: dict[str, Any]) -> dict[str, Any]:
    """Return the declaration with defaults filled in; raises `ServiceError` naming what is wrong."""
    if not _NAME.fullmatch(declaration["name"]):
        raise _invalid(f"pipeline name {declaration['name']!r} may hold letters, digits and . @ - _ only")
    if ("artifactStore" in declaration) == ("artifactStores" in declaration):
        raise _invalid("a pipeline has either artifactStore or artifactStores")
    declaration.setdefault("pipelineType", "V1")
    declaration.setdefault("executionMode", "SUPERSEDED")
    _check_stages(declaration)
    for trigger in declaration.get("triggers", []):
        git = trigger["gitConfiguration"]
        if git.get("pullRequest"):
            raise NotImplementedInTwin("codepipeline triggers on pull requests")
        names = {a["name"] for _, a in actions(declaration) if a["actionTypeId"]["category"] == "Source"}
        if git["sourceActionName"] not in names:
            raise _invalid(f"trigger names source action {git['sourceActionName']!r}, which there is not")
    return declaration


def _check_stages(declaration: dict[str, Any]) -> None:
    stages = declaration["stages"]
    if len(stages) < 2:
        raise _invalid("Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline")
    names = [stage["name"] for stage in stages]
    if len(set(names)) != len(names):
        raise _invalid("stage names must be unique within a pipeline")
    produced: set[str] = set()
    namespaces: set[str] = set()
    for index, stage in enumerate(stages):
        before = frozenset(namespaces)
        own = [action["name"] for action in stage["actions"]]
        if len(set(own)) != len(own):
            raise _invalid(f"action names must be unique within stage {stage['name']}")
        for order in run_orders(stage):
            made: set[str] = set()
            for action in order:
                _check_action(
                    f"{stage['name']}/{action['name']}", action, produced, namespaces, first=index == 0
                )
                made.update(a["name"] for a in action.get("outputArtifacts", []))
            produced |= made
        check_conditions(declaration, stage, before, namespaces)


def _check_action(
    where: str, action: dict[str, Any], produced: set[str], namespaces: set[str], *, first: bool
) -> None:
    kind = action["actionTypeId"]
    required = PROVIDERS.get((kind["category"], kind["provider"]))
    if required is None or kind["owner"] != "AWS":
        shown = f"{kind['category']}/{kind['owner']}/{kind['provider']}"
        raise NotImplementedInTwin(f"codepipeline action type {shown} (action {where})")
    if (kind["category"] == "Source") != first:
        raise _invalid(f"action {where}: source actions belong into the first stage, and only there")
    for member in ("commands", "outputVariables", "environmentVariables"):
        if action.get(member):
            raise NotImplementedInTwin(f"codepipeline action member {member} (action {where})")
    if "timeoutInMinutes" in action:
        _check_timeout(where, action)
    configuration = action.setdefault("configuration", {})
    for key in required:
        if not configuration.get(key):
            raise _invalid(f"action {where} lacks configuration {key}")
    if configuration.get("BatchEnabled", "false").lower() == "true":
        raise NotImplementedInTwin(f"codepipeline batch builds (action {where})")
    for artifact in action.get("inputArtifacts", []):
        if artifact["name"] not in produced:
            raise _invalid(
                f"action {where}: no action before it produces the input artifact {artifact['name']!r}"
            )
    namespace = action.get("namespace")
    if namespace in namespaces:
        raise _invalid(f"action {where}: namespace {namespace!r} is used twice")
    if namespace:
        namespaces.add(namespace)


def _check_timeout(where: str, action: dict[str, Any]) -> None:
    least, most = _APPROVAL_MINUTES
    if action["actionTypeId"]["category"] != "Approval":
        raise _invalid(f"action {where}: only approval actions take timeoutInMinutes")
    if not least <= int(action["timeoutInMinutes"]) <= most:
        raise _invalid(f"action {where}: timeoutInMinutes must lie between {least} and {most}")


def run_orders(stage: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """Return a stage's actions grouped by run order: groups run one after the other."""
    orders = sorted({action.get("runOrder", 1) for action in stage["actions"]})
    return [[a for a in stage["actions"] if a.get("runOrder", 1) == order] for order in orders]


def actions(declaration: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (stage name, action) of a whole pipeline."""
    for stage in declaration["stages"]:
        for action in stage["actions"]:
            yield stage["name"], action


def store_of(declaration: Mapping[str, Any], region: str) -> dict[str, Any]:
    """Return the artifact store for actions of a region; raises `ServiceError` when there is none."""
    stores = declaration.get("artifactStores")
    if stores is None:
        return declaration["artifactStore"]
    if region not in stores:
        raise _invalid(f"the pipeline has no artifact store in {region}")
    return stores[region]


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidStructureException", message)
