"""The resources SageMaker keeps: one shelf per kind, names that ignore case, ARNs in lower case."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twin import glue
from twin.json_service import ServiceError

Record = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of resource, and the words AWS uses about it.

    `shape` is the stem of its operations (``TrainingJob``), `resource` stands in its ARNs (``training-job``).
    In the messages, ``{arn}`` and ``{name}`` are replaced. Events call it by its `title`, or else its shape.
    """

    shape: str
    resource: str
    missing: str
    present: str
    present_code: str = "ValidationException"
    missing_code: str = "ValidationException"
    title: str = ""

    @property
    def name(self) -> str:
        """The member that holds a resource's name."""
        return f"{self.shape}Name"

    @property
    def arn(self) -> str:
        """The member that holds a resource's ARN."""
        return f"{self.shape}Arn"


_JOB_EXISTS = (
    "Job name must be unique within an AWS account and region, "
    "and a job with this name already exists ({arn})"
)
TRAINING_JOB = Kind(
    "TrainingJob", "training-job", "Requested resource not found.", _JOB_EXISTS, "ResourceInUse"
)
PROCESSING_JOB = Kind(
    "ProcessingJob",
    "processing-job",
    "Could not find requested job with name: {name}",
    _JOB_EXISTS,
    "ResourceInUse",
)
TUNING_JOB = Kind(
    "HyperParameterTuningJob",
    "hyper-parameter-tuning-job",
    "Amazon SageMaker can't find a tuning job with the name {name}.",
    _JOB_EXISTS,
    "ResourceInUse",
    "ResourceNotFound",
    "HyperParameter Tuning Job",
)
MODEL = Kind(
    "Model", "model", 'Could not find model "{arn}".', 'Cannot create already existing model "{arn}".'
)
ENDPOINT_CONFIG = Kind(
    "EndpointConfig",
    "endpoint-config",
    'Could not find endpoint configuration "{arn}".',
    'Cannot create already existing endpoint configuration "{arn}".',
)
ENDPOINT = Kind(
    "Endpoint",
    "endpoint",
    'Could not find endpoint "{arn}".',
    'Cannot create already existing endpoint "{arn}".',
)
MODEL_PACKAGE_GROUP = Kind(
    "ModelPackageGroup",
    "model-package-group",
    "ModelPackageGroup {arn} does not exist.",
    "Model Package Group already exists: {arn}",
)
MODEL_PACKAGE = Kind(
    "ModelPackage",
    "model-package",
    "ModelPackage {arn} does not exist.",
    "ModelPackage already exists: {arn}",
)
KINDS = (
    TRAINING_JOB,
    PROCESSING_JOB,
    TUNING_JOB,
    MODEL,
    ENDPOINT_CONFIG,
    ENDPOINT,
    MODEL_PACKAGE_GROUP,
    MODEL_PACKAGE,
)


def now() -> float:
    """Return the time in epoch seconds, to the millisecond as SageMaker keeps it."""
    return round(time.time(), 3)


def resource_arn(resource: str) -> str:
    """Return the ARN of ``<type>/<name>`` in the current scope; names stand there in lower case."""
    here = glue.current_scope()
    return f"arn:aws:sagemaker:{here.region}:{here.account}:{resource.lower()}"


class Shelf:
    """Every resource of one kind in the current account and region."""

    def __init__(self, kind: Kind, lock: threading.RLock) -> None:
        """`lock` guards every change of every record, so that a snapshot never sees half of one."""
        self.kind, self.lock = kind, lock
        self.store = glue.ScopedStore()

    def arn(self, name: str) -> str:
        """Return the ARN for a name, or `name` itself where it is an ARN already."""
        return name if name.startswith("arn:") else resource_arn(f"{self.kind.resource}/{name}")

    def _key(self, name: str) -> str:
        """Return the key in the store; a foreign ARN gives one that nobody has."""
        return self.arn(name).lower().removeprefix(resource_arn(f"{self.kind.resource}/"))

    def find(self, name: str) -> Record | None:
        """Return a record by name or ARN, None when there is none."""
        return self.store.get(self._key(name))

    def get(self, name: str) -> Record:
        """Return a record by name or ARN; raises `ServiceError` in AWS's words when there is none."""
        found = self.find(name)
        if found is None:
            raise ServiceError(self.kind.missing_code, self._say(self.kind.missing, name))
        return found

    def require_free(self, name: str) -> None:
        """Raise `ServiceError` when the name is taken."""
        if self.find(name) is not None:
            raise ServiceError(self.kind.present_code, self._say(self.kind.present, name))

    def add(self, name: str, record: Record) -> Record:
        """Keep a new record, with ARN and creation time; raises `ServiceError` if the name is taken."""
        with self.lock:
            self.require_free(name)
            made = {**record, self.kind.arn: self.arn(name), "CreationTime": now()}
            self.store[self._key(name)] = made
            return made

    def remove(self, name: str) -> Record:
        """Drop a record and return it; raises `ServiceError` when there is none."""
        with self.lock:
            record = self.get(name)
            del self.store[self._key(name)]
            return record

    def change(self, record: Record, **members: Any) -> None:
        """Set members of a record; None takes a member away."""
        with self.lock:
            for member, value in members.items():
                if value is None:
                    record.pop(member, None)
                else:
                    record[member] = value
            record["LastModifiedTime"] = now()

    def all(self) -> list[Record]:
        """Return every record, oldest first."""
        with self.lock:
            return list(self.store.values())

    def _say(self, message: str, name: str) -> str:
        return message.format(arn=self.arn(name), name=name)


class Records:
    """All shelves and the tags: what SageMaker's state is made of."""

    def __init__(self) -> None:
        """Start empty."""
        self.lock = threading.RLock()
        self._shelves = {kind.shape: Shelf(kind, self.lock) for kind in KINDS}
        self.tags = glue.ScopedStore()  # ARN -> {key: value}
        self.policies = glue.ScopedStore()  # name of a model package group -> resource policy
        self.counters = glue.ScopedStore()  # name of a model package group -> last version given
        self.queues = glue.ScopedStore()  # key of an asynchronous endpoint -> its requests that wait

    def shelf(self, kind: Kind) -> Shelf:
        """Return the shelf of a kind."""
        return self._shelves[kind.shape]

    def _stores(self) -> dict[str, glue.ScopedStore]:
        shelves = {shape: shelf.store for shape, shelf in self._shelves.items()}
        more = {
            "tags": self.tags,
            "policies": self.policies,
            "counters": self.counters,
            "queues": self.queues,
        }
        return {**shelves, **more}

    def state(self) -> dict[str, Any]:
        """Return everything, as JSON-able data of its own."""
        with self.lock:
            return {name: store.state() for name, store in self._stores().items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` returned."""
        with self.lock:
            for name, store in self._stores().items():
                store.restore(state.get(name, []))

    def reset(self) -> None:
        """Forget everything."""
        with self.lock:
            for store in self._stores().values():
                store.reset()
