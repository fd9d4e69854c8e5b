"""An image that lies on this machine: mapped by `twin.toml`, or pulled from ECR with the role's rights."""

import fnmatch
import io
import json
import re
import secrets
import shutil
import tarfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from twin import config, environments, glue
from twin.images.build import MANIFEST_TYPE, TWIN_KEY

_ECR_URI = re.compile(
    r"^(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<repository>[a-z0-9._/-]+?)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?$"
)

_DIRECT = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # the twin itself: never through a proxy


class ImageError(Exception):
    """The image cannot be had or run; the message names image, reason and cure."""


@dataclass(frozen=True)
class Image:
    """An image ready to run.

    `files` is the folder of what COPY put into it (None where `twin.toml` maps the image);
    `interpreter` stands for ``python`` in its entry point.
    """

    uri: str
    interpreter: Path
    digest: str = ""
    files: Path | None = None
    workdir: str = "/"
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_mapped(self) -> bool:
        """Whether the image stands in `twin.toml`, as AWS's own framework images do."""
        return self.files is None


def find(uri: str, credentials: Mapping[str, str]) -> Image:
    """Return the image for a URI, pulled with these credentials where it lies in ECR. Raises `ImageError`."""
    mapped = _mapped(uri)
    if mapped is not None:
        return mapped
    place = _ECR_URI.match(uri)
    if place is None:
        raise ImageError(
            f"image {uri} is refused: it is no image of an ECR repository, and no [[images]] pattern in "
            f"{config.PROJECT_FILE} maps it to a local environment"
        )
    return _pull(uri, place, credentials)


def _mapped(uri: str) -> Image | None:
    settings = config.current()
    for entry in settings.settings.get("images", []):
        if fnmatch.fnmatchcase(uri, entry.get("pattern", "")):
            interpreter = settings.project_root / entry.get("interpreter", "")
            if not interpreter.is_file():
                raise ImageError(
                    f"image {uri}: {config.PROJECT_FILE} maps it to {entry.get('interpreter')}, which does "
                    "not exist: run `make setup`"
                )
            return Image(uri=uri, interpreter=interpreter)
    return None


def _pull(uri: str, place: re.Match[str], credentials: Mapping[str, str]) -> Image:
    ecr = glue.client("ecr", credentials, place["region"])
    # Another account's repository must let the role in by its own policy.
    repository = {"registryId": place["account"], "repositoryName": place["repository"]}
    wanted = {"imageDigest": place["digest"]} if place["digest"] else {"imageTag": place["tag"] or "latest"}
    try:
        ecr.get_authorization_token()
        answer = ecr.batch_get_image(**repository, imageIds=[wanted], acceptedMediaTypes=[MANIFEST_TYPE])
        if not answer["images"]:
            raise ImageError(f"Requested image {uri} not found.")
        found = answer["images"][0]
        manifest = json.loads(found["imageManifest"])
        described = json.loads(_download(ecr, repository, manifest["config"]["digest"]))
        files = _unpacked(ecr, repository, found["imageId"]["imageDigest"], manifest)
    except ClientError as fault:
        error = fault.response["Error"]
        raise ImageError(
            f"Cannot pull image {uri}: {error['Code']}: {error['Message']} (and no [[images]] pattern in "
            f"{config.PROJECT_FILE} maps it to a local environment)"
        ) from fault
    except (BotoCoreError, OSError, ValueError, KeyError) as fault:
        raise ImageError(f"Cannot pull image {uri}: {fault}") from fault
    return _image(uri, found["imageId"]["imageDigest"], described, files)


def _download(ecr: Any, repository: Mapping[str, str], digest: str) -> bytes:
    url = ecr.get_download_url_for_layer(**repository, layerDigest=digest)["downloadUrl"]
    with _DIRECT.open(url, timeout=60) as answer:
        return answer.read()


def _unpacked(ecr: Any, repository: Mapping[str, str], digest: str, manifest: dict[str, Any]) -> Path:
    """Return the folder of the image's files, unpacked once per digest."""
    folder = config.current().folder("images", "files") / digest.removeprefix("sha256:")
    # Every layer is asked for even where the files are here already: permissions apply to each pull.
    layers = [_download(ecr, repository, layer["digest"]) for layer in manifest["layers"]]
    if folder.is_dir():
        return folder
    temporary = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}")
    temporary.mkdir()
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            tar.extractall(temporary, filter="data")
    try:
        temporary.rename(folder)
    except OSError:  # another pull was faster
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _image(uri: str, digest: str, described: dict[str, Any], files: Path) -> Image:
    settings, own = described["config"], described.get(TWIN_KEY)
    if own is None:
        raise ImageError(
            f"image {uri} was not built by the twin's docker command, and cannot be run without Docker"
        )
    try:
        interpreter = environments.environment_for(
            own["requirements"], python=own["python"], label=f"image {uri.rpartition('/')[2]}"
        )
    except environments.EnvironmentBuildError as fault:
        raise ImageError(f"image {uri}: {fault}") from fault
    return Image(
        uri=uri,
        digest=digest,
        files=files,
        interpreter=interpreter,
        workdir=settings.get("WorkingDir") or "/",
        entrypoint=tuple(settings.get("Entrypoint") or ()),
        cmd=tuple(settings.get("Cmd") or ()),
        env=dict(item.split("=", 1) for item in settings.get("Env") or []),
    )
