"""Roles and functions for the tests of the Lambda runtime, each test with names of its own."""

import base64
import io
import json
import re
import subprocess
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ACCOUNT = "222222222222"
LOGS = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
ROOT = Path(__file__).resolve().parents[3]


def archive(files: dict[str, str | bytes]) -> bytes:
    """Zip of a function's package."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


@dataclass
class Result:
    payload: Any
    error: str | None
    log: str
    version: str


class Lambdas:
    """Makes functions from source and invokes them."""

    account = ACCOUNT

    def __init__(self, twin: Any) -> None:
        self.twin = twin
        self.client = twin.client("lambda", ACCOUNT)
        self.iam = twin.client("iam", ACCOUNT)
        self.archive = archive

    def role(
        self, *statements: dict[str, Any], service: str = "lambda.amazonaws.com", logs: bool = True
    ) -> str:
        name = f"role-{uuid.uuid4().hex[:8]}"
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        for position, statement in enumerate([*statements, LOGS] if logs else statements):
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            self.iam.put_role_policy(RoleName=name, PolicyName=f"p{position}", PolicyDocument=policy)
        return arn

    def make(self, files: str | dict[str, str | bytes], **settings: Any) -> str:
        """Create a function from source (or files) and return its name."""
        package = archive({"index.py": files} if isinstance(files, str) else files)
        settings = {"Runtime": "python3.13", "Handler": "index.handler", **settings}
        name = settings.pop("FunctionName", f"f-{uuid.uuid4().hex[:8]}")
        role = settings.pop("Role", None) or self.role()
        self.client.create_function(FunctionName=name, Role=role, Code={"ZipFile": package}, **settings)
        return name

    def invoke(self, name: str, event: Any = None, **settings: Any) -> Result:
        answer = self.client.invoke(
            FunctionName=name, Payload=json.dumps(event or {}), LogType="Tail", **settings
        )
        log = base64.b64decode(answer.get("LogResult", "")).decode()
        body = json.loads(answer["Payload"].read() or b"null")
        return Result(body, answer.get("FunctionError"), log, answer.get("ExecutedVersion", ""))


@pytest.fixture(scope="session")
def lambdas(twin: Any) -> Lambdas:
    return Lambdas(twin)


@pytest.fixture
def run(lambdas: Lambdas) -> Callable[..., Result]:
    """Create a function from source and invoke it once."""

    def create_and_invoke(files: str | dict[str, str | bytes], event: Any = None, **settings: Any) -> Result:
        return lambdas.invoke(lambdas.make(files, **settings), event)

    return create_and_invoke


def locked(*names: str) -> str:
    """Lines of the project's own lock for some distributions, with their hashes."""
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements/dev.txt").read_text())
    chosen = [block for block in blocks if block.split("==")[0] in names]
    assert len(chosen) == len(names)
    return "\n".join(chosen) + "\n"


@pytest.fixture(scope="session")
def native_package(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | bytes]:
    """Files of a package as the build makes it for Lambda: compiled for another machine, with its lock."""
    lock = locked("pydantic-core", "typing-extensions")
    folder = tmp_path_factory.mktemp("package")
    (folder / "requirements.txt").write_text(lock)
    command = ["uv", "pip", "install", "--quiet", "--no-installer-metadata", "--only-binary", ":all:"]
    command += ["--require-hashes", "--python-platform", "aarch64-manylinux_2_28", "--python-version", "3.13"]
    command += ["--target", str(folder), "-r", str(folder / "requirements.txt")]
    subprocess.run([ROOT / ".venv/bin" / command[0], *command[1:]], check=True)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
