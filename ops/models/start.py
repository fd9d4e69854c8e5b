"""Starting a training run: by a dataset's arrival, for a manifest, for the newest dataset, or once more."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from ops.datasets import publish, read_manifest
from ops.faults import OperatorFault, is_absent
from ops.models.execution import RUNNING, Execution
from ops.models.home import CHAMPION, Home
from ops.models.records import Records
from ops.terminal import say

RUN_ID = re.compile(r"^[a-z0-9][a-z0-9-]{0,24}$")
_PARAMETER = re.compile(r"^[a-z][a-z0-9_-]*$")
# EventBridge delivers within seconds; so long a silence means that a rule is off or a role may not start it.
_ARRIVAL_SECONDS = 120
_POLL_SECONDS = 0.5
# The workflow names and records its run in its first seconds.
_NAMING_SECONDS = 15
# Clocks differ between this machine and AWS.
_SKEW = timedelta(minutes=2)

Record = dict[str, Any]


@dataclass(frozen=True)
class Wish:
    """What the operator asked for, beside the dataset."""

    tune: bool = False
    hyperparameters: Mapping[str, str] | None = None
    run_id: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is the run that the dataset's arrival starts anyway."""
        return not (self.tune or self.hyperparameters or self.run_id)

    def as_input(self) -> Record:
        """Its part of the workflow's input."""
        return {
            **({"tune": True} if self.tune else {}),
            **({"hyperparameters": dict(self.hyperparameters)} if self.hyperparameters else {}),
            **({"run_id": self.run_id} if self.run_id else {}),
        }


def wish(*, tune: bool, given: Sequence[str], run_id: str | None) -> Wish:
    """The wish of `--tune`, `--set name=value` and `--run-id`. Raises OperatorFault."""
    parameters: dict[str, str] = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign or not value or not _PARAMETER.match(name):
            raise OperatorFault(f"--set {each}: give NAME=VALUE, such as epochs=3")
        parameters[name] = value
    if run_id is not None and not RUN_ID.match(run_id):
        raise OperatorFault(
            f"--run-id {run_id}: 1 to 25 lower-case letters, digits and hyphens, and no hyphen first"
        )
    return Wish(tune, parameters or None, run_id)


def with_folder(home: Home, folder: Path, wished: Wish) -> Execution:
    """Uploads a dataset and answers the run on it: the one that its arrival starts, or one as wished.

    Raises DatasetInvalid, and OperatorFault when nothing starts.
    """
    manifest = read_manifest(folder)
    what = f"{manifest['dataset']} {manifest['version']}"
    say(f"uploading {what}: {len(manifest['images'])} images to {home} ...")
    began = datetime.now(UTC)
    given = publish(home, folder, bucket=home.datasets, starts_a_run=wished.is_plain)
    if wished.is_plain:
        say("uploaded; its arrival starts a run ...")
        return _arrived(home, given.uri, given.tag, began)
    return _start(home, given.uri, given.tag, wished)


def with_manifest(home: Home, uri: str, wished: Wish) -> Execution:
    """Starts a run on a manifest that lies in the environment. Raises OperatorFault when it does not."""
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc or not parts.path.strip("/"):
        raise OperatorFault(f"--manifest {uri}: give s3://{home.datasets}/datasets/.../manifest.json")
    if parts.netloc != home.datasets or not parts.path.startswith("/datasets/"):
        raise OperatorFault(
            f"--manifest {uri}: {home.name} trains on what lies in s3://{home.datasets}/datasets/"
        )
    try:
        told = home.client("s3").head_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))
    except ClientError as fault:
        if is_absent(fault):
            raise OperatorFault(f"--manifest {uri}: there is no such object") from None
        raise
    return _start(home, uri, str(told["ETag"]).strip('"'), wished)


def with_newest(home: Home, wished: Wish) -> Execution:
    """Starts a run on the dataset that the champion's line was given last. Raises OperatorFault."""
    newest = Records(home).newest_dataset()
    if newest is None:
        raise OperatorFault(f"{home} has no dataset yet: give one with --dataset FOLDER")
    say(f"newest dataset: {newest.get('dataset') or newest['manifest_uri']}")
    return _start(home, str(newest["manifest_uri"]), str(newest.get("manifest_tag") or ""), wished)


def once_more(home: Home, run_id: str) -> Execution:
    """Takes a run up again with the input that it had; what is finished is not repeated.

    Raises OperatorFault when there is no such run.
    """
    record = Records(home).run(run_id)
    if record is None:
        raise OperatorFault(f"{home} has no run {run_id}: python -m ops runs {home.option} lists them")
    # The id alone: the workflow recalls the rest.
    return _begin(home, {"line": str(record["line"]), "reason": "request", "run_id": run_id})


def _start(home: Home, uri: str, tag: str, wished: Wish) -> Execution:
    return _begin(
        home,
        {
            "line": CHAMPION,
            "reason": "request",
            "manifest_uri": uri,
            **({"manifest_tag": tag} if tag else {}),
            **wished.as_input(),
        },
    )


def _begin(home: Home, given: Record) -> Execution:
    api = home.client("stepfunctions")
    try:
        told = api.start_execution(stateMachineArn=home.machine("training"), input=json.dumps(given))
    except ClientError as fault:
        raise not_deployed(home, "training", fault) from None
    return Execution(api, told["executionArn"])


def wait_until_known(home: Home, execution: Execution) -> None:
    """Looks until the run is found by its id, as the next command will look for it, or ends; not for long."""
    records, until = Records(home), time.monotonic() + _NAMING_SECONDS
    execution.look()
    while execution.status == RUNNING and time.monotonic() < until:
        if execution.run_id and records.run(execution.run_id):
            return
        time.sleep(_POLL_SECONDS)
        execution.look()


def not_deployed(home: Home, kind: str, fault: ClientError) -> Exception:
    """The fault in words where it is that a state machine does not exist; else itself."""
    if is_absent(fault) or "StateMachineDoesNotExist" in str(fault):
        return OperatorFault(
            f"{home}: there is no state machine {home.prefix}-{kind}; deliver the platform to it first"
        )
    return fault


def _arrived(home: Home, uri: str, tag: str, began: datetime) -> Execution:
    """The execution that the arrival of a manifest has started."""
    api, seen = home.client("stepfunctions"), set[str]()
    until = time.monotonic() + _ARRIVAL_SECONDS
    while time.monotonic() < until:
        try:
            listed = api.list_executions(stateMachineArn=home.machine("training"), maxResults=50)[
                "executions"
            ]
        except ClientError as fault:
            raise not_deployed(home, "training", fault) from None
        for each in listed:
            if each["startDate"] < began - _SKEW or each["executionArn"] in seen:
                continue
            seen.add(each["executionArn"])
            told = api.describe_execution(executionArn=each["executionArn"])
            given = json.loads(told.get("input") or "{}")
            fresh = each["startDate"] >= began or told["status"] == "RUNNING"
            if fresh and (given.get("manifest_uri"), given.get("manifest_tag")) == (uri, tag):
                return Execution(api, each["executionArn"])
        time.sleep(_POLL_SECONDS)
    raise OperatorFault(
        f"no run has started within {_ARRIVAL_SECONDS} s of the arrival of {uri}: look at EventBridge's rule "
        f"on arrivals, or start it with --manifest {uri}"
    )
