"""Who answers for an endpoint: one fleet of servers, or two while a deployment shifts traffic."""

import random
import threading
from collections.abc import Iterator, Mapping

from twin.services.sagemaker.fleet import Fleet
from twin.services.sagemaker.model_server import ModelServer
from twin.services.sagemaker.records import Record

# Successive multiples of the golden section, without their whole part, fill the interval evenly: even a short
# run of requests is shared out as it should be, and no rhythm of a client can fall in with it.
_GOLDEN = 0.6180339887498949


class Traffic:
    """The traffic of one endpoint."""

    def __init__(self, fleet: Fleet) -> None:
        """All of it goes to `fleet`."""
        self.fleet = fleet
        self._next: tuple[Fleet, list[Record]] | None = None
        self._shares: Mapping[str, float] = {}
        self._turn = random.random()  # noqa: S311  # a place to start at, not a secret
        self._lock = threading.Lock()

    def share(self, fleet: Fleet, variants: list[Record], shares: Mapping[str, float]) -> None:
        """Let another fleet with its `variants` have this share (0 to 1) of each variant's requests."""
        with self._lock:
            self._next, self._shares = (fleet, variants), shares

    def take_back(self) -> None:
        """Let the first fleet have all requests again."""
        with self._lock:
            self._next, self._shares = None, {}

    def hand_over(self) -> Fleet:
        """Let the other fleet be the only one; returns the one that has answered before."""
        with self._lock:
            if self._next is None:
                raise RuntimeError("no fleet shares the traffic")
            before, self.fleet = self.fleet, self._next[0]
            self._next, self._shares = None, {}
            return before

    def variants(self, serving: list[Record]) -> list[Record]:
        """Return the variants that share requests by weight: those of the record until all is shifted."""
        following, shares = self._next, self._shares
        if following is not None and shares and all(share >= 1 for share in shares.values()):
            return following[1]
        return serving

    def servers(self, variant: str) -> Iterator[ModelServer]:
        """Yield who is to have the next request of a variant, then who takes it if nothing listens there."""
        with self._lock:
            following, share = self._next, self._shares.get(variant, 0.0)
            self._turn = (self._turn + _GOLDEN) % 1
            to_next = self._turn < share
        fleets = [self.fleet] if following is None else [self.fleet, following[0]]
        for fleet in reversed(fleets) if to_next else fleets[:1]:
            server = fleet.server(variant)
            if server is not None:
                yield server

    def fleets(self) -> list[Fleet]:
        """Return every fleet that may have a request."""
        following = self._next
        return [self.fleet] if following is None else [self.fleet, following[0]]
