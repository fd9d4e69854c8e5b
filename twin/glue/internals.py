"""The only door to ministack: hands out its modules, limited to the names in the manifest."""

import importlib
import types
from typing import Any

from twin.glue.manifest import PRIVATE_NAMES


class GlueError(RuntimeError):
    """Ministack is not what the manifest says, or a module asked for a name that the manifest lacks."""


class Internal:
    """One ministack module; to read or replace a name that the manifest lacks raises `GlueError`."""

    def __init__(self, name: str) -> None:
        """`name` is the module's path below ``ministack.``; the module is imported on first use."""
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_names", frozenset(PRIVATE_NAMES.get(name, ())))

    def _module(self, attribute: str) -> types.ModuleType:
        if attribute not in self._names:
            raise GlueError(
                f"ministack.{self._name}.{attribute} is used but not listed in twin/glue/manifest.py"
            )
        return importlib.import_module(f"ministack.{self._name}")

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._module(attribute), attribute)

    def __setattr__(self, attribute: str, value: Any) -> None:
        setattr(self._module(attribute), attribute, value)


def internal(name: str) -> Any:
    """Return ministack's module `name` (such as ``services.s3``), limited to the names in the manifest."""
    if name not in PRIVATE_NAMES:
        raise GlueError(f"ministack.{name} is used but not listed in twin/glue/manifest.py")
    return Internal(name)


def selfcheck() -> None:
    """Raise `GlueError` naming every entry of the manifest that the installed ministack lacks."""
    missing: list[str] = []
    for module, names in PRIVATE_NAMES.items():
        try:
            loaded = importlib.import_module(f"ministack.{module}")
        except ImportError as fault:
            missing.append(f"ministack.{module} ({fault})")
            continue
        missing += [f"ministack.{module}.{name}" for name in names if not hasattr(loaded, name)]
    if missing:
        raise GlueError(
            "this ministack lacks what the twin relies on: "
            + ", ".join(missing)
            + " (install the version pinned in requirements/twin.txt)"
        )
