"""Models and endpoint configurations: what is to be served, checked when it is declared."""

import re

from twin.json_service import ServiceError
from twin.services.sagemaker import async_config, events, multi_model, roles, serverless
from twin.services.sagemaker.listing import page
from twin.services.sagemaker.records import ENDPOINT_CONFIG, MODEL, Record, Records
from twin.services.sagemaker.refusal import refuse, refuse_members, require_members
from twin.services.sagemaker.registry import Registry
from twin.services.sagemaker.storage import Storage, StorageError
from twin.services.sagemaker.tags import Tags

_S3_URI = re.compile(r"^(https|s3)://[^/]+/?(.*)$")
_VARIANT_REFUSED = (
    "ManagedInstanceScaling",
    "InstancePools",
    "CoreDumpConfig",
    "AcceleratorType",
)
# In the record of a model, beside what DescribeModel shows: its container, with what its package says.
RESOLVED = "_Container"
_CONFIG_REFUSED = ("DataCaptureConfig", "ExplainerConfig", "ShadowProductionVariants")


class Models:
    """Operations on models and endpoint configurations."""

    def __init__(self, records: Records, tags: Tags, registry: Registry) -> None:
        """Both lie in `records`; packages come from `registry`."""
        self._models, self._configs = records.shelf(MODEL), records.shelf(ENDPOINT_CONFIG)
        self._tags, self._registry = tags, registry

    def CreateModel(self, request: Record) -> Record:
        """Declare a model of one container; nothing is started yet."""
        self._models.require_free(request["ModelName"])
        refuse_members(request, ["InferenceExecutionConfig"])
        containers: list[Record] = request.get("Containers") or [request.get("PrimaryContainer", {})]
        if ("PrimaryContainer" in request) == ("Containers" in request):
            raise ServiceError(
                "ValidationException", "Exactly one of PrimaryContainer and Containers must be given."
            )
        if len(containers) > 1:
            raise refuse(
                "Containers", "the local twin serves one container per model, not inference pipelines"
            )
        path = "Containers.1" if "Containers" in request else "PrimaryContainer"
        resolved = self.resolve(containers[0], path)
        require_members(request, ["ExecutionRoleArn"])
        arn = self._models.arn(request["ModelName"])
        roles.require(request["ExecutionRoleArn"], arn)
        _require_data(resolved, request["ExecutionRoleArn"], arn)
        members = {k: v for k, v in request.items() if k != "Tags"}
        model = self._models.add(request["ModelName"], {**members, RESOLVED: resolved})
        self._tags.set(model["ModelArn"], request.get("Tags"))
        events.announce(MODEL, model, self._tags)
        return model

    def resolve(self, container: Record, path: str = "PrimaryContainer") -> Record:
        """Return a container definition with what its package adds; raises `ServiceError`."""
        refuse_members(
            container,
            ["MultiModelConfig", "AdditionalModelDataSources", "InferenceSpecificationName", "ImageConfig"],
            path,
        )
        if multi_model.is_multi_model(container):
            multi_model.check(container, path)
        if ("ModelPackageName" in container) == ("Image" in container or "ModelDataUrl" in container):
            raise ServiceError(
                "ValidationException",
                "Specify one of either Image and Model Data URL or ModelPackageName in container definition.",
            )
        if "ModelPackageName" in container:
            package = self._registry.container(container["ModelPackageName"], path)
            environment = {**package.get("Environment", {}), **container.get("Environment", {})}
            return {**package, "Environment": environment}
        url = container.get("ModelDataUrl")
        if url is not None and not _S3_URI.match(url):
            raise ServiceError("ValidationException", f"{path}.ModelDataUrl {url!r} is not an S3 URI.")
        return container

    def DescribeModel(self, request: Record) -> Record:
        """Return a model."""
        return self._models.get(request["ModelName"])

    def ListModels(self, request: Record) -> Record:
        """Return a page of models."""
        found, token = page(MODEL, self._models.all(), request, newest_first=True)
        return {"Models": found, "NextToken": token}

    def DeleteModel(self, request: Record) -> Record:
        """Delete a model; endpoints that serve it go on until they are updated."""
        model = self._models.remove(request["ModelName"])
        self._tags.drop(model["ModelArn"])
        return {}

    def CreateEndpointConfig(self, request: Record) -> Record:
        """Declare what an endpoint serves; every model must be there."""
        self._configs.require_free(request["EndpointConfigName"])
        refuse_members(request, _CONFIG_REFUSED)
        async_config.check(request)
        names = [variant["VariantName"] for variant in request["ProductionVariants"]]
        if len(set(names)) < len(names):
            raise ServiceError("ValidationException", "Production variant names must be unique.")
        for index, variant in enumerate(request["ProductionVariants"], start=1):
            self._check_variant(variant, f"ProductionVariants.{index}", len(names) - 1)
        config = self._configs.add(
            request["EndpointConfigName"], {k: v for k, v in request.items() if k != "Tags"}
        )
        self._tags.set(config["EndpointConfigArn"], request.get("Tags"))
        events.announce(ENDPOINT_CONFIG, config, self._tags)
        return config

    def _check_variant(self, variant: Record, path: str, others: int) -> None:
        refuse_members(variant, _VARIANT_REFUSED, path)
        if "ModelName" not in variant:
            raise refuse(f"{path} without ModelName", "the local twin has no inference components")
        model = self._models.get(variant["ModelName"])
        if serverless.CONFIG in variant:
            serverless.check(variant, model, others, path)
        else:
            require_members(variant, ["InstanceType", "InitialInstanceCount"], path)

    def DescribeEndpointConfig(self, request: Record) -> Record:
        """Return an endpoint configuration."""
        return self._configs.get(request["EndpointConfigName"])

    def ListEndpointConfigs(self, request: Record) -> Record:
        """Return a page of endpoint configurations."""
        found, token = page(ENDPOINT_CONFIG, self._configs.all(), request, newest_first=True)
        return {"EndpointConfigs": found, "NextToken": token}

    def DeleteEndpointConfig(self, request: Record) -> Record:
        """Delete an endpoint configuration; an endpoint that runs on it goes on."""
        config = self._configs.remove(request["EndpointConfigName"])
        self._tags.drop(config["EndpointConfigArn"])
        return {}


def _require_data(container: Record, role_arn: str, arn: str) -> None:
    """Raise `ServiceError` unless the role can read the model's archive, as AWS checks at this point."""
    url = container.get("ModelDataUrl")
    if url is None:
        return
    storage = Storage(role_arn, roles.credentials(role_arn, arn))
    try:
        if multi_model.is_multi_model(container):
            storage.check_listing(url)
        else:
            storage.check(url)
    except StorageError as fault:
        region = arn.split(":")[3]
        raise ServiceError(
            "ValidationException",
            f'Could not access model data at {url}. Please ensure that the role "{role_arn}" exists and that '
            'its trust relationship policy allows the action "sts:AssumeRole" for the service principal '
            f'"{roles.PRINCIPAL}". Also ensure that the role has "s3:GetObject" permissions and that the '
            f"object is located in {region}. ({fault})",
        ) from fault
