"""CloudFormation's resource schemas, as cfn-lint ships them: which properties cannot change in place."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

from delivery.dossier.faults import DossierError

# Schemas differ between regions in what exists there, not in what a change of a property does.
_REGION = "us-east-1"
_PROPERTIES = "/properties/"
# Attributes that no update of any type changes.
_FIXED = ("Arn", "GroupId", "RootResourceId")


def create_only(type_name: str) -> frozenset[str]:
    """Paths of properties whose change makes a new resource, such as `TableName` or `Code/ZipFile`."""
    return _paths(type_name, "createOnlyProperties")


def conditionally_create_only(type_name: str) -> frozenset[str]:
    """Paths of properties whose change makes a new resource under some conditions."""
    return _paths(type_name, "conditionalCreateOnlyProperties")


def name_property(type_name: str) -> str | None:
    """The property that holds the name a template may give to a resource, such as `BucketName`."""
    identifier = _schema(type_name).get("primaryIdentifier") or []
    read_only = _schema(type_name).get("readOnlyProperties") or []
    if len(identifier) != 1 or identifier[0] in read_only:
        return None
    return str(identifier[0]).removeprefix(_PROPERTIES)


def is_fixed(type_name: str, attribute: str) -> bool:
    """Whether an attribute (empty: the resource's own id) stays as long as the resource does."""
    kind = type_name.rsplit("::", 1)[-1]
    named = {"", *_FIXED, f"{kind}Arn", f"{kind}Id", f"{kind}Name", *create_only(type_name)}
    identifier = _schema(type_name).get("primaryIdentifier") or []
    return attribute in named or f"{_PROPERTIES}{attribute}" in identifier


def is_known(type_name: str) -> bool:
    """Whether there is a schema for the type; custom resources have none."""
    return type_name in _index()


def _paths(type_name: str, key: str) -> frozenset[str]:
    return frozenset(str(path).removeprefix(_PROPERTIES) for path in _schema(type_name).get(key) or [])


@cache
def _schema(type_name: str) -> dict[str, Any]:
    digest = _index().get(type_name)
    return _read(_folder() / "resources" / f"{digest}.json") if digest else {}


@cache
def _index() -> dict[str, str]:
    return _read(_folder() / "providers" / f"{_REGION}.json")


@cache
def _folder() -> Path:
    # Found, not imported: cfn-lint's own start takes longer than the rest of a dossier.
    found = importlib.util.find_spec("cfnlint")
    if found is None or not found.submodule_search_locations:
        raise DossierError("cfn-lint, whose resource schemas are needed, is not installed: run `make setup`")
    return Path(found.submodule_search_locations[0]) / "data" / "schemas"


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DossierError(
            f"cfn-lint's resource schemas cannot be read ({error}): run `make setup`"
        ) from None
