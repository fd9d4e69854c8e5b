"""Operations on endpoints: creation, deployments of new configurations, weights and counts, deletion."""

from collections.abc import Iterable, Mapping
from typing import Any

from twin import glue
from twin.json_service import ServiceError, require_caller_may
from twin.services.sagemaker import async_config, roles, rollout, scaling, serverless
from twin.services.sagemaker.deploying import IN_PROGRESS, PLAN, Deployer
from twin.services.sagemaker.listing import page
from twin.services.sagemaker.models import RESOLVED, Models
from twin.services.sagemaker.records import ENDPOINT, ENDPOINT_CONFIG, MODEL, Record, Records, now
from twin.services.sagemaker.refusal import refuse_members
from twin.services.sagemaker.tags import Tags
from twin.services.sagemaker.variants import counts, retained, summaries


class Endpoints:
    """Operations on endpoints."""

    def __init__(self, records: Records, tags: Tags, models: Models) -> None:
        """Endpoints lie in `records`; `models` resolves what containers are made of."""
        self._endpoints, self._configs = records.shelf(ENDPOINT), records.shelf(ENDPOINT_CONFIG)
        self._models, self._tags, self._resolver = records.shelf(MODEL), tags, models
        self.deployer = Deployer(self._endpoints, tags)
        scaling.offer(self)

    def CreateEndpoint(self, request: Record) -> Record:
        """Start to serve a configuration; a deployment configuration is kept for later updates."""
        self._endpoints.require_free(request["EndpointName"])
        plan = self._plan(request["EndpointConfigName"])
        deployment = request.get("DeploymentConfig")
        if deployment:
            serverless.require_deployable(plan, plan, deployment)
            rollout.read(deployment, counts(plan), counts(plan))
        endpoint = self._endpoints.add(
            request["EndpointName"],
            {
                "EndpointName": request["EndpointName"],
                "EndpointConfigName": request["EndpointConfigName"],
                "EndpointStatus": "Creating",
                "LastModifiedTime": now(),
                **({"LastDeploymentConfig": deployment} if deployment else {}),
            },
        )
        self._tags.set(endpoint["EndpointArn"], request.get("Tags"))
        self.deployer.settle(endpoint)
        glue.spawn(self.deployer.create, endpoint, plan, name="twin-endpoint")
        return {"EndpointArn": endpoint["EndpointArn"]}

    def UpdateEndpoint(self, request: Record) -> Record:
        """Deploy another configuration: a second fleet takes over by stages, or all stays as it was."""
        with self._endpoints.lock:
            endpoint = self._endpoints.get(request["EndpointName"])
            _require_serving(endpoint)
            plan = self._plan(request["EndpointConfigName"])
            scaling.require_updatable(endpoint, endpoint[PLAN], plan)
            if request.get("RetainAllVariantProperties"):
                left = [each["VariantPropertyType"] for each in request.get(_EXCLUDED, [])]
                plan = retained(plan, endpoint["ProductionVariants"], left)
            deployment = _deployment(request, endpoint)
            async_config.require_same_kind(endpoint[PLAN], plan)
            serverless.require_deployable(endpoint[PLAN], plan, deployment)
            before = {
                v["VariantName"]: v.get("CurrentInstanceCount", 1) for v in endpoint["ProductionVariants"]
            }
            planned = rollout.read(deployment or {}, before, counts(plan))
            _require_sight(planned.alarms, plan)
            pending = {
                "EndpointConfigName": request["EndpointConfigName"],
                "ProductionVariants": summaries(plan, now(), {}),
                "StartTime": now(),
            }
            self._endpoints.change(
                endpoint, EndpointStatus="Updating", PendingDeploymentSummary=pending, FailureReason=None
            )
        self.deployer.settle(endpoint)
        arguments = (endpoint, request["EndpointConfigName"], plan, planned, deployment)
        glue.spawn(self.deployer.update, *arguments, name="twin-endpoint")
        return {"EndpointArn": endpoint["EndpointArn"]}

    def UpdateEndpointWeightsAndCapacities(self, request: Record) -> Record:
        """Change weights and counts of variants; counts are recorded, one process serves each."""
        with self._endpoints.lock:
            endpoint = self._endpoints.get(request["EndpointName"])
            _require_serving(endpoint)
            variants = {variant["VariantName"]: dict(variant) for variant in endpoint["ProductionVariants"]}
            for wanted in request["DesiredWeightsAndCapacities"]:
                refuse_members(wanted, ["ServerlessUpdateConfig"], "DesiredWeightsAndCapacities")
                variant = variants.get(wanted["VariantName"])
                if variant is None:
                    raise ServiceError(
                        "ValidationException", f'Could not find variant "{wanted["VariantName"]}".'
                    )
                for member in ("Weight", "InstanceCount"):
                    value = wanted.get(f"Desired{member}")
                    if value is not None and f"Current{member}" not in variant:
                        raise ServiceError(
                            "ValidationException", f'Variant "{wanted["VariantName"]}" is serverless.'
                        )
                    if value is not None:
                        variant |= {f"Desired{member}": value, f"Current{member}": value}
            self._endpoints.change(
                endpoint,
                ProductionVariants=list(variants.values()),
                **{PLAN: [_reweighted(entry, variants) for entry in endpoint[PLAN]]},
            )
        self.deployer.settle(endpoint)
        return {"EndpointArn": endpoint["EndpointArn"]}

    def DescribeEndpoint(self, request: Record) -> Record:
        """Return an endpoint."""
        return self._endpoints.get(request["EndpointName"])

    def ListEndpoints(self, request: Record) -> Record:
        """Return a page of endpoints."""
        found, token = page(
            ENDPOINT, self._endpoints.all(), request, status="EndpointStatus", newest_first=True
        )
        return {"Endpoints": found, "NextToken": token}

    def DeleteEndpoint(self, request: Record) -> Record:
        """Stop to serve; requests that are under way are answered first."""
        with self._endpoints.lock:
            endpoint = self._endpoints.get(request["EndpointName"])
            _require_settled(endpoint)
            scaling.deregister(endpoint)
            self._endpoints.change(endpoint, EndpointStatus="Deleting")
        self.deployer.settle(endpoint)
        glue.spawn(self.deployer.delete, endpoint, name="twin-endpoint")
        return {}

    def _plan(self, config_name: str) -> list[Record]:
        """Return what a configuration means now: variants with their models' roles and containers."""
        plan: list[Record] = []
        config = self._configs.get(config_name)
        asynchronous = {name: config[name] for name in (async_config.CONFIG,) if name in config}
        for variant in config["ProductionVariants"]:
            model = self._models.get(variant["ModelName"])
            container = model.get("PrimaryContainer") or model["Containers"][0]
            plan.append(
                {
                    "Variant": variant,
                    "RoleArn": model["ExecutionRoleArn"],
                    "Container": model.get(RESOLVED) or self._resolver.resolve(container),
                    **asynchronous,
                }
            )
        return plan


_EXCLUDED = "ExcludeRetainedVariantProperties"


def _deployment(request: Record, endpoint: Record) -> Record | None:
    """Return the deployment configuration of an update: its own, or the last one where that is asked for."""
    given: Record | None = request.get("DeploymentConfig")
    if not request.get("RetainDeploymentConfig"):
        return given
    if given:
        raise ServiceError(
            "ValidationException", "DeploymentConfig may not be given with RetainDeploymentConfig."
        )
    return endpoint.get("LastDeploymentConfig")


def _require_sight(alarms: Iterable[str], plan: list[Record]) -> None:
    """Raise `ServiceError` unless the caller and the models' roles may see the alarms of a deployment."""
    here, action = glue.current_scope(), "cloudwatch:DescribeAlarms"
    for alarm in alarms:
        arn = f"arn:aws:cloudwatch:{here.region}:{here.account}:alarm:{alarm}"
        require_caller_may(action, arn)
        for role in {entry["RoleArn"] for entry in plan}:
            roles.require_may(role, action, arn)


def _require_settled(endpoint: Record) -> None:
    if endpoint["EndpointStatus"] in IN_PROGRESS:
        raise ServiceError(
            "ValidationException", f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}".'
        )


def _require_serving(endpoint: Record) -> None:
    _require_settled(endpoint)
    if endpoint["EndpointStatus"] == "Failed":
        raise ServiceError(
            "ValidationException",
            f'Cannot update endpoint "{endpoint["EndpointArn"]}" in status Failed: delete and create it.',
        )


def _reweighted(entry: Record, variants: Mapping[str, Any]) -> Record:
    """Return a plan's entry that would come back, after a restart, with the weight and count of now."""
    now_is = variants[entry["Variant"]["VariantName"]]
    kept = {"InitialVariantWeight": now_is["CurrentWeight"]}
    if "CurrentInstanceCount" in now_is:
        kept["InitialInstanceCount"] = now_is["CurrentInstanceCount"]
    return {**entry, "Variant": {**entry["Variant"], **kept}}
