"""Additions to ministack's own CloudFormation types: properties that it drops, checks that it lacks."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

from twin.glue.internals import internal

# (physical id, properties): completes what ministack made; an exception fails the resource with its message.
Completion = Callable[[str, dict[str, Any]], None]


def complete_cloudformation(type_name: str, complete: Completion) -> None:
    """Call `complete` whenever ministack has created or updated a resource of its own type."""
    handlers = internal("services.cloudformation.provisioners")._RESOURCE_HANDLERS
    original = handlers[type_name]
    create, update, delete = original["create"], original["update"], original["delete"]

    def create_completely(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        made = create(logical_id, properties, stack_name)
        try:
            complete(made[0], properties)
        except Exception:
            delete(made[0], properties)  # the engine does not know of it yet, so it would stay
            raise
        return made

    def update_completely(physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any) -> Any:
        made = update(physical_id, old, new, *rest)
        complete(made[0], new)
        return made

    handlers[type_name] = {**original, "create": create_completely, "update": update_completely}


def add_to_inline_functions(file_name: str, source: str) -> None:
    """Put a file into the package of every Python function whose code stands in its template."""
    provisioners = internal("services.cloudformation.provisioners")
    original = provisioners._zip_inline

    def zip_inline(code: str | None, handler: str, runtime: str = "python3.13") -> bytes | None:
        archive = original(code, handler, runtime)
        if archive is None or not runtime.startswith("python"):
            return archive
        buffer = io.BytesIO(archive)
        with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as package:
            # A fixed date: the digest of the code must not change from one deployment to the next.
            package.writestr(zipfile.ZipInfo(file_name, (1980, 1, 1, 0, 0, 0)), source)
        return buffer.getvalue()

    provisioners._zip_inline = zip_inline
