"""AWS's own URL of an API works unchanged through the proxy; everything else passes through it untouched."""

import http.server
import json
import os
import ssl
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

pytestmark = pytest.mark.twin
OWNER, OTHER = "222222222222", "333333333333"


def make_api(twin: Any, account: str, authorization: str, policy: Any = None) -> str:
    gateway = twin.client("apigateway", account)
    settings = {"policy": json.dumps(policy)} if policy else {}
    api = gateway.create_rest_api(name="api", **settings)["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    here = {"restApiId": api, "resourceId": root, "httpMethod": "POST"}
    gateway.put_method(**here, authorizationType=authorization)
    gateway.put_integration(**here, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    gateway.put_method_response(**here, statusCode="200")
    gateway.put_integration_response(
        **here, statusCode="200", responseTemplates={"application/json": '{"ok": true}'}
    )
    gateway.create_deployment(restApiId=api, stageName="live")
    return f"https://{api}.execute-api.us-east-1.amazonaws.com/live"


def caller(twin: Any, account: str, resource: str = "*") -> dict[str, str]:
    name = f"caller-{abs(hash(resource))}"
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}]}
    iam = twin.client("iam", account)
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({"Statement": [statement]}))
    return twin.client("sts", account).assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]


def proxy_url(twin: Any) -> str:
    return f"http://127.0.0.1:{twin.get('health')['proxy_port']}"


def bundle(twin: Any) -> str:
    return str(twin.home / "proxy" / "ca-bundle.pem")


def post(twin: Any, url: str, session: dict[str, str] | None) -> requests.Response:
    headers = {"Content-Type": "application/json"}
    if session:
        request = AWSRequest("POST", url, data=b"{}", headers=headers)
        keys = Credentials(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
        SigV4Auth(keys, "execute-api", "us-east-1").add_auth(request)
        headers = dict(request.headers)
    return requests.post(
        url, data=b"{}", headers=headers, proxies={"https": proxy_url(twin)}, verify=bundle(twin), timeout=20
    )


def test_signed_call_of_an_iam_authorised_api(twin: Any) -> None:
    url = make_api(twin, OWNER, "AWS_IAM")
    api = urllib.parse.urlsplit(url).netloc.partition(".")[0]
    session = caller(twin, OWNER, f"arn:aws:execute-api:us-east-1:{OWNER}:{api}/live/POST/")
    answer = post(twin, url, session)
    assert (answer.status_code, answer.json()) == (200, {"ok": True})
    assert post(twin, make_api(twin, OWNER, "AWS_IAM"), session).status_code == 403
    assert post(twin, url, None).status_code == 403


def test_curl_signs_and_calls(twin: Any) -> None:
    url, session = make_api(twin, OWNER, "AWS_IAM"), caller(twin, OWNER)
    command = ["curl", "--silent", "--show-error", "--proxy", proxy_url(twin), "--cacert", bundle(twin)]
    command += ["--aws-sigv4", "aws:amz:us-east-1:execute-api"]
    command += ["--user", f"{session['AccessKeyId']}:{session['SecretAccessKey']}"]
    command += [
        "-H",
        f"X-Amz-Security-Token: {session['SessionToken']}",
        "-H",
        "Content-Type: application/json",
    ]
    done = subprocess.run(
        [*command, "-d", "{}", url], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.stdout, done.stderr) == ('{"ok": true}', "")


def test_unsigned_call_finds_the_owner_by_the_id_of_the_api(twin: Any) -> None:
    assert post(twin, make_api(twin, OWNER, "NONE"), None).json() == {"ok": True}


def test_caller_of_another_account_needs_the_policy_of_the_api(twin: Any) -> None:
    session = caller(twin, OTHER)
    assert post(twin, make_api(twin, OWNER, "AWS_IAM"), session).status_code == 403
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": OTHER},
        "Action": "execute-api:Invoke",
        "Resource": "execute-api:/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    assert post(twin, make_api(twin, OWNER, "AWS_IAM", policy), session).status_code == 200


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{self.path} {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def other_server() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


def test_plain_request_is_forwarded(twin: Any, other_server: int) -> None:
    url = f"http://127.0.0.1:{other_server}/a?b=c"
    session = requests.Session()
    session.trust_env = False
    for _ in range(2):
        answer = session.get(url, proxies={"http": proxy_url(twin)}, timeout=10)
        assert answer.text == f"/a?b=c 127.0.0.1:{other_server}"


def test_other_hosts_are_tunnelled_with_their_own_certificate(twin: Any, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    command = ["openssl", *request.split(), "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://localhost:{server.server_address[1]}/x"
    try:
        command = [
            "curl",
            "--silent",
            "--noproxy",
            "",
            "--proxy",
            proxy_url(twin),
            "--cacert",
            str(certificate),
        ]
        clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        done = subprocess.run(
            [*command, url], capture_output=True, text=True, env=clean, check=False, timeout=30
        )
    finally:
        server.shutdown()
    assert done.stdout == f"/x localhost:{server.server_address[1]}"


def test_unreachable_host_is_named(twin: Any) -> None:
    answer = requests.get("http://127.0.0.1:9/", proxies={"http": proxy_url(twin)}, timeout=10)
    assert answer.status_code == 502
    assert "127.0.0.1:9 cannot be reached" in answer.text
