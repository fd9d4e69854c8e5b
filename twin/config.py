"""What one twin runs with: its home folder, port and project, and the project's own data from `twin.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

PROJECT_FILE = "twin.toml"


class ConfigError(Exception):
    """The twin was set up wrongly; the message names the key and the cure."""


@dataclass(frozen=True)
class TwinConfig:
    """Settings of the running twin.

    `home` holds state, logs and work folders; `project_root` holds `twin.toml` and the product;
    `settings` is the parsed content of `twin.toml`.
    """

    home: Path
    port: int
    project_root: Path
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def endpoint(self) -> str:
        """URL of the twin; an IP address, so that S3 clients use path style."""
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def accounts(self) -> dict[str, str]:
        """Account aliases, alias -> account id, from table `accounts`."""
        table = self.section("accounts")
        for alias, account in table.items():
            if not (isinstance(account, str) and account.isdigit() and len(account) == 12):
                raise ConfigError(
                    f"{PROJECT_FILE}: accounts.{alias} must be a string of 12 digits, not {account!r}"
                )
        return dict(table)

    def section(self, name: str) -> dict[str, Any]:
        """Return table `name` of `twin.toml` (empty where missing); raises `ConfigError` if no table."""
        table = self.settings.get(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{PROJECT_FILE}: [{name}] must be a table")
        return table

    def folder(self, *parts: str) -> Path:
        """Return a folder below `home`, made when it is missing."""
        path = self.home.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path


def load(home: Path, port: int, project_root: Path) -> TwinConfig:
    """Read `twin.toml` of the project (it may be missing); raises `ConfigError` when it cannot be read."""
    settings: dict[str, Any] = {}
    path = project_root / PROJECT_FILE
    if path.is_file():
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            raise ConfigError(f"{PROJECT_FILE} is not valid TOML: {fault}") from fault
    return TwinConfig(home=home.resolve(), port=port, project_root=project_root.resolve(), settings=settings)


_current: TwinConfig | None = None


def use(config: TwinConfig) -> None:
    """Make `config` the one that `current` returns."""
    global _current  # noqa: PLW0603  # one twin per process, as one emulator per process
    _current = config


def current() -> TwinConfig:
    """Return the settings of the running twin; raises `ConfigError` outside of one."""
    if _current is None:
        raise ConfigError("the twin is not running in this process: start twin.server first")
    return _current
