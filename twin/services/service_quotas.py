"""Service Quotas: what an account may have at once; the service tells it, the twin itself limits nothing."""

from __future__ import annotations

import json
from typing import Any

from twin import glue
from twin.json_service import JsonService, ServiceError
from twin.services.quota_catalogue import Quota, quotas, usual

_ENOUGH = "The quota would have to be greater than it is: {value:g}"


class ServiceQuotas(JsonService):
    """Quotas with AWS's usual values, which requests raise at once: nobody has to agree in the twin."""

    service_name = "service-quotas"

    def __init__(self) -> None:
        """Start with the usual values."""
        super().__init__()
        self._applied = glue.ScopedStore()
        self._requests = glue.ScopedStore()

    # ---- state

    def get_state(self) -> dict[str, Any]:
        """Return what has been requested."""
        return {"applied": self._applied.state(), "requests": self._requests.state()}

    def load_persisted_state(self, data: dict[str, Any]) -> None:
        """Take up what had been requested."""
        self._applied.restore(data.get("applied", []))
        self._requests.restore(data.get("requests", []))

    def reset(self) -> None:
        """Go back to the usual values."""
        self._applied.reset()
        self._requests.reset()

    def set(self, service: str, name: str, value: float) -> None:
        """Set an applied value, lower ones too, as AWS does for accounts that it does not know yet.

        Raises `ServiceError` when the twin has no quota of that name.
        """
        for quota in quotas(service):
            if quota.name == name:
                self._applied[f"{service}/{quota.code}"] = value
                return
        raise ServiceError("NoSuchResourceException", f"{service} has no quota {name!r} in the twin", 404)

    # ---- operations

    def ListServiceQuotas(self, p: dict[str, Any]) -> dict[str, Any]:
        service = p["ServiceCode"]
        return _page([self._shown(service, quota) for quota in self._known(service)], p)

    def ListAWSDefaultServiceQuotas(self, p: dict[str, Any]) -> dict[str, Any]:
        service = p["ServiceCode"]
        return _page([_shown(service, quota, usual(quota)) for quota in self._known(service)], p)

    def GetServiceQuota(self, p: dict[str, Any]) -> dict[str, Any]:
        return {"Quota": self._shown(p["ServiceCode"], self._find(p))}

    def GetAWSDefaultServiceQuota(self, p: dict[str, Any]) -> dict[str, Any]:
        quota = self._find(p)
        return {"Quota": _shown(p["ServiceCode"], quota, usual(quota))}

    def RequestServiceQuotaIncrease(self, p: dict[str, Any]) -> dict[str, Any]:
        quota, service = self._find(p), p["ServiceCode"]
        value, wanted = self._value(service, quota), float(p["DesiredValue"])
        if wanted <= value:
            raise ServiceError("IllegalArgumentException", _ENOUGH.format(value=value))
        self._applied[f"{service}/{quota.code}"] = wanted
        request: dict[str, Any] = {
            "Id": f"{service}-{quota.code}-{wanted:g}",
            "ServiceCode": service,
            "QuotaCode": quota.code,
            "QuotaName": quota.name,
            "DesiredValue": wanted,
            "Status": "APPROVED",
        }
        self._requests[request["Id"]] = request
        return {"RequestedQuota": request}

    # ---- quotas

    @staticmethod
    def _known(service: str) -> list[Quota]:
        known = quotas(service)
        if not known:
            raise ServiceError("NoSuchResourceException", f"the twin knows no quotas of {service!r}", 404)
        return known

    def _find(self, p: dict[str, Any]) -> Quota:
        for quota in self._known(p["ServiceCode"]):
            if quota.code == p["QuotaCode"]:
                return quota
        raise ServiceError("NoSuchResourceException", f"there is no quota {p['QuotaCode']}", 404)

    def _value(self, service: str, quota: Quota) -> float:
        return float(self._applied.get(f"{service}/{quota.code}", usual(quota)))

    def _shown(self, service: str, quota: Quota) -> dict[str, Any]:
        return _shown(service, quota, self._value(service, quota))


def _shown(service: str, quota: Quota, value: float) -> dict[str, Any]:
    here = glue.current_scope()
    return {
        "ServiceCode": service,
        "ServiceName": service,
        "QuotaArn": f"arn:aws:servicequotas:{here.region}:{here.account}:{service}/{quota.code}",
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": value,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def _page(found: list[dict[str, Any]], p: dict[str, Any]) -> dict[str, Any]:
    first, size = int(p.get("NextToken", 0)), int(p.get("MaxResults", 100))
    answer: dict[str, Any] = {"Quotas": found[first : first + size]}
    if first + size < len(found):
        answer["NextToken"] = str(first + size)
    return answer


def _resource_arn(  # noqa: PLR0917  # the form that IAM calls
    method: str, path: str, headers: dict[str, str], body: bytes, region: str, account: str
) -> str:
    del method, path, headers
    try:
        request: Any = json.loads(body or b"{}")
    except ValueError:
        return "*"
    if not isinstance(request, dict) or "QuotaCode" not in request or "ServiceCode" not in request:
        return "*"
    return f"arn:aws:servicequotas:{region}:{account}:{request['ServiceCode']}/{request['QuotaCode']}"


def install() -> None:
    """Serve Service Quotas; ``POST /_twin/quotas`` sets a value: account, region, service, name, value."""
    from twin import endpoints

    service = ServiceQuotas()
    glue.register_service(
        "servicequotas",
        service.handle,
        target_prefixes=[service.target_prefix],
        host_patterns=[r"servicequotas\."],
        resource_arn=_resource_arn,
        state=service,
    )

    def put(request: endpoints.Request) -> dict[str, str]:
        asked = request.query
        try:
            with glue.scope(asked["account"], asked["region"]):
                service.set(asked["service"], asked["name"], float(asked["value"]))
        except (KeyError, ValueError) as fault:
            raise endpoints.BadRequest(
                f"account, region, service, name and value are needed: {fault}"
            ) from fault
        except ServiceError as fault:
            raise endpoints.BadRequest(fault.message) from fault
        return {"status": "set"}

    endpoints.register("POST", "quotas", put)
