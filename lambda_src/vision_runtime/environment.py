"""Reads a function's configuration from environment variables; a missing or wrong one names itself."""

from __future__ import annotations

from collections.abc import Mapping


class ConfigurationError(RuntimeError):
    """The function is deployed with a variable missing or wrong; the message names it."""


def text(environment: Mapping[str, str], name: str) -> str:
    """The variable's value. Raises ConfigurationError when it is absent or empty."""
    value = environment.get(name, "")
    if not value:
        raise ConfigurationError(f"the environment variable {name} is not set")
    return value


def share(environment: Mapping[str, str], name: str, default: str | None = None) -> float:
    """The variable's value as a share from 0 to 1. Raises ConfigurationError when it is not one."""
    written = environment.get(name, default) if default is not None else text(environment, name)
    try:
        value = float(str(written))
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ConfigurationError(f"the environment variable {name} is {written!r}; it must be from 0 to 1")
    return value


def positive(environment: Mapping[str, str], name: str, default: int) -> int:
    """The variable's value as a whole number, at least 1. Raises ConfigurationError when it is not one."""
    written = environment.get(name, str(default))
    if not written.isdecimal() or int(written) < 1:
        raise ConfigurationError(
            f"the environment variable {name} is {written!r}; it must be a whole number, at least 1"
        )
    return int(written)


def whole(environment: Mapping[str, str], name: str, least: int = 1) -> int:
    """The variable's value as a whole number, `least` or more. Raises ConfigurationError otherwise."""
    written = text(environment, name)
    if not written.isdecimal() or int(written) < least:
        raise ConfigurationError(
            f"the environment variable {name} is {written!r}; it must be a whole number, at least {least}"
        )
    return int(written)
