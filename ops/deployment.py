"""What is to be deployed where: the settings as they apply, and the names that follow from them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.faults import OperatorFault

ROOT = Path(__file__).resolve().parents[1]
TOOLING = "tooling"


class SettingsFault(OperatorFault):
    """The settings are wrong; one line per fault, each with its setting and the cure."""


@dataclass(frozen=True)
class Place:
    """One account in one region; `name` is the environment's, or `tooling`."""

    name: str
    account: str
    region: str

    def __str__(self) -> str:
        """As people name it: ``dev (222222222222, us-east-1)``."""
        return f"{self.name} ({self.account}, {self.region})"


@dataclass(frozen=True)
class Environment:
    """An environment, with all its settings as they apply."""

    name: str
    account: str
    regions: tuple[str, ...]
    protected: bool
    settings: dict[str, Any]

    @property
    def on_functions(self) -> bool:
        """Whether models are served by functions, and by no endpoint."""
        return self.settings.get("hosting", {}).get("mode") == "lambda"

    @property
    def places(self) -> tuple[Place, ...]:
        """Where it is deployed."""
        return tuple(Place(self.name, self.account, region) for region in self.regions)


@dataclass(frozen=True)
class Deployment:
    """The platform: its name, its pipeline's place, and its environments in the order of delivery."""

    name: str
    tooling: Place
    environments: tuple[Environment, ...]
    source: dict[str, Any]

    @property
    def pipeline(self) -> str:
        """The pipeline, which is the delivery stack's name as well."""
        return f"{self.name}-delivery"

    @property
    def protected(self) -> bool:
        """Whether any environment holds what must not be lost."""
        return any(environment.protected for environment in self.environments)

    @property
    def support_regions(self) -> tuple[str, ...]:
        """Regions where the tooling account holds artifacts only: those of environments, not its own."""
        found = {place.region for place in self.environment_places()} - {self.tooling.region}
        return tuple(sorted(found))

    def environment_places(self) -> Iterator[Place]:
        """Every place of every environment, in the order of delivery."""
        for environment in self.environments:
            yield from environment.places

    def delivery_places(self) -> tuple[Place, ...]:
        """Where the delivery itself has stacks: the pipeline's place, then the support regions."""
        elsewhere = (Place(TOOLING, self.tooling.account, region) for region in self.support_regions)
        return (self.tooling, *elsewhere)

    def places(self) -> tuple[Place, ...]:
        """All places, the tooling account's first."""
        return (*self.delivery_places(), *self.environment_places())

    def accounts(self) -> dict[str, str]:
        """Account numbers by name: `tooling`, and each environment."""
        return {TOOLING: self.tooling.account, **{e.name: e.account for e in self.environments}}

    def prefix(self, environment: str) -> str:
        """What the names of an environment's stacks and resources begin with."""
        return f"{self.name}-{environment}-"


def read_deployment(root: Path = ROOT) -> Deployment:
    """The deployment that cdk.json describes. Raises SettingsFault.

    The settings are read by the program that reads them for the pipeline, so that there is one truth.
    """
    done = subprocess.run(
        [sys.executable, "-m", "stages"], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["python -m stages failed without a word"]
        # A defect of the reader shows as a stack trace, whose last line says what.
        raise SettingsFault("\n".join(said[-1:] if said[0].startswith("Traceback") else said))
    return parse(json.loads(done.stdout))


def parse(settings: dict[str, Any]) -> Deployment:
    """The deployment of complete settings."""
    tooling = settings["tooling"]
    return Deployment(
        name=settings["name"],
        tooling=Place(TOOLING, tooling["account"], tooling["region"]),
        environments=tuple(
            Environment(
                name=each["name"],
                account=each["account"],
                regions=tuple(each["regions"]),
                protected=each["protected"],
                settings=each,
            )
            for each in settings["environments"]
        ),
        source=settings["source"],
    )
