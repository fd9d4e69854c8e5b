"""The smoke role is assumed with the run's name, used for every call, and assumed again before it expires."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import pytest

from smoke_tests import session

ROLE = "arn:aws:iam::222222222222:role/vision-dev-smoke"


class Sts:
    """A token service on a real port: notes who asked for what, hands out credentials that soon expire."""

    def __init__(self) -> None:
        self.assumed: list[dict[str, list[str]]] = []
        self.callers: list[str] = []
        sts = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                sts.callers.append(self.headers["Authorization"].split("Credential=")[1].split("/")[0])
                body = sts.answer(asked).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    def answer(self, asked: dict[str, list[str]]) -> str:
        if asked["Action"] == ["GetCallerIdentity"]:
            return (
                '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
                f"<Arn>{ROLE}</Arn><UserId>x</UserId><Account>222222222222</Account>"
                "</GetCallerIdentityResult></GetCallerIdentityResponse>"
            )
        self.assumed.append(asked)
        expires = datetime.now(UTC) + timedelta(minutes=5)
        return (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
            f"<AccessKeyId>ASSUMED{len(self.assumed)}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            f"<SessionToken>t</SessionToken><Expiration>{expires:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
            "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    made = Sts()
    threading.Thread(target=made.server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{made.server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "BUILD")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_calls_are_made_as_the_assumed_role_and_the_build_only_assumes_it(sts: Sts) -> None:
    aws = session.assume(ROLE, "smoke-1", "us-east-1")
    assert sts.callers == [], "nothing is asked before it is needed"
    assert aws.sts.get_caller_identity()["Account"] == "222222222222"
    assert sts.callers[0] == "BUILD" and sts.callers[-1].startswith("ASSUMED")
    assert sts.assumed[0]["RoleArn"] == [ROLE] and sts.assumed[0]["RoleSessionName"] == ["smoke-1"]


def test_credentials_that_soon_expire_are_fetched_anew(sts: Sts) -> None:
    aws = session.assume(ROLE, "smoke-1", "us-east-1")
    aws.sts.get_caller_identity()
    assumed_before = len(sts.assumed)
    aws.sts.get_caller_identity()
    assert len(sts.assumed) > assumed_before
    assert aws.credentials.get_frozen_credentials().access_key.startswith("ASSUMED")
