"""The process that serves one variant: pinged until healthy, asked, restarted when it dies."""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from twin import glue, processes
from twin.images.container import Container, aws_environment
from twin.images.image import ImageError, find
from twin.json_service import ServiceError
from twin.services.sagemaker import roles
from twin.services.sagemaker.connections import Answer, Connections, ModelUnreachableError
from twin.services.sagemaker.multi_model import VARIABLES, LoadedModels, is_multi_model
from twin.services.sagemaker.records import Record
from twin.services.sagemaker.storage import Storage, StorageError

log = logging.getLogger("twin.sagemaker")
_PING_SECONDS = 0.05
# AWS's own limits: a ping has 2 s, an invocation 60 s, a container 8 minutes to become healthy.
_PING_TIMEOUT_SECONDS = 2.0
INVOCATION_TIMEOUT_SECONDS = 60.0
_STARTUP_TIMEOUT_SECONDS = 480
_RESTART_SECONDS = (0.5, 1, 2, 5, 10, 30)
_MODEL = "/opt/ml/model"
_LAST_LINES = 5


class StartError(Exception):
    """A variant cannot be served; the message is the endpoint's failure reason."""


class RetiredError(Exception):
    """The server takes no more requests: another has taken over."""


class ModelServer:
    """The process that serves one variant, in a folder of its own."""

    def __init__(self, endpoint: Record, plan: Record, folder: Path) -> None:
        """`plan` is one entry of the endpoint's plan: variant, role and container definition."""
        self.variant = plan["Variant"]["VariantName"]
        self._endpoint, self._plan, self._folder = endpoint, plan, folder
        self._group = f"/aws/sagemaker/Endpoints/{endpoint['EndpointName']}"
        self._stream = f"{self.variant}/i-{folder.parent.name}"
        self._container: Container | None = None
        self._models: LoadedModels | None = None
        self._pump: threading.Thread | None = None
        self._variables: dict[str, str] = {}
        self._words: list[str] = []
        self._connections = Connections(0)
        self._code: int | None = None
        self._last: list[str] = []
        self._retired = self._draining = False
        self._ended_with: int | None = None
        self._in_flight = 0
        self._idle = threading.Condition()

    def start(self) -> None:
        """Fetch image and model, start the process and wait until it is healthy; raises `StartError`."""
        definition, role = self._plan["Container"], self._plan["RoleArn"]
        try:
            credentials = roles.credentials(role, self._endpoint["EndpointArn"])
            container = Container(find(definition["Image"], credentials), self._folder)
            storage = Storage(role, credentials)
            if is_multi_model(definition):
                self._models = LoadedModels(definition, storage, container, self._tell)
            else:
                self._fetch_model(definition, storage, container)
        except (glue.TrustError, ImageError, StorageError) as fault:
            raise StartError(f"Variant {self.variant}: {fault}") from fault
        self._container = container
        self._words = [*container.image.entrypoint, "serve"]
        many = VARIABLES if self._models is not None else {}
        self._variables = {**aws_environment(credentials), **definition.get("Environment", {}), **many}
        self._launch(container)
        timeout = self._plan["Variant"].get(
            "ContainerStartupHealthCheckTimeoutInSeconds", _STARTUP_TIMEOUT_SECONDS
        )
        if not self._becomes_healthy(timeout):
            told = f" The container exited with code {self._code}." if self._code is not None else ""
            said = f" Last output: {' | '.join(self._last)}" if self._last else ""
            self.kill()
            raise StartError(
                f"The primary container for production variant {self.variant} did not pass the ping health "
                f"check. Please check CloudWatch logs for this endpoint.{told}{said}"
            )
        glue.spawn(self._supervise, container, name=f"twin-endpoint-{self.variant}")

    @property
    def fault(self) -> str | None:
        """Why the server is not fit for traffic: its process ended by itself since it was started."""
        if self._ended_with is None:
            return None
        return f"The container of production variant {self.variant} exited with code {self._ended_with}."

    @property
    def image(self) -> tuple[str, str]:
        """The image as it was asked for, and by its digest."""
        asked = str(self._plan["Container"]["Image"])
        digest = self._container.image.digest if self._container is not None else ""
        return asked, f"{asked.partition('@')[0].rpartition(':')[0]}@{digest}" if digest else asked

    @staticmethod
    def _fetch_model(definition: Record, storage: Storage, container: Container) -> None:
        folder = container.path(_MODEL)
        folder.mkdir(parents=True, exist_ok=True)
        source = definition.get("ModelDataSource", {}).get("S3DataSource")
        if source is not None and source["CompressionType"] == "None":
            storage.download(source["S3Uri"], folder)
        elif source is not None or definition.get("ModelDataUrl"):
            storage.unpack(source["S3Uri"] if source else definition["ModelDataUrl"], folder)

    def _launch(self, container: Container) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self._connections.close()
        self._connections = Connections(port)
        self._code = None
        if self._models is not None:
            self._models.forget()
        listen = {"SAGEMAKER_BIND_TO_PORT": str(port), "SAGEMAKER_SAFE_PORT_RANGE": f"{port}-{port}"}
        name = f"endpoint {self._endpoint['EndpointName']} variant {self.variant}"
        try:
            container.start(self._words, {**self._variables, **listen}, name=name)
        except ImageError as fault:
            raise StartError(f"Variant {self.variant}: {fault}") from fault
        self._pump = glue.spawn(self._follow, container, name=f"twin-output-{self.variant}")

    def _follow(self, container: Container) -> None:
        self._code = container.follow(self._log)

    def _log(self, lines: Iterable[str]) -> None:
        kept = list(lines)
        self._last = [line for line in [*self._last, *kept] if line.strip()][-_LAST_LINES:]
        glue.put_log_lines(self._group, self._stream, kept)

    def _becomes_healthy(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self._code is None and not self._retired:
            try:
                if self._connections.ask("GET", "/ping", {}, b"", _PING_TIMEOUT_SECONDS).status == 200:
                    return True
            except ModelUnreachableError:
                pass
            time.sleep(_PING_SECONDS)
        return False

    def _supervise(self, container: Container) -> None:
        """Start the process again whenever it ends, as SageMaker replaces an unhealthy container."""
        attempt = 0
        while self._pump is not None:
            self._pump.join()
            if self._retired:
                return
            self._ended_with = self._code
            self._log([f"the container exited with code {self._code}; it is started again"])
            time.sleep(_RESTART_SECONDS[min(attempt, len(_RESTART_SECONDS) - 1)])
            if self._retired:
                return
            try:
                self._launch(container)
            except StartError as fault:
                self._log([str(fault)])
            attempt = 0 if self._becomes_healthy(_STARTUP_TIMEOUT_SECONDS) else attempt + 1

    def _tell(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        answer = self._connections.ask(method, path, headers, body, INVOCATION_TIMEOUT_SECONDS)
        return answer.status, answer.body

    def _path(self, target: str) -> str:
        """Where the container answers; raises `ServiceError` where it has no model of that name."""
        if (self._models is not None) != bool(target):
            wanted = "needs a TargetModel" if self._models is not None else "takes no TargetModel"
            raise ServiceError("ValidationError", f"Endpoint {self._endpoint['EndpointName']} {wanted}.")
        if self._models is None:
            return "/invocations"
        dimensions = {"EndpointName": self._endpoint["EndpointName"], "VariantName": self.variant}
        return self._models.path(target, dimensions)

    def invoke(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        target: str = "",
        timeout: float = INVOCATION_TIMEOUT_SECONDS,
    ) -> Answer:
        """Hand one request to the model, of many to `target`.

        Raises `ModelUnreachableError`, `ServiceError` for a target that is none, or `RetiredError` unsent.
        """
        with self._idle:
            if self._draining:
                raise RetiredError
            self._in_flight += 1
        try:
            return self._connections.ask("POST", self._path(target), headers, body, timeout)
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()

    def refuse(self) -> None:
        """Take no more requests: `RetiredError` tells each caller to ask who answers since."""
        with self._idle:
            self._draining = True

    def retire(self) -> None:
        """End the process once every request that is under way has been answered."""
        self.refuse()
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=INVOCATION_TIMEOUT_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process at once and delete its folder."""
        ended, self._retired = self._retired, True
        if not ended and self._container is not None and self._container.process is not None:
            processes.end(self._container.process)
            self._connections.close()
            self._container.remove()
            with contextlib.suppress(OSError):  # another variant's server is still in it
                self._folder.parent.rmdir()
