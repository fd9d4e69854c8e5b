"""Speaks to the platform's API as a caller does, signed with the smoke role's credentials."""

import time
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from smoke_tests import traces
from smoke_tests.budget import Budget

PREDICTIONS_PATH = "v1/smoke/predictions"
SUBMIT_PATH = f"{PREDICTIONS_PATH}:submit"
CALLERS = 4
# API Gateway itself gives up after 29 s.
_TIMEOUT = (5, 30)
# A throttle or a passing fault of the gateway is not what a smoke test looks for; a second one in a row is.
_PASSING = {429, 500, 502, 503, 504}
_MOST_TRIES = 3
_TRACE = "X-Amzn-Trace-Id"
_LONGEST_RETRY_AFTER = 5.0


@dataclass(frozen=True)
class Answer:
    """One answer of the API; content type in lower case without parameters, time as the caller saw it."""

    status: int
    content_type: str
    body: Any  # parsed JSON, or None when it is none
    milliseconds: float
    tries: int = 1
    trace_id: str = ""


class _SignedWithRole(AuthBase):
    """Signs with SigV4 for API Gateway, reading the credentials anew each time: they are refreshed."""

    def __init__(self, credentials: Any, region: str) -> None:
        self._credentials, self._region = credentials, region

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        unsigned = AWSRequest(
            method=str(r.method),
            url=str(r.url),
            data=r.body or b"",
            headers={
                "Host": urlsplit(str(r.url)).netloc,
                **{name: r.headers[name] for name in ("Content-Type",) if name in r.headers},
            },
        )
        SigV4Auth(self._credentials.get_frozen_credentials(), "execute-api", self._region).add_auth(unsigned)
        r.headers.update(dict(unsigned.headers.items()))
        return r


class Api:
    """The API of one environment, for up to `CALLERS` threads at a time."""

    def __init__(self, base_url: str, credentials: Any, region: str, budget: Budget) -> None:
        """`base_url` ends in a slash; calls stop when `budget` does."""
        self.url = base_url + PREDICTIONS_PATH
        self._base = base_url
        self._auth = _SignedWithRole(credentials, region)
        self._budget = budget
        self.calls = 0
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=CALLERS)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def post(
        self, body: bytes, content_type: str, *, signed: bool = True, tries: int = _MOST_TRIES
    ) -> Answer:
        """Send one image; passing faults of the service are retried up to `tries` times and counted.

        Raises:
            requests.RequestException: the API could not be reached.
        """
        return self._call("POST", self.url, body, content_type, signed=signed, tries=tries)

    def submit(self, body: bytes, content_type: str) -> Answer:
        """Hand one image in for a later answer. Tries again and raises as `post` does."""
        return self._call("POST", self._base + SUBMIT_PATH, body, content_type)

    def result(self, id: str) -> Answer:
        """Ask what became of an image that was handed in. Tries again and raises as `post` does."""
        return self._call("GET", f"{self.url}/{id}", b"", "")

    def _call(
        self,
        method: str,
        url: str,
        body: bytes,
        content_type: str,
        *,
        signed: bool = True,
        tries: int = _MOST_TRIES,
    ) -> Answer:
        attempt = 0
        while True:
            attempt += 1
            self._budget.check("calling the API")
            answer, retry_after = self._call_once(method, url, body, content_type, signed=signed)
            if answer.status not in _PASSING or attempt >= tries:
                return replace(answer, tries=attempt)
            time.sleep(min(retry_after or 0.3 * attempt, _LONGEST_RETRY_AFTER))

    def _call_once(
        self, method: str, url: str, body: bytes, content_type: str, *, signed: bool
    ) -> tuple[Answer, float]:
        began = time.perf_counter()
        self.calls += 1
        typed = {"Content-Type": content_type} if content_type else {}
        response = self._session.request(
            method,
            url,
            data=body or None,
            headers={**typed, _TRACE: traces.new_header()},
            auth=self._auth if signed else _unsigned,
            timeout=_TIMEOUT,
        )
        milliseconds = (time.perf_counter() - began) * 1000
        try:
            parsed = response.json()
        except ValueError:
            parsed = None
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        try:
            retry_after = float(response.headers.get("Retry-After", 0))
        except ValueError:
            retry_after = 0.0
        trace_id = traces.root_of(response.headers.get(_TRACE, ""))
        answer = Answer(response.status_code, kind, parsed, milliseconds, trace_id=trace_id)
        return answer, retry_after


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leaves a request as it is: without this, `requests` would look for credentials in ~/.netrc."""
    return request
