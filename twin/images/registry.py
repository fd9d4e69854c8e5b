"""The twin's ECR: ministack's, plus layers that are kept and login tokens that stand for the caller."""

import base64
import hashlib
import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from twin import config, endpoints, glue, iam

LAYER_PATH = "images/layer"
_TOKEN_SECONDS = 12 * 3600
_DOWNLOAD_SECONDS = 900
Body = dict[str, Any]
Answered = tuple[int, dict[str, str], bytes]


class RegistryError(Exception):
    """What ECR answers with: an error code and a message."""

    def __init__(self, code: str, message: str) -> None:
        """`code` is ECR's own (``ImageNotFoundException``)."""
        super().__init__(message)
        self.code, self.message = code, message


def blob_path(digest: str) -> Path:
    """Return where a layer or config with this digest lies, whether it is there or not."""
    return config.current().folder("images", "blobs") / digest.removeprefix("sha256:")


class Registry:
    """What ministack's ECR lacks; repositories, tags and policies stay with ministack."""

    def __init__(self, ministack: Any) -> None:
        """`ministack` is its handler for ECR, which gets every operation that is not handled here."""
        self._ministack = ministack
        self._layers = glue.ScopedStore()  # repository -> digests uploaded to it
        self._uploads: dict[str, bytearray] = {}
        self._downloads: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._operations: dict[str, Callable[[Body], Body]] = {
            "BatchCheckLayerAvailability": self._check_layers,
            "InitiateLayerUpload": self._start_upload,
            "UploadLayerPart": self._upload_part,
            "CompleteLayerUpload": self._complete_upload,
            "GetDownloadUrlForLayer": self._download_url,
        }

    def get_state(self) -> Any:
        """Return which repository holds which layers; the layers themselves lie in files."""
        return self._layers.state()

    def load_persisted_state(self, data: Any) -> None:
        """Take up what `get_state` returned."""
        self._layers.restore(data)

    def reset(self) -> None:
        """Forget every layer."""
        self._layers.reset()
        self._uploads.clear()
        self._downloads.clear()
        shutil.rmtree(config.current().home / "images", ignore_errors=True)

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: Any
    ) -> Answered:
        """Answer one request to ECR, in the account whose registry it names: IAM has judged it there."""
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        forward = partial(self._ministack, method, path, headers, body, query)
        try:
            request: Body = json.loads(body or b"{}")
        except ValueError:
            return self._answer({"__type": "SerializationException", "message": "the body is not JSON"}, 400)
        here = glue.current_scope()
        with glue.scope(request.get("registryId") or here.account, here.region):
            return await self._handle(operation, request, headers, forward)

    async def _handle(
        self,
        operation: str,
        request: Body,
        headers: dict[str, str],
        forward: Callable[[], Awaitable[Answered]],
    ) -> Answered:
        try:
            if operation == "GetAuthorizationToken":
                return self._answer(self._authorization_token(headers))
            if operation in self._operations:
                self._require_repository(request)
                return self._answer(await glue.run_blocking(self._operations[operation], request))
            if operation == "PutImage":
                self._require_layers(request)
            status, answer_headers, answer = await forward()
            if operation == "DescribeImages" and status == 200:
                return self._answer(self._describe_images(request, json.loads(answer)))
            if operation == "DeleteRepository" and status == 200:
                self._layers.pop(request["repositoryName"], None)
        except RegistryError as fault:
            return self._answer({"__type": fault.code, "message": fault.message}, 400)
        return status, answer_headers, answer

    @staticmethod
    def _answer(value: Body, status: int = 200) -> Answered:
        return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(value).encode()

    def _authorization_token(self, headers: dict[str, str]) -> Body:
        """Return a login that stands for the caller: what is done with it is judged as the caller's."""
        here = glue.current_scope()
        caller = _caller_credentials(headers)
        password = base64.b64encode(json.dumps(caller).encode()).decode()
        return {
            "authorizationData": [
                {
                    "authorizationToken": base64.b64encode(f"AWS:{password}".encode()).decode(),
                    "expiresAt": int(time.time()) + _TOKEN_SECONDS,
                    "proxyEndpoint": f"https://{here.account}.dkr.ecr.{here.region}.amazonaws.com",
                }
            ]
        }

    def _require_repository(self, request: Body) -> None:
        name = request.get("repositoryName", "")
        if name not in glue.internal("services.ecr")._repositories:
            account = glue.current_scope().account
            raise RegistryError(
                "RepositoryNotFoundException",
                f"The repository with name '{name}' does not exist in the registry with id '{account}'",
            )

    def _held(self, request: Body) -> list[str]:
        return self._layers.get(request["repositoryName"], [])

    def _check_layers(self, request: Body) -> Body:
        held = self._held(request)
        return {
            "layers": [
                {
                    "layerDigest": digest,
                    "layerAvailability": "AVAILABLE" if digest in held else "UNAVAILABLE",
                    "layerSize": blob_path(digest).stat().st_size if digest in held else 0,
                }
                for digest in request.get("layerDigests", [])
            ],
            "failures": [],
        }

    def _start_upload(self, request: Body) -> Body:
        del request
        upload = secrets.token_hex(16)
        with self._lock:
            self._uploads[upload] = bytearray()
        return {"uploadId": upload, "partSize": 10 * 1024 * 1024}

    def _upload_part(self, request: Body) -> Body:
        with self._lock:
            content = self._uploads.get(request.get("uploadId", ""))
            if content is None:
                raise RegistryError("UploadNotFoundException", "The upload could not be found")
            if request.get("partFirstByte", 0) != len(content):
                raise RegistryError(
                    "InvalidLayerPartException", f"The next part starts at byte {len(content)}"
                )
            content += base64.b64decode(request.get("layerPartBlob", ""))
            return {**_echo(request), "lastByteReceived": len(content) - 1}

    def _complete_upload(self, request: Body) -> Body:
        with self._lock:
            content = self._uploads.pop(request.get("uploadId", ""), None)
        if content is None:
            raise RegistryError("UploadNotFoundException", "The upload could not be found")
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if digest not in request.get("layerDigests", []):
            raise RegistryError("InvalidLayerException", f"The uploaded content has digest {digest}")
        path = blob_path(digest)
        if not path.exists():
            temporary = path.with_suffix(f".{secrets.token_hex(4)}")
            temporary.write_bytes(content)
            temporary.replace(path)
        with self._layers.lock:
            held = self._held(request)
            if digest not in held:
                self._layers[request["repositoryName"]] = [*held, digest]
        return {**_echo(request), "layerDigest": digest}

    def _require_layers(self, request: Body) -> None:
        """AWS takes no manifest whose layers it does not hold."""
        self._require_repository(request)
        try:
            manifest = json.loads(request.get("imageManifest", ""))
            named = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
        except (ValueError, KeyError, TypeError) as fault:
            raise RegistryError("InvalidParameterException", "The image manifest cannot be read") from fault
        missing = [digest for digest in named if digest not in self._held(request)]
        if missing:
            raise RegistryError("LayersNotFoundException", f"Layers are missing: {', '.join(missing)}")

    def _download_url(self, request: Body) -> Body:
        digest = request.get("layerDigest", "")
        if digest not in self._held(request):
            raise RegistryError("LayersNotFoundException", f"Layer {digest} does not exist in the repository")
        ticket = secrets.token_urlsafe(24)
        with self._lock:
            self._downloads[ticket] = (digest, time.monotonic() + _DOWNLOAD_SECONDS)
        url = f"{config.current().endpoint}{endpoints.PREFIX}{LAYER_PATH}?ticket={ticket}"
        return {"downloadUrl": url, "layerDigest": digest}

    def download(self, request: endpoints.Request) -> endpoints.Answer:
        """Serve a layer to whoever holds a URL made by GetDownloadUrlForLayer."""
        with self._lock:
            digest, expires = self._downloads.get(request.query.get("ticket", ""), ("", 0.0))
        if time.monotonic() > expires:
            raise endpoints.BadRequest("the download URL is unknown or has expired")
        return endpoints.Answer(blob_path(digest).read_bytes())

    def _describe_images(self, request: Body, answer: Body) -> Body:
        details = answer["imageDetails"]
        for wanted in request.get("imageIds") or []:
            tag, digest = wanted.get("imageTag"), wanted.get("imageDigest")
            if not any(tag in found["imageTags"] or found["imageDigest"] == digest for found in details):
                image = f"{{imageDigest:'{digest or 'null'}', imageTag:'{tag or 'null'}'}}"
                raise RegistryError(
                    "ImageNotFoundException",
                    f"The image with imageId {image} does not exist within the repository with name "
                    f"'{request['repositoryName']}' in the registry with id '{glue.current_scope().account}'",
                )
        sizes = {digest: blob_path(digest).stat().st_size for digest in self._held(request)}
        manifests = {
            image["imageDigest"]: image.get("imageManifest", "")
            for image in glue.internal("services.ecr")._images.get(request["repositoryName"], [])
        }
        for found in details:
            named = [digest for digest in sizes if digest in manifests.get(found["imageDigest"], "")]
            found["imageSizeInBytes"] = sum(sizes[digest] for digest in named)
        return answer


def _echo(request: Body) -> Body:
    account = glue.current_scope().account
    return {
        "registryId": account,
        "repositoryName": request["repositoryName"],
        "uploadId": request.get("uploadId", ""),
    }


def _caller_credentials(headers: dict[str, str]) -> dict[str, str]:
    """Return credentials of whoever signed the request, to be carried by a login token."""
    found = re.search(r"Credential=([^/]+)/", headers.get("authorization", ""))
    key = found[1] if found else ""
    sts = glue.internal("services.sts")
    session = sts._sessions.get(key)
    if session is not None:
        secret, token = session["SecretAccessKey"], session["SessionToken"]
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
    if key.isdigit():
        return glue.root_credentials(key)
    identity = glue.internal("core.iam_evaluator").resolve_caller_identity(key)
    if not identity:
        raise RegistryError(
            "UnrecognizedClientException", "The security token included in the request is invalid"
        )
    # A user's own secret stays where it is: the token carries a session, as GetSessionToken gives.
    made = {
        "AWS_ACCESS_KEY_ID": "ASIA" + secrets.token_hex(8).upper(),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_SESSION_TOKEN": secrets.token_hex(32),
    }
    sts.register_session(
        made["AWS_ACCESS_KEY_ID"],
        {
            "Arn": identity["userArn"],
            "UserId": identity["userId"],
            "SecretAccessKey": made["AWS_SECRET_ACCESS_KEY"],
            "SessionToken": made["AWS_SESSION_TOKEN"],
            "AccountId": glue.current_scope().account,
            "PrincipalType": "User",
            "PrincipalName": identity["userArn"].rpartition("/")[2],
            "SourceAccessKeyId": key,
            "SourcePrincipalArn": identity["userArn"],
            "Expiration": time.time() + _TOKEN_SECONDS,
        },
    )
    return made


def _policy_of(arn: str) -> tuple[Any, str] | None:
    """Return a repository's policy and its account; another account's is judged by even where it has none."""
    parts = arn.split(":", 5)
    if len(parts) != 6:
        return None
    with glue.scope(parts[4], parts[3]):
        found = glue.internal("services.ecr").repository_policy_for_arn(arn)
    return found or (None if parts[4] == glue.current_scope().account else ("", parts[4]))


def install() -> None:
    """Put the registry in front of ministack's ECR."""
    iam.judge_by("ecr", _policy_of)
    handlers = glue.internal("app").SERVICE_HANDLERS
    registry = Registry(handlers["ecr"])
    handlers["ecr"] = registry.handle
    glue.register_state("ecr_layers", registry)
    endpoints.register("GET", LAYER_PATH, registry.download)
