"""Sets up clients of AWS for the way of a request, where each call and each cold start counts."""

from __future__ import annotations

import gzip
import json
from typing import Any

from botocore.config import Config
from botocore.loaders import JSONFileLoader, Loader
from botocore.session import Session


def bounded(*, connect_seconds: int, read_seconds: int, tries: int, connections: int = 10) -> Config:
    """The configuration of a client that waits so long for each of so many tries; for any service.

    Two things are left out that take a fifth of botocore's time for a call (0.33 ms of 1.7 for the two of a
    prediction): the description of the machine that it makes anew twice a call, and the look at parameters,
    which are our own here. What is wrong with them the service tells.
    """
    return Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        max_pool_connections=connections,
        retries={"total_max_attempts": tries, "mode": "standard"},
        tcp_keepalive=True,
        user_agent="vision-platform",
        parameter_validation=False,
    )


def quick_session() -> Session:
    """A session of botocore whose first clients are there sooner; boto3 around it would cost 40 ms more."""
    session = Session()
    session.register_component("data_loader", _QuickLoader(file_loader=_PlainFiles()))
    return session


class _PlainFiles(JSONFileLoader):
    """Reads JSON into dicts, which keep their order; botocore's own, made in Python, take twice as long."""

    def load_file(self, file_path: str) -> Any:
        for suffix, opened in ((".json", open), (".json.gz", gzip.open)):
            try:
                with opened(file_path + suffix, "rb") as file:
                    return json.loads(file.read())
            except FileNotFoundError:
                continue
        return None


class _QuickLoader(Loader):
    """Reads a service's model without a look into the folders of all 400 services, to tell a wrong name.

    A wrong name is told all the same: there are no data of it.
    """

    _asked = ""

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        self._asked = service_name
        return super().load_service_model(service_name, type_name, api_version)

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - botocore's signature
        return [self._asked]
