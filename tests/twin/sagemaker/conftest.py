"""A twin with a role, a bucket, an image and a training script: what SageMaker tests need, made once."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.twin.conftest import DEV, REGION, ROOT, SERVER_PYTHON, Twin, start_twin
from tests.twin.sagemaker.programs import DOCKERFILE, EVALUATE, HOSTS, LONG, REDUCE, SERVER, TRAIN, VALLEY

TRAINING_IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/pytorch-training:2.13-cpu-py312"
TORCH_IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/pytorch-training:torch"
TORCH_PYTHON = ROOT / "build/envs/model/bin/python"
BUCKET = "jobs-of-dev"
REPOSITORY = "models"
PATIENCE_SECONDS = 180


def archive(files: dict[str, str]) -> bytes:
    """A tar.gz of texts by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of a tar.gz by name."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}  # pyright: ignore


@dataclass
class Place:
    """An account of a twin with everything set up."""

    twin: Twin
    role: str
    image: str
    clients: dict[str, Any] = field(default_factory=dict[str, Any])

    def delete_endpoints(self) -> None:
        """Stop the servers that tests have left, so that the machine is free for the next ones."""
        for endpoint in self.sagemaker.list_endpoints(MaxResults=100)["Endpoints"]:
            if endpoint["EndpointStatus"] in ("InService", "Failed"):
                self.sagemaker.delete_endpoint(EndpointName=endpoint["EndpointName"])

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = self.twin.client(service, DEV)
        return self.clients[service]

    @property
    def sagemaker(self) -> Any:
        return self.client("sagemaker")

    def put(self, key: str, body: bytes | str) -> str:
        content = body if isinstance(body, bytes) else body.encode()
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)
        return f"s3://{BUCKET}/{key}"

    def get(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()

    def logs(self, group: str, prefix: str) -> list[str]:
        client, lines = self.client("logs"), list[str]()
        for stream in client.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)[
            "logStreams"
        ]:
            name = stream["logStreamName"]
            events = client.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True)[
                "events"
            ]
            lines += [event["message"] for event in events]
        return lines

    def train(self, name: str, **changes: Any) -> dict[str, Any]:
        """Start a job with the script and return the request."""
        hyperparameters = {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://{BUCKET}/code/source.tar.gz",
            "epochs": "2",
            "learning-rate": "0.5",
            **changes.pop("hyperparameters", {}),
        }
        request = {
            "TrainingJobName": name,
            "HyperParameters": hyperparameters,
            "AlgorithmSpecification": {
                "TrainingImage": TRAINING_IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "train:loss", "Regex": "train_loss=([0-9.]+)"}],
            },
            "RoleArn": self.role,
            "InputDataConfig": [
                {
                    "ChannelName": "train",
                    "DataSource": {
                        "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/train/"}
                    },
                }
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **changes,
        }
        self.sagemaker.create_training_job(**request)
        return request

    def run(self, name: str, program: str, hosts: int = 1, **changes: Any) -> None:
        """Start a job with another of the programs, on several hosts."""
        code = {
            "sagemaker_program": program,
            "sagemaker_submit_directory": f"s3://{BUCKET}/code/more.tar.gz",
            **changes.pop("hyperparameters", {}),
        }
        resources = {"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 5}
        self.train(name, HyperParameters=code, ResourceConfig=resources, **changes)

    def trained(self, name: str) -> dict[str, Any]:
        """Wait for a job's end and return it."""

        def ended() -> Any:
            job = self.sagemaker.describe_training_job(TrainingJobName=name)
            return job if job["TrainingJobStatus"] not in ("InProgress", "Stopping") else None

        return until(ended)

    def endpoint_config(self, name: str, answer: str, **variant: Any) -> str:
        """Declare a model that answers `answer`, and a configuration of it."""
        name = name.replace(" ", "-")
        data = self.put(f"artifacts/{name}.tar.gz", archive({"answer.txt": answer}))
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=self.role,
            PrimaryContainer={
                "Image": self.image,
                "ModelDataUrl": data,
                "Environment": {"SETTING": "/opt/ml/model/x"},
            },
        )
        production = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
            **variant,
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[production])
        return name

    def serve(self, name: str, answer: str) -> str:
        """Create an endpoint that answers `answer` and wait until it is in service."""
        self.sagemaker.create_endpoint(
            EndpointName=name, EndpointConfigName=self.endpoint_config(f"{name}-{answer}", answer)
        )
        self.settled(name)
        return name

    def settled(self, name: str) -> dict[str, Any]:
        """Wait until an endpoint is neither created nor updated any more, and return it."""

        def ended() -> Any:
            found = self.sagemaker.describe_endpoint(EndpointName=name)
            return found if found["EndpointStatus"] in ("InService", "Failed") else None

        return until(ended)

    def ask(self, name: str, body: bytes = b"hello", **more: Any) -> dict[str, Any]:
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=name, Body=body, ContentType="application/octet-stream", **more
        )
        return json.loads(answer["Body"].read())


def until(found: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait for `found` to return something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def docker(twin: Twin, folder: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run the twin's docker command."""
    return subprocess.run(
        [sys.executable, "-m", "twin.docker_command", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TWIN_DOCKER_ROOT": str(folder),
            "AWS_ENDPOINT_URL": twin.endpoint,
        },
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def push(twin: Twin, account: str, folder: Path, tag: str) -> str:
    """Build an image of a folder and push it; returns its URI."""
    ecr = twin.client("ecr", account)
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    import base64

    password = base64.b64decode(token).decode().removeprefix("AWS:")
    registry = f"{account}.dkr.ecr.{REGION}.amazonaws.com"
    uri = f"{registry}/{REPOSITORY}:{tag}"
    root = folder / ".docker"
    for arguments, text in (
        (("build", "--tag", uri, str(folder)), ""),
        (("login", "--username", "AWS", "--password-stdin", registry), password),
        (("push", uri), ""),
    ):
        done = docker(twin, root, *arguments, text=text)
        assert done.returncode == 0, done.stderr
    return uri


def prepare(twin: Twin, folder: Path) -> Place:
    """Make role, bucket, data, code and image in the dev account."""
    iam = twin.client("iam", DEV)
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = iam.create_role(
        RoleName="jobs", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    allowed = [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": f"arn:aws:s3:::{BUCKET}/*",
        },
        {"Effect": "Deny", "Action": "s3:*", "Resource": f"arn:aws:s3:::{BUCKET}/secret/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
        {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "cloudwatch:DescribeAlarms", "Resource": "*"},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_role_policy(RoleName="jobs", PolicyName="work", PolicyDocument=policy)
    twin.client("s3", DEV).create_bucket(Bucket=BUCKET)
    twin.client("ecr", DEV).create_repository(repositoryName=REPOSITORY)
    context = folder / "image"
    context.mkdir()
    for name, text in (("Dockerfile", DOCKERFILE), ("serve.py", SERVER), ("evaluate.py", EVALUATE)):
        (context / name).write_text(text)
    place = Place(twin, role, push(twin, DEV, context, "v1"))
    place.put("data/train/a.txt", "a")
    place.put("data/train/deep/b.txt", "b")
    place.put("code/source.tar.gz", archive({"train.py": TRAIN}))
    place.put(
        "code/more.tar.gz",
        archive({"hosts.py": HOSTS, "long.py": LONG, "reduce.py": REDUCE, "valley.py": VALLEY}),
    )
    return place


@pytest.fixture(scope="module", autouse=True)
def tidy(place: Place) -> Iterator[None]:
    yield
    place.delete_endpoints()


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    images = "*.dkr.ecr.*.amazonaws.com/pytorch-training"
    places = {f"{images}:torch": str(TORCH_PYTHON), f"{images}:*": sys.executable}
    rows = [f'[[images]]\npattern = "{name}"\ninterpreter = "{python}"\n' for name, python in places.items()]
    (folder / "twin.toml").write_text(f'[accounts]\ndev = "{DEV}"\n' + "".join(rows))
    return folder


@pytest.fixture(scope="session")
def place(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    folder = tmp_path_factory.mktemp("sagemaker")
    twin = start_twin(folder / "home", project=project)
    yield prepare(twin, folder)
    twin.stop()
