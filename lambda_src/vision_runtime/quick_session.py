"""A session of botocore whose first clients are there sooner, where each cold start counts."""

from __future__ import annotations

import functools
import gzip
import json
from typing import Any

from botocore.config import Config
from botocore.loaders import JSONFileLoader, Loader
from botocore.session import Session

from vision_runtime.tracing import trace_calls


def quick_session() -> Session:
    """A session that makes the clients that botocore makes; boto3 around it would cost 40 ms more."""
    session = Session()
    session.register_component("data_loader", _QuickLoader(file_loader=_PlainFiles()))
    return session


def traced_client(service: str, settings: Config, shown: dict[str, str]) -> Any:
    """A client whose calls are part of the invocation's trace; `shown` as for `tracing.trace_calls`."""
    made: Any = _session().create_client(service, config=settings)
    trace_calls(made, shown=shown)
    return made


@functools.cache
def _session() -> Session:
    return quick_session()


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
