"""Calls the deployed API as a client does: under its own address, signed as an IAM role or not."""

from __future__ import annotations

from typing import Any

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "us-east-1"


class Signature(requests.auth.AuthBase):
    """Signs requests by AWS Signature Version 4 for API Gateway."""

    def __init__(self, credentials: Credentials) -> None:
        self._signer = SigV4Auth(credentials, "execute-api", REGION)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        unsigned = AWSRequest(r.method, r.url, data=r.body or b"", headers={})
        self._signer.add_auth(unsigned)
        r.headers.update(dict(unsigned.headers.items()))
        return r


class Caller:
    """Asks one API; `credentials` None asks unsigned."""

    def __init__(self, url: str, credentials: Credentials | None) -> None:
        """`url` is the stage's address, with a slash at its end."""
        self.url = url.rstrip("/")
        self.session = requests.Session()
        self.session.auth = Signature(credentials) if credentials else _unsigned

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request; `path` begins with a slash."""
        return self.session.request(method, self.url + path, timeout=60, **more)

    def image(self, data: bytes, path: str = "/v1/predictions", **headers: str) -> requests.Response:
        """Ask about a PNG."""
        sent = {"Content-Type": "image/png", **{name.replace("_", "-"): v for name, v in headers.items()}}
        return self.call("POST", path, data=data, headers=sent)


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leaves a request as it is: without this, `requests` would look for credentials in ~/.netrc."""
    return request
