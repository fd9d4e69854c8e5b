"""The servers behind an endpoint: one deployment's, by variant, started and ended together."""

import logging
from collections.abc import Iterable

from twin.services.sagemaker.model_server import ModelServer, StartError

log = logging.getLogger("twin.sagemaker")


class Fleet:
    """The servers of one deployment of an endpoint, by variant."""

    def __init__(self, servers: Iterable[ModelServer]) -> None:
        """`servers` are not started yet."""
        self._servers = {server.variant: server for server in servers}
        self.retired = False

    def start(self) -> None:
        """Start every variant; raises `StartError` for the first that fails, and ends the others."""
        try:
            for server in self._servers.values():
                server.start()
        except StartError:
            self.kill()
            raise
        except Exception as fault:
            log.exception("a fleet did not start")
            self.kill()
            raise StartError(f"{type(fault).__name__}: {fault} (a defect of the local twin)") from fault

    def server(self, variant: str) -> ModelServer | None:
        """Return the server of a variant."""
        return self._servers.get(variant)

    def fault(self) -> str | None:
        """Return what is wrong with the first server that is not fit for traffic, None if all are."""
        return next((fault for server in self._servers.values() if (fault := server.fault)), None)

    def images(self) -> dict[str, str]:
        """Return every image by the name it was asked for and the digest it was found by."""
        return dict(server.image for server in self._servers.values())

    def retire(self) -> None:
        """End every server once it has answered what it was asked."""
        self.retired = True
        for server in self._servers.values():
            server.refuse()
        for server in self._servers.values():
            server.retire()

    def kill(self) -> None:
        """End every server at once."""
        for server in self._servers.values():
            server.kill()
