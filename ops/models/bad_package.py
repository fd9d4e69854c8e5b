"""The drill's bad package: made from the champion's, registered as approved, taken away without a trace."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from ops.faults import in_words, is_absent
from ops.models import registry
from ops.models.bad_model import spoil_archive
from ops.models.home import CHAMPION, Home
from ops.models.records import DRILL, Records

Record = dict[str, Any]
# Describing a package tells more of its containers than making one takes.
_OF_CONTAINERS = ("Image", "ModelDataUrl", "Environment", "ContainerHostname")


class BadPackage:
    """A package for the length of a `with` block; `left` says afterwards what could not be taken away."""

    def __init__(self, home: Home, champion: Record, deployment: str) -> None:
        """Nothing is made yet."""
        self._home, self._champion, self._deployment = home, champion, deployment
        self._key = f"models/{CHAMPION}/{deployment}/output/model.tar.gz"
        self.arn = ""
        self.left: list[str] = []

    def __enter__(self) -> BadPackage:
        """Makes, uploads and registers it. Raises CannotSpoil, and what boto3 raises."""
        package = str(self._champion["model_package_arn"])
        # It may be another environment's, whose bucket and registry are read with the credentials for it.
        owner = registry.owner(self._home, package) or self._home
        good = owner.client("sagemaker").describe_model_package(ModelPackageName=package)
        specification = good["InferenceSpecification"]
        if owner is not self._home:
            specification["Containers"][0]["Image"] = self._image()
        source = urlsplit(specification["Containers"][0]["ModelDataUrl"])
        found = owner.client("s3").get_object(Bucket=source.netloc, Key=source.path.lstrip("/"))
        api, s3 = self._home.client("sagemaker"), self._home.client("s3")
        s3.put_object(Bucket=self._home.artifacts, Key=self._key, Body=spoil_archive(found["Body"].read()))
        try:
            self.arn = api.create_model_package(**self._request(good, specification))["ModelPackageArn"]
        except BaseException:
            self._clean_up()
            raise
        return self

    def _request(self, good: Record, specification: Record) -> Record:
        container = {
            name: value for name, value in specification["Containers"][0].items() if name in _OF_CONTAINERS
        }
        url = f"s3://{self._home.artifacts}/{self._key}"
        metrics = {"ModelMetrics": good["ModelMetrics"]} if good.get("ModelMetrics") else {}
        return {
            "ModelPackageGroupName": self._home.endpoint(),
            # By these words `ops promote` passes it by, should it ever be left.
            "ModelPackageDescription": f"{DRILL} {self._deployment}: deliberately bad, never to be promoted",
            "ModelApprovalStatus": "Approved",
            "ClientToken": self._deployment,
            "InferenceSpecification": {**specification, "Containers": [{**container, "ModelDataUrl": url}]},
            "CustomerMetadataProperties": {
                **good.get("CustomerMetadataProperties", {}),
                "drill": self._deployment,
            },
            **metrics,
        }

    def _image(self) -> str:
        """The image that serves here: that of another account's package lies in that account."""
        api = self._home.client("sagemaker")
        serving = api.describe_endpoint(EndpointName=self._home.endpoint())["EndpointConfigName"]
        return str(api.describe_model(ModelName=serving)["PrimaryContainer"]["Image"])

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Takes it away, and what a promotion may have left of it."""
        self._clean_up()

    def _clean_up(self) -> None:
        api = self._home.client("sagemaker")
        name = f"{self._home.endpoint()}-{self._deployment}"
        if self._serves(name):
            self.left.append(f"{name}, which the champion's line uses")
            return
        self._away(
            f"endpoint configuration {name}",
            lambda: api.delete_endpoint_config(EndpointConfigName=name),
        )
        self._away(f"model {name}", lambda: api.delete_model(ModelName=name))
        if self.arn:
            self._away(f"package {self.arn}", lambda: api.delete_model_package(ModelPackageName=self.arn))
        self._away(f"s3://{self._home.artifacts}/{self._key}", self._delete_artefact)

    def _serves(self, configuration: str) -> bool:
        """Whether the endpoint has been left with the bad model: then it needs all of this."""
        if self._home.on_functions:
            return self._is_target()
        try:
            told = self._home.client("sagemaker").describe_endpoint(EndpointName=self._home.endpoint())
        except (ClientError, BotoCoreError):
            return False
        pending = told.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
        return configuration in (told.get("EndpointConfigName"), pending)

    def _is_target(self) -> bool:
        try:
            target = Records(self._home).target()
        except (ClientError, BotoCoreError):
            return False
        return target is not None and target["deployment_id"] == self._deployment

    def _away(self, what: str, delete: Callable[[], Any]) -> None:
        try:
            delete()
        except ClientError as fault:
            if not is_absent(fault):
                self.left.append(f"{what}: {in_words(fault)}")
        except BotoCoreError as fault:
            self.left.append(f"{what}: {in_words(fault)}")

    def _delete_artefact(self) -> None:
        """All versions: an object that is only hidden would cost until its lifecycle ends."""
        s3 = self._home.client("s3")
        told = s3.list_object_versions(Bucket=self._home.artifacts, Prefix=self._key)
        versions = [*told.get("Versions", []), *told.get("DeleteMarkers", [])]
        for each in versions:
            s3.delete_object(Bucket=self._home.artifacts, Key=each["Key"], VersionId=each["VersionId"])
