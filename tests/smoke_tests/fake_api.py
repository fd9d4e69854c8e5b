"""The platform's API as a real HTTP server that checks signatures and knows the truth of the images."""

import base64
import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from PIL import Image

from tests.smoke_tests.world import DATASETS, REGION, SMOKE, UPLOADS, World

Body = dict[str, Any]
CLASSES = [str(number) for number in range(10)]


@dataclass
class FakeApi:
    """Answers right unless told otherwise: `spoil` changes a good answer, given its number and its body."""

    world: World
    spoil: Callable[[int, Body], Body] = lambda _, body: body
    accept_anything: bool = False
    accept_unsigned: bool = False
    busy_times: int = 0  # so many calls are answered 503 first
    # The burst path: results by id, how often each is still waited for, and what is done to a good one.
    results: dict[str, Body] = field(default_factory=dict[str, Body])
    waits: int = 2
    spoil_later: Callable[[Body], Body] = lambda body: body
    connections: int = 0
    answered: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve_call(self, content_type: str, body: bytes, root: str) -> tuple[int, Body]:
        """Answer one signed call, and leave what a function leaves of it: a log line, a count, a trace."""
        status, answer = self.predict(content_type, body)
        if status == 200 or answer["type"] != "about:blank":
            metric = "Predictions" if status == 200 else "RejectedRequests"
            self.world.watched.request(str(answer.get("request_id")), root, metric, SMOKE)
        return status, answer

    def submit(self, image: bytes) -> tuple[int, Body]:
        """Take an image for later: what the burst path leaves of it is there at once."""
        right = self._right_answer(image)
        id = f"p-{uuid4().hex}"
        self.world.put(UPLOADS, f"smoke/{id}", image)
        run = self.world.packages.get(right["model_version"], "")
        self.world.record("PREDICTION", id, line="smoke", label=right["label"], run_id=run)
        done = {**right, "request_id": str(uuid4()), "id": id, "status": "DONE"}
        times = {"submitted_at": "2026-11-30T07:00:00Z", "answered_at": "2026-11-30T07:00:01Z"}
        self.results[id] = self.spoil_later({**done, **times})
        return 202, {"request_id": str(uuid4()), "id": id, "status": "QUEUED"}

    def result(self, id: str) -> tuple[int, Body]:
        """What became of it: it waits a few times."""
        if id not in self.results:
            return _problem(404, "No such prediction", id)
        if self.waits > 0:
            self.waits -= 1
            waiting = {"request_id": "r", "id": id, "status": "QUEUED"}
            return 200, {**waiting, "submitted_at": "2026-11-30T07:00:00Z"}
        return 200, self.results[id]

    def predict(self, content_type: str, body: bytes) -> tuple[int, Body]:
        """Status and body for one signed call."""
        image = body
        if content_type == "application/json":
            image = base64.b64decode(json.loads(body).get("image", ""))
            if not image and not self.accept_anything:
                return _problem(400, "No image", "field 'image' is missing")
        elif content_type not in {"image/png", "image/jpeg"} and not self.accept_anything:
            return _problem(415, "Unsupported media type", f"{content_type} is no image type")
        if not self.accept_anything:
            try:
                Image.open(io.BytesIO(image)).load()
            except Exception as error:
                return _problem(400, "Not an acceptable image", str(error))
        with self._lock:
            number = self.answered
            self.answered += 1
        answer = self.spoil(number, self._right_answer(image))
        self.world.answered.append(str(answer.get("label")))
        package = answer.get("model_version", "")
        run = self.world.run_of_predictions or self.world.packages.get(package, "")
        self.world.record(
            "PREDICTION",
            str(answer.get("request_id")),
            gsi1pk="DATASET#tiny#v1",
            gsi1sk=f"RUN#{run}#PREDICTION#{number:05d}#{answer.get('request_id')}",
            line="smoke",
            model_version=package,
            run_id=run,
            dataset="tiny#v1",
            label=answer.get("label", ""),
        )
        return 200, answer

    def _right_answer(self, image: bytes) -> Body:
        label = next((truth for known, truth in self._truths() if known == image), "0")
        probabilities = {name: 0.91 if name == label else 0.01 for name in CLASSES}
        package = next(iter([*self.world.packages]), "")  # a run may register its model meanwhile
        return {
            "request_id": str(uuid4()),
            "label": label,
            "probabilities": probabilities,
            "model_version": package,
        }

    def _truths(self) -> list[tuple[bytes, str]]:
        stored = self.world.current(DATASETS, "smoke/")
        manifests = [key for key in stored if key.endswith("manifest.json")]
        found: list[tuple[bytes, str]] = []
        for manifest in manifests:
            folder = manifest.removesuffix("manifest.json")
            images = json.loads(stored[manifest]).get("images", [])
            found += [(stored[folder + image["key"]], image["label"]) for image in images]
        return found

    def serve(self) -> tuple[ThreadingHTTPServer, str]:
        """A running server and its base address."""
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet; two would wait 40 ms for each other

            def setup(self) -> None:
                super().setup()
                api.connections += 1

            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def _answer(self, body: bytes) -> None:
                status, answer = self._decide(body)
                raw = json.dumps(answer).encode()
                self.send_response(status)
                kind = "application/problem+json" if "title" in answer else "application/json"
                self.send_header("Content-Type", kind)
                self.send_header("X-Amzn-Trace-Id", f"Root={self._root()};Sampled=1")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def _decide(self, body: bytes) -> tuple[int, Body]:
                path = self.path.removeprefix("/v/v1/smoke/predictions")
                if path == self.path:
                    return 404, {"message": "no such path"}
                signed = _signed_well(self.command, self.path, dict(self.headers.items()), body)
                if not signed and not api.accept_unsigned:
                    return 403, {"message": "Missing Authentication Token"}
                if path == ":submit":
                    return api.submit(body)
                if path:
                    return api.result(path.removeprefix("/"))
                if api.busy_times > 0:
                    api.busy_times -= 1
                    return _problem(503, "Busy", "try again")
                return api.serve_call(self.headers["Content-Type"], body, self._root())

            def _root(self) -> str:
                return self.headers.get("X-Amzn-Trace-Id", "").partition(";")[0].removeprefix("Root=")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server, f"http://127.0.0.1:{server.server_port}/v/"


def _problem(status: int, title: str, detail: str) -> tuple[int, Body]:
    return status, {
        "type": "about:blank" if status == 503 else "urn:vision:problem:some",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": str(uuid4()),
    }


def _signed_well(method: str, path: str, headers: dict[str, str], body: bytes) -> bool:
    """Compute the signature anew from what came over the wire, as API Gateway does."""
    authorization = headers.get("Authorization", "")
    if not authorization.startswith("AWS4-HMAC-SHA256 "):
        return False
    fields = dict(part.strip().split("=", 1) for part in authorization.split(" ", 1)[1].split(","))
    signed = {
        name: value for name, value in headers.items() if name.lower() in fields["SignedHeaders"].split(";")
    }
    request = AWSRequest(method, f"http://{headers['Host']}{path}", headers=signed, data=body)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), "execute-api", REGION)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return signer.signature(text, request) == fields["Signature"]
