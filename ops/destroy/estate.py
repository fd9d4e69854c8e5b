"""What belongs to one part of the platform in one account and region: an environment's, or the delivery's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ops.access import Access
from ops.deployment import Deployment, Place

# The delivery's resources carry this where an environment's carry its name.
DELIVERY = "delivery"


@dataclass(frozen=True)
class Estate:
    """One part in one place. `keeps` says whether its data and logs must outlive it."""

    place: Place
    platform: str
    part: str
    keeps: bool
    access: Access

    @property
    def base(self) -> str:
        """What its names begin with; some resources are called just that."""
        return f"{self.platform}-{self.part}"

    def owns(self, name: str) -> bool:
        """Whether a name is one of its: ``vision-dev`` and ``vision-dev-...``, and not ``vision-dev2``."""
        return name == self.base or name.startswith(f"{self.base}-")

    def client(self, service: str) -> Any:
        """A client in its account and region. Raises NoAccess."""
        return self.access.client(self.place, service)

    def __str__(self) -> str:
        """As people name it."""
        return f"{self.part} ({self.place.account}, {self.place.region})"


def estates(deployment: Deployment, access: Access, *, released: frozenset[str]) -> Iterator[Estate]:
    """Everything in the order in which it goes: environments last to first, the delivery, its other regions.

    Environments in `released` do not keep their data, though they are protected. The delivery keeps the
    evidence of what was delivered for as long as one environment keeps its data.
    """
    kept = {e.name for e in deployment.environments if e.protected} - released
    for environment in reversed(deployment.environments):
        for place in reversed(environment.places):
            yield Estate(place, deployment.name, environment.name, environment.name in kept, access)
    for place in deployment.delivery_places():
        yield Estate(place, deployment.name, DELIVERY, bool(kept), access)


def pages(client: Any, operation: str, member: str, **arguments: Any) -> Iterator[Any]:
    """The items of every page of a listing."""
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(member, ())
