"""The SageMaker Python SDK v3 itself, in an environment of its own, trains in the twin by its own example.

The example is taken from the SDK's documentation at run time and executed as it stands. The SDK is fetched
once (683 MB, about half a minute); after that the test takes a minute on two busy cores, most of it the
SDK's own imports and polls.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import set_up
from tests.twin.conftest import DEV, ROOT, SERVER_PYTHON, Twin, start_twin
from tests.twin.sagemaker.conftest import unpack

pytestmark = [pytest.mark.twin, pytest.mark.delivery]
SDK_REGION = "us-west-2"  # the example's image lies there
REQUIREMENTS = "requirements/sdk.txt"

TRAIN = """
import os, pathlib
channel = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"])
found = sorted(path.name for path in channel.iterdir())
print("training on", found, flush=True)
pathlib.Path(os.environ["SM_MODEL_DIR"], "found.txt").write_text(",".join(found))
"""

# What follows "Example:" in the documentation of the class, up to the next heading.
EXAMPLE = """
import inspect, json, textwrap
from sagemaker.core.resources import TrainingJob
from sagemaker.train import ModelTrainer

text = inspect.cleandoc(ModelTrainer.__doc__)
code = textwrap.dedent(text.split(".. code:: python", 1)[1].split("Parameters:", 1)[0])
names = {}
exec(compile(code, "the documentation of ModelTrainer", "exec"), names)
name = names["training_job"].training_job_name
job = TrainingJob.get(training_job_name=name)
listed = [one.training_job_name for one in TrainingJob.get_all(name_contains=name)]
told = {"code": code, "name": name, "status": job.training_job_status, "listed": listed}
print(json.dumps({**told, "model": job.model_artifacts.s3_model_artifacts}))
"""


@pytest.fixture(scope="module")
def sdk() -> Path:
    """The interpreter of an environment with the SDK, made when it is missing or its lock has changed."""
    stamp = set_up.STAMPS / "sdk"
    wanted = hashlib.sha256((ROOT / REQUIREMENTS).read_bytes()).hexdigest()
    python = set_up.interpreter("sdk")
    if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
        with set_up.only_one():
            set_up.uv_install(set_up.fresh_env("sdk"), "--require-hashes", "-r", REQUIREMENTS)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(wanted)
    return python


@pytest.fixture
def twin_of_the_example(tmp_path: Path) -> Iterator[Twin]:
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    project = tmp_path / "project"
    project.mkdir()
    image = f"123456789012.dkr.ecr.{SDK_REGION}.amazonaws.com/my-training-image"
    row = f'[[images]]\npattern = "{image}"\ninterpreter = "{sys.executable}"\n'
    (project / "twin.toml").write_text(row)
    running = start_twin(tmp_path / "home", project=project)
    yield running
    running.stop()


def role_of_the_user(twin: Twin) -> dict[str, str]:
    """Credentials of a role that may train and be passed on: the SDK trains with the role of who calls it."""
    iam = twin.client("iam", DEV)
    principals = {"Service": "sagemaker.amazonaws.com", "AWS": f"arn:aws:iam::{DEV}:root"}
    trust = {"Effect": "Allow", "Principal": principals, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="data-scientist", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    actions = ["sagemaker:*TrainingJob*", "s3:*", "ecr:*", "logs:*", "iam:GetRole", "iam:PassRole"]
    # The SDK simulates the role's policies, and wants these of every role that trains.
    actions += ["iam:SimulatePrincipalPolicy", "cloudwatch:PutMetricData"]
    actions += [
        f"ec2:{verb}NetworkInterface{rest}" for verb in ("Create", "Delete") for rest in ("", "Permission")
    ]
    described = ("DhcpOptions", "NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs")
    actions += [f"ec2:Describe{what}" for what in described]
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName="data-scientist", PolicyName="work", PolicyDocument=policy)
    session = twin.client("sts", DEV).assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
    }


def test_example_of_the_sdks_documentation_trains_a_model(
    sdk: Path, twin_of_the_example: Twin, tmp_path: Path
) -> None:
    twin = twin_of_the_example
    storage = twin.client("s3", DEV, SDK_REGION)
    storage.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": SDK_REGION})
    storage.put_object(Bucket="bucket", Key="train/images.tar", Body=b"images")
    folder = tmp_path / "work"
    (folder / "source").mkdir(parents=True)
    (folder / "source" / "train.py").write_text(TRAIN)
    # The SDK's own settings file: without a bucket of its own it would ask STS at AWS, whatever the endpoint.
    (folder / "config.yaml").write_text(
        "SchemaVersion: '1.0'\nSageMaker: {PythonSDK: {Modules: {Session: {DefaultS3Bucket: bucket}}}}\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [str(sdk), "-c", EXAMPLE],
        cwd=folder,
        env={
            **environment,
            **role_of_the_user(twin),
            "AWS_ENDPOINT_URL": twin.endpoint,
            "AWS_REGION": SDK_REGION,
            "AWS_DEFAULT_REGION": SDK_REGION,
            "HOME": str(folder),
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(folder / "config.yaml"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert "model_trainer.train(" in told["code"]
    assert told["status"] == "Completed"
    assert told["listed"] == [told["name"]]
    key = told["model"].removeprefix("s3://bucket/")
    archive = storage.get_object(Bucket="bucket", Key=key)["Body"].read()
    assert unpack(archive)["found.txt"] == b"images.tar"
