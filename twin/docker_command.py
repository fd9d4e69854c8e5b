"""The `docker` that CodeBuild finds in the twin: it builds, tags and pushes images without an engine."""

import argparse
import base64
import fnmatch
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from twin.images.build import BuildError, BuiltImage, build
from twin.images.dockerfile import DockerfileError

# Where this command keeps images and logins. A build gets its own folder, as it gets its own engine.
ROOT_VARIABLE = "TWIN_DOCKER_ROOT"
_DOMAIN = re.compile(r"^(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com$")
_PART_BYTES = 10 * 1024 * 1024
_UNKNOWN = 125  # Docker's exit code for a command line that it cannot read


class CommandError(Exception):
    """The command cannot be done; the message is for the person who ran it."""


class Engine:
    """The images and logins of this command, in a folder."""

    def __init__(self, root: Path, logins: Path) -> None:
        """`root` holds images; `logins` is the folder of the file with logins (`--config`)."""
        self._images = root / "images"
        self._names = root / "names.json"
        self._logins = logins / "twin-logins.json"

    def names(self) -> dict[str, str]:
        """Return every image name (``repository:tag``) and the digest it stands for."""
        return self._read(self._names)

    def save(self, image: BuiltImage, name: str) -> None:
        """Keep an image under a name."""
        folder = self._folder(image.digest)
        folder.mkdir(parents=True, exist_ok=True)
        for part, content in (("manifest", image.manifest), ("config", image.config), ("layer", image.layer)):
            (folder / part).write_bytes(content)
        self.name(name, image.digest)

    def name(self, name: str, digest: str) -> None:
        """Let `name` stand for an image."""
        self._write(self._names, {**self.names(), _tagged(name): digest})

    def digest(self, name: str) -> str | None:
        """Return the digest of an image by name or digest, None when there is none."""
        if name.startswith("sha256:"):
            return name if self._folder(name).is_dir() else None
        return self.names().get(_tagged(name))

    def load(self, name: str) -> BuiltImage:
        """Return an image; raises `CommandError` when there is none of that name."""
        digest = self.digest(name)
        if digest is None:
            raise CommandError(f"No such image: {name}")
        parts = [(self._folder(digest) / part).read_bytes() for part in ("manifest", "config", "layer")]
        return BuiltImage(*parts)

    def log_in(self, domain: str, password: str) -> None:
        """Keep the password for a registry."""
        self._write(self._logins, {**self._read(self._logins), domain: password})
        self._logins.chmod(0o600)

    def password(self, domain: str) -> str:
        """Return the password for a registry; raises `CommandError` when nobody logged in."""
        found = self._read(self._logins).get(domain)
        if found is None:
            raise CommandError(f"no basic auth credentials for {domain}: run docker login first")
        return found

    def _folder(self, digest: str) -> Path:
        return self._images / digest.removeprefix("sha256:")

    @staticmethod
    def _read(path: Path) -> dict[str, str]:
        return json.loads(path.read_text()) if path.is_file() else {}

    @staticmethod
    def _write(path: Path, content: Mapping[str, str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(dict(content), indent=1))
        temporary.replace(path)


def _tagged(name: str) -> str:
    """Add the tag that Docker means when there is none."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _build(engine: Engine, chosen: argparse.Namespace) -> None:
    context = Path(chosen.context)
    if not context.is_dir():
        raise CommandError(f"build context {chosen.context} is not a folder")
    dockerfile = context / (chosen.file or "Dockerfile")
    image = build(context.resolve(), dockerfile.resolve(), chosen.platform or "linux/amd64")
    for tag in chosen.tag or []:
        engine.save(image, tag)
    print(f"built {image.digest} ({len(image.layer)} bytes of files)")


def _inspect(engine: Engine, chosen: argparse.Namespace) -> None:
    found: list[dict[str, Any]] = []
    for name in chosen.names:
        image = engine.load(name)
        described = json.loads(image.config)
        names = [tag for tag, digest in engine.names().items() if digest == image.digest]
        found.append(
            {
                "Id": image.digest,
                "RepoTags": sorted(names),
                "Architecture": described["architecture"],
                "Os": described["os"],
                "Size": len(image.layer),
                "Config": described["config"],
            }
        )
    print(json.dumps(found, indent=4))


def _tag(engine: Engine, chosen: argparse.Namespace) -> None:
    digest = engine.digest(chosen.source)
    if digest is None:
        raise CommandError(f"No such image: {chosen.source}")
    engine.name(chosen.target, digest)


def _login(engine: Engine, chosen: argparse.Namespace) -> None:
    password = sys.stdin.read().strip() if chosen.password_stdin else chosen.password
    if not password:
        raise CommandError("docker login needs --password-stdin")
    engine.log_in(chosen.server.removeprefix("https://").rstrip("/"), password)
    print("Login Succeeded")


def _images(engine: Engine, chosen: argparse.Namespace) -> None:
    patterns: list[str] = []
    for condition in chosen.filter or []:
        key, _, pattern = condition.partition("=")
        if key != "reference":
            raise CommandError(f"--filter {key} is refused: the twin's docker knows reference only")
        patterns.append(_tagged(pattern))
    for name, digest in sorted(engine.names().items()):
        if all(_fits(name, pattern) for pattern in patterns):
            repository, _, tag = name.rpartition(":")
            shown = (chosen.format or "{{.Repository}}:{{.Tag}} {{.ID}}").replace(
                "{{.Repository}}", repository
            )
            print(shown.replace("{{.Tag}}", tag).replace("{{.ID}}", digest[7:19]))


def _fits(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern as Docker compares them: part by part between the slashes."""
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _push(engine: Engine, chosen: argparse.Namespace) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    image = engine.load(chosen.name)
    repository, _, tag = _tagged(chosen.name).rpartition(":")
    domain, _, name = repository.partition("/")
    place = _DOMAIN.match(domain)
    if place is None:
        raise CommandError(f"docker push {chosen.name} is refused: the twin has ECR registries only")
    # The login is the caller's own session, as the token of the real registry stands for its caller.
    login = json.loads(base64.b64decode(engine.password(domain)))
    ecr = boto3.client(
        "ecr",
        region_name=place["region"],
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL"),
        aws_access_key_id=login["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=login["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=login.get("AWS_SESSION_TOKEN"),
        config=Config(proxies={}, retries={"max_attempts": 2}),
    )
    # The login may be of another account, which the repository's policy then lets in or not.
    target = {"registryId": place["account"], "repositoryName": name}
    manifest = json.loads(image.manifest)
    blobs = {manifest["config"]["digest"]: image.config, manifest["layers"][0]["digest"]: image.layer}
    try:
        known = ecr.batch_check_layer_availability(**target, layerDigests=list(blobs))
        present = {
            found["layerDigest"] for found in known["layers"] if found["layerAvailability"] == "AVAILABLE"
        }
        for digest, content in blobs.items():
            print(f"{digest[7:19]}: {'Layer already exists' if digest in present else 'Pushed'}")
            if digest not in present:
                _upload(ecr, target, digest, content)
        ecr.put_image(
            **target,
            imageTag=tag,
            imageManifest=image.manifest.decode(),
            imageManifestMediaType=manifest["mediaType"],
        )
    except (ClientError, BotoCoreError) as fault:
        raise CommandError(f"push of {chosen.name} failed: {fault}") from fault
    print(f"{tag}: digest: {image.digest} size: {len(image.manifest)}")


def _upload(ecr: Any, target: Mapping[str, str], digest: str, content: bytes) -> None:
    upload = ecr.initiate_layer_upload(**target)["uploadId"]
    for start in range(0, len(content), _PART_BYTES):
        part = content[start : start + _PART_BYTES]
        ecr.upload_layer_part(
            **target,
            uploadId=upload,
            partFirstByte=start,
            partLastByte=start + len(part) - 1,
            layerPartBlob=part,
        )
    ecr.complete_layer_upload(**target, uploadId=upload, layerDigests=[digest])


class _Parser(argparse.ArgumentParser):
    """Refuses what it does not know in one line that names it."""

    def error(self, message: str) -> NoReturn:
        """End with Docker's exit code for a command line it cannot read."""
        print(f"docker (local twin): {message}", file=sys.stderr)
        sys.exit(_UNKNOWN)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="docker", description=__doc__, allow_abbrev=False)
    parser.add_argument("--config", type=Path, help="folder of the logins")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command", parser_class=_Parser)

    building = commands.add_parser("build", help="build an image from a Dockerfile", allow_abbrev=False)
    building.add_argument("--tag", "-t", action="append")
    building.add_argument("--file", "-f")
    building.add_argument("--platform")
    building.add_argument("--no-cache", action="store_true", help="every build starts anew anyway")
    building.add_argument("context")
    building.set_defaults(run=_build)

    for name in ("image", "images"):
        listing = commands.add_parser(name, help="list images", allow_abbrev=False)
        if name == "image":
            listing.add_argument("action", choices=["ls"])
        listing.add_argument("--filter", action="append")
        listing.add_argument("--format")
        listing.set_defaults(run=_images)

    inspecting = commands.add_parser("inspect", help="describe images", allow_abbrev=False)
    inspecting.add_argument("names", nargs="+", metavar="image")
    inspecting.set_defaults(run=_inspect)

    tagging = commands.add_parser("tag", help="give an image another name", allow_abbrev=False)
    tagging.add_argument("source")
    tagging.add_argument("target")
    tagging.set_defaults(run=_tag)

    login = commands.add_parser("login", help="keep the password of a registry", allow_abbrev=False)
    login.add_argument("--username", "-u", default="AWS")
    login.add_argument("--password", "-p", default="")
    login.add_argument("--password-stdin", action="store_true")
    login.add_argument("server")
    login.set_defaults(run=_login)

    pushing = commands.add_parser("push", help="upload an image to ECR", allow_abbrev=False)
    pushing.add_argument("name", metavar="image")
    pushing.set_defaults(run=_push)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one docker command; returns the exit code: 0, 1 when it failed, 125 when it is not known."""
    chosen = _parser().parse_args(arguments)
    root = Path(os.environ.get(ROOT_VARIABLE) or Path.home() / ".twin-docker")
    try:
        chosen.run(Engine(root, chosen.config or root), chosen)
    except (CommandError, DockerfileError, BuildError) as fault:
        print(f"docker (local twin): {fault}", file=sys.stderr)
        return 1
    except OSError as fault:
        print(f"docker (local twin): {fault.filename or ''}: {fault.strerror or fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
