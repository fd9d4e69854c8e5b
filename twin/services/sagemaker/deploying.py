"""Puts endpoint operations into effect: fleets are started, exchanged, ended and brought back."""

import logging
import secrets
import threading
from typing import Any

from twin import config, glue
from twin.services.sagemaker import async_config, events
from twin.services.sagemaker.blue_green import BlueGreen, RolledBackError
from twin.services.sagemaker.fleet import Fleet
from twin.services.sagemaker.model_server import ModelServer, StartError
from twin.services.sagemaker.records import ENDPOINT, Record, Shelf, now
from twin.services.sagemaker.rollout import Rollout
from twin.services.sagemaker.serving import Traffic
from twin.services.sagemaker.tags import Tags
from twin.services.sagemaker.variants import summaries

log = logging.getLogger("twin.sagemaker")
IN_PROGRESS = ("Creating", "Updating", "RollingBack", "SystemUpdating", "Deleting")
# In the record of an endpoint, beside what DescribeEndpoint shows: what it serves, so that it outlives its
# configuration and a restart of the twin.
PLAN = "_Plan"
# EventBridge writes the status in its own way.
_EVENT_STATUS = {
    "Creating": "CREATING",
    "Updating": "UPDATING",
    "RollingBack": "ROLLING_BACK",
    "InService": "IN_SERVICE",
    "Deleting": "DELETING",
    "Failed": "FAILED",
}
_REASON_CHARACTERS = 1024
_INTERRUPTED_UPDATE = "The update was interrupted: the local twin was shut down."
_INTERRUPTED_CREATION = "The local twin was shut down while the endpoint was being created."


class Deployer:
    """The servers of every endpoint."""

    def __init__(self, endpoints: Shelf, tags: Tags) -> None:
        """Endpoints lie in `endpoints`."""
        self._endpoints, self._tags = endpoints, tags
        self._traffic: dict[str, Traffic] = {}
        self._lock = threading.Lock()

    def create(self, endpoint: Record, plan: list[Record]) -> None:
        """Start the first fleet of an endpoint; it is in service when this returns, or has failed."""
        fleet = self._fleet(endpoint, plan)
        try:
            fleet.start()
        except StartError as fault:
            self.settle(endpoint, EndpointStatus="Failed", FailureReason=str(fault)[:_REASON_CHARACTERS])
            return
        with self._lock:
            self._traffic[endpoint["EndpointArn"]] = Traffic(fleet)
            self._serve(endpoint, endpoint["EndpointConfigName"], plan, fleet)
        self.settle(endpoint, EndpointStatus="InService")

    def update(
        self,
        endpoint: Record,
        config_name: str,
        plan: list[Record],
        rollout: Rollout,
        deployment: Record | None,
    ) -> None:
        """Deploy a plan beside what serves; in the end the endpoint serves the one or the other."""
        green, traffic = self._fleet(endpoint, plan), self._traffic[endpoint["EndpointArn"]]
        variants: list[Record] = endpoint["PendingDeploymentSummary"]["ProductionVariants"]

        def report(_: str, shown: list[Record]) -> None:
            pending = {**endpoint["PendingDeploymentSummary"], "ProductionVariants": shown}
            self._endpoints.change(endpoint, PendingDeploymentSummary=pending)
            self._announce(endpoint, "Deployment")

        try:
            BlueGreen(rollout, traffic, variants, report).run(green)
        except RolledBackError as fault:
            self._roll_back(endpoint, green, traffic, str(fault), deployment)
            return
        except Exception as fault:
            reason = f"InternalServerError: {type(fault).__name__}: {fault} (a defect of the local twin)"
            self._roll_back(endpoint, green, traffic, reason, deployment)
            raise
        with self._lock:  # servers and variants change together: a request sees the old of both, or the new
            blue = traffic.hand_over()
            self._serve(endpoint, config_name, plan, green)
        self._end(endpoint, deployment)
        blue.retire()

    def _roll_back(
        self, endpoint: Record, green: Fleet, traffic: Traffic, reason: str, deployment: Record | None
    ) -> None:
        traffic.take_back()
        self.settle(endpoint, EndpointStatus="RollingBack")
        green.retire()
        self._end(endpoint, deployment, FailureReason=reason[:_REASON_CHARACTERS])

    def _end(self, endpoint: Record, deployment: Record | None, **members: Any) -> None:
        if deployment:
            members["LastDeploymentConfig"] = deployment
        self.settle(endpoint, EndpointStatus="InService", PendingDeploymentSummary=None, **members)

    def delete(self, endpoint: Record) -> None:
        """End an endpoint's servers once they have answered what they were asked, and forget it."""
        with self._lock:
            traffic = self._traffic.pop(endpoint["EndpointArn"], None)
        for fleet in traffic.fleets() if traffic is not None else ():
            fleet.retire()
        self._endpoints.remove(endpoint["EndpointName"])
        self._tags.drop(endpoint["EndpointArn"])

    def serving(self, name: str) -> tuple[Record, Traffic] | None:
        """Return an endpoint that answers, and its servers; names must match in case here, as on AWS."""
        endpoint = self._endpoints.find(name)
        if endpoint is None or endpoint["EndpointName"] != name:
            return None
        with self._lock:
            traffic = self._traffic.get(endpoint["EndpointArn"])
            return (dict(endpoint), traffic) if traffic is not None else None

    def settle(self, endpoint: Record, **members: Any) -> None:
        """Change an endpoint and tell EventBridge."""
        self._endpoints.change(endpoint, **members)
        self._announce(endpoint)

    def _fleet(self, endpoint: Record, plan: list[Record]) -> Fleet:
        here = glue.current_scope()
        folder = config.current().folder("sagemaker", here.account, here.region)
        folder = folder / f"endpoint-{endpoint['EndpointName']}" / secrets.token_hex(8)
        return Fleet(ModelServer(endpoint, entry, folder / entry["Variant"]["VariantName"]) for entry in plan)

    def _serve(self, endpoint: Record, config_name: str, plan: list[Record], fleet: Fleet) -> None:
        self._endpoints.change(
            endpoint,
            EndpointConfigName=config_name,
            ProductionVariants=summaries(plan, now(), fleet.images()),
            **{PLAN: plan, async_config.CONFIG: async_config.of(plan)},
        )

    def keep_awake(self, endpoint: Record, wanted: bool) -> bool:
        """End the servers of an endpoint without instances, and start them when it gets some.

        Returns whether they answer; a fleet that does not start is tried again at the next call.
        """
        with self._lock:
            traffic = self._traffic.get(endpoint["EndpointArn"])
        if traffic is None or endpoint["EndpointStatus"] != "InService":
            return traffic is not None and not traffic.fleet.retired
        if wanted and traffic.fleet.retired:
            fleet = self._fleet(endpoint, endpoint[PLAN])
            try:
                fleet.start()
            except StartError as fault:
                log.warning("endpoint %s gets no instance: %s", endpoint["EndpointName"], fault)
                return False
            traffic.fleet = fleet
        elif not wanted and not traffic.fleet.retired:
            traffic.fleet.retire()
        return wanted

    def _announce(self, endpoint: Record, what: str = "") -> None:
        status = endpoint["EndpointStatus"]
        written = _EVENT_STATUS.get(status, status)
        events.announce(ENDPOINT, endpoint, self._tags, what=what, EndpointStatus=written)

    def interrupt(self) -> None:
        """Note, at a start of the twin, that nothing serves the endpoints of its last run yet."""
        for _, _, endpoint in self._endpoints.store.everywhere():
            status = endpoint["EndpointStatus"]
            if status == "Deleting":
                continue
            if PLAN in endpoint:
                reason = _INTERRUPTED_UPDATE if status in ("Updating", "RollingBack") else None
                self._endpoints.change(
                    endpoint, EndpointStatus="Creating", PendingDeploymentSummary=None, FailureReason=reason
                )
            elif status in IN_PROGRESS:
                self._endpoints.change(endpoint, EndpointStatus="Failed", FailureReason=_INTERRUPTED_CREATION)

    def resume(self) -> None:
        """Bring back the endpoints of the last run, once S3 and ECR answer."""
        for scope, _, endpoint in self._endpoints.store.everywhere():
            with glue.scope(scope.account, scope.region):
                if endpoint["EndpointStatus"] == "Deleting":
                    self.delete(endpoint)
                    continue
                self._announce(endpoint)
                if endpoint["EndpointStatus"] == "Creating":
                    glue.spawn(self.create, endpoint, endpoint[PLAN], name="twin-endpoint")

    def reset(self) -> None:
        """End every server."""
        with self._lock:
            served, self._traffic = list(self._traffic.values()), {}
        for traffic in served:
            for fleet in traffic.fleets():
                fleet.kill()
