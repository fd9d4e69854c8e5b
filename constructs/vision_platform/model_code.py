"""The team's model code as AWS gets it: an archive for training in script mode, and an image for serving."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aws_cdk import AssetHashType, Stack
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from vision_platform.packaging import source_archive_options
from vision_platform.permissions import PlatformRole, allow

_SCHEMA = "vision.model-spec/1"
_NOT_IN_THE_IMAGE = ["**/__pycache__", "**/*.pyc", "**/.pytest_cache", "**/.ruff_cache", "README.md"]


class ModelSpecError(Exception):
    """model/spec.json is not a model specification; the message names the field."""


def read_model_spec(model: Path) -> str:
    """The model's declaration, `model/spec.json`, as one line of JSON for functions' environments.

    Raises ModelSpecError when it is missing or declares no input and classes.
    """
    path = model / "spec.json"
    place = f"{model.name}/{path.name}"
    try:
        spec: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelSpecError(f"{place} is missing: it declares the model's input and classes") from None
    except json.JSONDecodeError as error:
        raise ModelSpecError(f"{place} is not valid JSON: {error.msg} at line {error.lineno}") from None
    if not isinstance(spec, dict):
        raise ModelSpecError(f"{place} must be an object with the fields schema, name, input and classes")
    if spec.get("schema") != _SCHEMA:
        raise ModelSpecError(f"{place}: schema is {spec.get('schema')!r}; this version reads {_SCHEMA!r}")
    for field in ("name", "input", "classes"):
        if not spec.get(field):
            raise ModelSpecError(f"{place}: {field} is missing or empty")
    return json.dumps(spec, separators=(",", ":"), sort_keys=True)


def check_input(model: Path, most_bytes: int, taker: str) -> None:
    """Raises ModelSpecError when one image for the model is more than `taker` takes with a request."""
    shape: dict[str, Any] = json.loads(read_model_spec(model))["input"]
    size = int(shape["width"]) * int(shape["height"]) * int(shape["channels"])
    if size > most_bytes:
        raise ModelSpecError(
            f"{model.name}/spec.json: an input of {size:,} bytes is more than {taker} takes "
            f"({most_bytes:,}): make the input smaller, or choose another hosting.mode that takes more"
        )


class TrainingSource(Construct):
    """The model's code as one tar.gz in the CDK's asset bucket, where SageMaker's script mode fetches it."""

    def __init__(self, scope: Construct, id: str, *, model: Path) -> None:
        super().__init__(scope, id)
        digest, bundling = source_archive_options(model)
        self._asset = s3_assets.Asset(
            self,
            "Source",
            path=str(model),
            asset_hash=digest,
            asset_hash_type=AssetHashType.CUSTOM,
            bundling=bundling,
        )

    @property
    def uri(self) -> str:
        """Where the archive lies (s3://...)."""
        return self._asset.s3_object_url

    def allow_reading(self, role: PlatformRole) -> None:
        """Let `role` read this one archive."""
        arn = Stack.of(self).format_arn(
            service="s3",
            region="",
            account="",
            resource=self._asset.s3_bucket_name,
            resource_name=self._asset.s3_object_key,
        )
        allow(role, ["s3:GetObject"], [arn])


class ServingImage(Construct):
    """The container that answers predictions and evaluates models. The pipeline builds it, not synthesis."""

    def __init__(self, scope: Construct, id: str, *, model: Path) -> None:
        super().__init__(scope, id)
        self._asset = ecr_assets.DockerImageAsset(
            self,
            "Image",
            directory=str(model),
            # Evaluation is a processing job, and these have no Graviton: one x86 image serves both.
            platform=ecr_assets.Platform.LINUX_AMD64,
            exclude=_NOT_IN_THE_IMAGE,
        )

    @property
    def uri(self) -> str:
        """The image's address in the registry, by content."""
        return self._asset.image_uri

    @property
    def digest(self) -> str:
        """What the image is made of, as a hash: another one is another image."""
        return self._asset.asset_hash

    def allow_pulling(self, role: PlatformRole) -> None:
        """Let `role` pull the image."""
        allow_pulling(role, self._asset.repository.repository_arn)


def allow_pulling(role: PlatformRole, repository_arn: str) -> None:
    """Let `role` pull images of one repository."""
    allow(
        role,
        ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        [repository_arn],
    )
    allow(
        role,
        ["ecr:GetAuthorizationToken"],
        ["*"],
        because="ECR: a login is for the account's registry as a whole",
    )
