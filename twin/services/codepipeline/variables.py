"""Resolves `#{namespace.variable}` in an action's configuration."""

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"#\{([A-Za-z0-9_@\-]+)\.([A-Za-z0-9_@\-]+)\}")


class VariableError(Exception):
    """A reference names what no action before this one has produced; the message names it."""


def references(*texts: str) -> list[tuple[str, str]]:
    """Return (namespace, name) of every reference in the texts."""
    return [(match[1], match[2]) for text in texts for match in _REFERENCE.finditer(text)]


def resolve(configuration: Mapping[str, str], namespaces: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the configuration with every reference replaced; raises `VariableError`."""

    def value(match: re.Match[str]) -> str:
        space, name = match[1], match[2]
        if name not in namespaces.get(space, {}):
            raise VariableError(
                f"the variable #{{{space}.{name}}} is not defined: no action before this one has produced it"
            )
        return str(namespaces[space][name])

    return {key: _REFERENCE.sub(value, text) for key, text in configuration.items()}
