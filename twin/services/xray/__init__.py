"""X-Ray on one machine: takes segments by its API and by the daemon, finds traces by id and by time."""

from twin.services.xray.daemon import DaemonPort
from twin.services.xray.documents import fault_of
from twin.services.xray.headers import Sampler, TraceHeader, new_id, new_root, parse
from twin.services.xray.store import store

__all__ = [
    "DaemonPort",
    "Sampler",
    "TraceHeader",
    "fault_of",
    "install",
    "new_id",
    "new_root",
    "parse",
    "store",
]


def install() -> None:
    """Serve X-Ray in the twin."""
    from twin.services.xray import service

    service.install()
