"""Life cycle of the twin: start, stop, what survives, and what is left behind."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from tests.twin.lambda_runtime.conftest import Lambdas

pytestmark = pytest.mark.twin
ROOT = Path(__file__).resolve().parents[2]


def test_health_names_ports_and_home(twin: Any) -> None:
    health = twin.get("health")
    assert health.pop("proxy_port") > 0
    assert health == {
        "status": "ready",
        "pid": twin.process.pid,
        "port": twin.port,
        "home": str(twin.home),
        "project": str(ROOT),
    }


def test_unknown_own_path_is_named(twin: Any) -> None:
    import requests

    answer = requests.get(f"{twin.endpoint}/_twin/nothing", timeout=10)
    assert answer.status_code == 404
    assert "GET /_twin/nothing" in answer.json()["message"]


def test_busy_port_gives_one_line_with_the_cure(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            [
                ROOT / "build/envs/twin/bin/python",
                "-m",
                "twin.server",
                "--home",
                tmp_path,
                "--port",
                str(port),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.strip() == (
        f"twin: port {port} is in use: stop what listens there, or choose another with --port"
    )


def test_second_twin_of_a_home_is_refused(twin: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = str(probe.getsockname()[1])
    done = subprocess.run(
        [ROOT / "build/envs/twin/bin/python", "-m", "twin.server", "--home", twin.home, "--port", free],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    expected = f"twin: {twin.home} is in use by another twin: stop it, or choose another with --home"
    assert done.stderr.strip() == expected


def test_state_survives_a_stop_and_reset_empties_it(new_twin: Callable[..., Any]) -> None:
    first = new_twin()
    first.client("s3").create_bucket(Bucket="kept-bucket")
    first.client("s3").put_object(Bucket="kept-bucket", Key="a/b", Body=b"content")
    first.client("dynamodb").create_table(
        TableName="kept",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    first.client("dynamodb").put_item(TableName="kept", Item={"pk": {"S": "x"}, "b": {"B": b"\x00\xff"}})
    first.client("iam").create_role(RoleName="kept", AssumeRolePolicyDocument="{}")
    assert first.stop() == 0

    second = new_twin(first.home)
    assert second.client("s3").get_object(Bucket="kept-bucket", Key="a/b")["Body"].read() == b"content"
    assert second.client("dynamodb").get_item(TableName="kept", Key={"pk": {"S": "x"}})["Item"] == {
        "pk": {"S": "x"},
        "b": {"B": b"\x00\xff"},
    }
    assert second.client("iam").get_role(RoleName="kept")["Role"]["RoleName"] == "kept"

    assert second.post("reset") == {"status": "empty"}
    assert second.client("s3").list_buckets()["Buckets"] == []
    assert second.stop() == 0
    third = new_twin(first.home)
    assert third.client("dynamodb").list_tables()["TableNames"] == []
    assert third.client("s3").list_buckets()["Buckets"] == []


LONG = """
import pathlib, time
def handler(event, _):
    pathlib.Path(event["begun"]).touch()
    time.sleep(590)
"""


def test_stop_does_not_wait_for_a_function_that_runs(new_twin: Callable[..., Any], tmp_path: Path) -> None:
    first = new_twin()
    lambdas = Lambdas(first)
    name, begun = lambdas.make(LONG, Timeout=600), tmp_path / "begun"

    def ask() -> None:
        with pytest.raises(BotoCoreError):
            lambdas.invoke(name, {"begun": str(begun)})

    asking = threading.Thread(target=ask)
    asking.start()
    deadline = time.monotonic() + 60
    while not begun.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert first.stop() == 0  # which waits for 30 s, the function for ten minutes
    asking.join(30)
    assert not asking.is_alive()
    second = new_twin(first.home).client("lambda", lambdas.account)
    assert second.get_function(FunctionName=name)["Configuration"]["FunctionName"] == name


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]


CHILD = """
import json, sys, pathlib, time
sys.path.insert(0, {root!r})
from twin import config, processes
home = pathlib.Path({home!r})
config.use(config.TwinConfig(home=home, port=1, project_root=home))
process = processes.start(["/bin/sh", "-c", "sleep 600 & echo $! ; wait"], name="job", cwd=home, env={{}},
                          stdout=open(home / "child.pid", "w"))
while not (home / "child.pid").read_text():
    time.sleep(0.01)
print(process.pid, flush=True)
time.sleep(600)
"""


def test_children_of_a_killed_twin_are_swept_at_the_next_start(
    new_twin: Callable[..., Any], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    killed = subprocess.Popen(
        [ROOT / "build/envs/twin/bin/python", "-c", CHILD.format(root=str(ROOT), home=str(home))],
        stdout=subprocess.PIPE,
    )
    assert killed.stdout is not None
    leader = int(killed.stdout.readline())
    grandchild = int((home / "child.pid").read_text())
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert _alive(leader) and _alive(grandchild)
    new_twin(home)
    assert not _alive(leader) and not _alive(grandchild)
    assert not (home / "processes.json").exists()
