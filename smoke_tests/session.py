"""AWS as the smoke role sees it: refreshable credentials of the assumed role, and one client per service."""

from dataclasses import dataclass
from typing import Any

import botocore.session
from boto3.session import Session
from botocore.config import Config
from botocore.credentials import (
    CredentialProvider,
    DeferredRefreshableCredentials,
    create_assume_role_refresher,
)

# Answers come within seconds or not at all; five tries ride out throttling of a busy account.
_CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 5})
# One connection per uploading thread.
UPLOAD_THREADS = 16
_S3_CONFIG = _CONFIG.merge(Config(max_pool_connections=UPLOAD_THREADS))


@dataclass(frozen=True)
class Aws:
    """The clients of a run; boto3 ships no types for them."""

    s3: Any
    states: Any
    sagemaker: Any
    dynamodb: Any
    sts: Any
    logs: Any
    cloudwatch: Any
    xray: Any
    session: Any  # the boto3 session behind them all, for SageMaker's SDK
    credentials: Any  # botocore credentials of the assumed role, for signing calls of the API


class _AssumedRole(CredentialProvider):
    """Assumes the role on first use and again before its credentials expire."""

    METHOD = CANONICAL_NAME = "smoke-role"

    def __init__(self, role_arn: str, session_name: str, region: str) -> None:
        super().__init__()
        caller = Session(region_name=region).client("sts", config=_CONFIG)
        self._refresh = create_assume_role_refresher(
            caller, {"RoleArn": role_arn, "RoleSessionName": session_name}
        )

    def load(self) -> Any:  # botocore's own annotation says bool
        return DeferredRefreshableCredentials(self._refresh, self.METHOD)


def assume(role_arn: str, session_name: str, region: str) -> Aws:
    """Clients that act as `role_arn` in `region`; no call is made yet, a refusal shows on first use."""
    core = botocore.session.Session()
    providers = core.get_component("credential_provider")
    # Before every other provider: the build's own credentials must never reach the environment by accident.
    providers.providers.insert(0, _AssumedRole(role_arn, session_name, region))
    session = Session(botocore_session=core, region_name=region)
    return Aws(
        s3=session.client("s3", config=_S3_CONFIG),
        states=session.client("stepfunctions", config=_CONFIG),
        sagemaker=session.client("sagemaker", config=_CONFIG),
        dynamodb=session.client("dynamodb", config=_CONFIG),
        sts=session.client("sts", config=_CONFIG),
        logs=session.client("logs", config=_CONFIG),
        cloudwatch=session.client("cloudwatch", config=_CONFIG),
        xray=session.client("xray", config=_CONFIG),
        session=session,
        credentials=session.get_credentials(),
    )


def own_s3() -> Any:
    """An S3 client with the caller's own credentials, for the reports bucket of the pipeline's account."""
    return Session().client("s3", config=_CONFIG)
