"""One environment as its operator works with it: what it is called, and clients for what runs there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from ops.access import Access
from ops.deployment import Deployment, Environment, Place
from ops.faults import OperatorFault, is_absent

CHAMPION = "champion"
# Ends the name of the alarm that brings an asynchronous endpoint back from zero: it rings in everyday work.
WAKING_ALARM = "-backlog"
_STACKS = ("data", "training", "inference")
# Looked at only for what it alone says: an environment of an earlier commit has none.
_STREAMING = "streaming"


@dataclass(frozen=True)
class Home:
    """An environment in one region."""

    deployment: Deployment
    environment: Environment
    place: Place
    access: Access

    def __str__(self) -> str:
        """As people name it: ``dev (222222222222, us-east-1)``."""
        return str(self.place)

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.environment.name

    @property
    def prefix(self) -> str:
        """What its resources' names begin with, such as `vision-dev`."""
        return f"{self.deployment.name}-{self.environment.name}"

    @property
    def option(self) -> str:
        """What a command needs to mean this environment and region again."""
        at_home = self.place.region == self.environment.regions[0]
        return f"--environment {self.name}" + ("" if at_home else f" --region {self.place.region}")

    def client(self, service: str) -> Any:
        """A boto3 client of the environment's account. Raises NoAccess."""
        return self.access.client(self.place, service)

    def endpoint(self, line: str = CHAMPION) -> str:
        """The line's endpoint, which is its model package group's name as well."""
        return f"{self.prefix}-{line}"

    @property
    def on_functions(self) -> bool:
        """Whether models are served by functions, and by no endpoint."""
        return self.environment.on_functions

    def function(self, line: str = CHAMPION) -> str:
        """The function that serves the line's models, where one does."""
        return f"{self.endpoint(line)}-model"

    def machine(self, kind: str) -> str:
        """The ARN of a state machine: `training` or `promotion`."""
        place = self.place
        return f"arn:aws:states:{place.region}:{place.account}:stateMachine:{self.prefix}-{kind}"

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The outputs of the environment's own stacks. Raises OperatorFault when they are not deployed."""
        found: dict[str, str] = {}
        api = self.client("cloudformation")
        for stack in (*_STACKS, _STREAMING):
            try:
                (told,) = api.describe_stacks(StackName=f"{self.prefix}-{stack}")["Stacks"]
            except ClientError as fault:
                if is_absent(fault) and stack == _STREAMING:
                    continue
                if is_absent(fault):
                    raise OperatorFault(
                        f"{self}: there is no stack {self.prefix}-{stack}; deliver the platform to it first"
                    ) from None
                raise
            found |= {each["OutputKey"]: each["OutputValue"] for each in told.get("Outputs", [])}
        return found

    def output(self, key: str) -> str:
        """One stack output. Raises OperatorFault when no stack has it."""
        if key not in self.outputs:
            raise OperatorFault(f"{self}: its stacks have no output {key}; deliver the present commit to it")
        return self.outputs[key]

    @property
    def table(self) -> str:
        """The lineage table."""
        return self.output("LineageTableName")

    @property
    def datasets(self) -> str:
        """The bucket of datasets."""
        return self.output("DatasetsBucket")

    @property
    def artifacts(self) -> str:
        """The bucket of artifacts."""
        return self.output("ArtifactsBucket")


def find(deployment: Deployment, access: Access, environment: str | None, region: str | None = None) -> Home:
    """The environment that is meant: the first one, unless one is named.

    Raises OperatorFault for a name or region that the settings lack, and where the first environment is a
    protected one, which must be named.
    """
    known = {each.name: each for each in deployment.environments}
    if environment is not None and environment not in known:
        raise OperatorFault(
            f"there is no environment {environment} in the settings; choose from {_list(known)}"
        )
    chosen = known[environment] if environment else deployment.environments[0]
    if environment is None and chosen.protected:
        raise OperatorFault(f"{chosen.name} is protected: say --environment {chosen.name} if you mean it")
    if region is not None and region not in chosen.regions:
        raise OperatorFault(f"{chosen.name} is not in {region}; it is in {_list(chosen.regions)}")
    place = Place(chosen.name, chosen.account, region or chosen.regions[0])
    return Home(deployment, chosen, place, access)


def _list(names: Any) -> str:
    return ", ".join(names)
