"""AWS as the dossier sees it: its own account, and two roles in the environment's account."""

from __future__ import annotations

from threading import Lock
from typing import Any

from boto3.session import Session
from botocore.config import Config

# Answers come within seconds; eight tries with growing pauses ride out the throttling of a busy account.
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=16,
    retries={"mode": "standard", "max_attempts": 8},
)


class Aws:
    """Clients by role, service and region, each made once; usable from several threads.

    A role is assumed on the first call for it, and the refusal (ClientError) comes out of that call.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._lock = Lock()
        self._sessions: dict[str, Session] = {"": Session()}
        self._clients: dict[tuple[str, str, str], Any] = {}

    def own(self, service: str) -> Any:
        """A client with the step's own credentials, in the pipeline's region or that of the environment."""
        return self._client("", service, self._sessions[""].region_name or self._region)

    def by(self, role_arn: str, service: str, region: str) -> Any:
        """A client that acts as `role_arn`. Raises ClientError when the role cannot be assumed."""
        return self._client(role_arn, service, region)

    def _client(self, role: str, service: str, region: str) -> Any:
        with self._lock:
            if role not in self._sessions:
                self._sessions[role] = self._assume(role)
            key = (role, service, region)
            if key not in self._clients:
                self._clients[key] = self._sessions[role].client(service, region_name=region, config=_CONFIG)
            return self._clients[key]

    def _assume(self, role: str) -> Session:
        sts = self._sessions[""].client("sts", region_name=self._region, config=_CONFIG)
        # An hour, the least that AWS gives by default; a dossier takes minutes at most.
        given = sts.assume_role(RoleArn=role, RoleSessionName="dossier")["Credentials"]
        return Session(
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )
