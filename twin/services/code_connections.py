"""CodeConnections: connections to git hosts, which wait for a person's handshake before they can be used."""

from __future__ import annotations

import json
import uuid
from typing import Any

from twin import config, endpoints, glue
from twin.json_service import JsonService, Response, ServiceError

_ACTION = "/operation/"
_CBOR = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}


class CodeConnections(JsonService):
    """Connections. Those that `twin.toml` names beside a repository have had their handshake."""

    service_name = "codeconnections"

    def __init__(self) -> None:
        """Start without connections of its own."""
        super().__init__()
        self._made = glue.ScopedStore()

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Response:
        """Answer one request in either of the service's protocols: JSON, or CBOR as newer SDKs speak it."""
        if _ACTION not in path:
            return await super().handle(method, path, headers, body, query)
        import cbor2  # pyright: ignore[reportMissingImports]  # comes with ministack

        operation = path.rpartition("/")[2]
        try:
            told = await glue.run_blocking(self.call, operation, _loaded(body))
            return 200, dict(_CBOR), cbor2.dumps(told)
        except ServiceError as fault:
            told = {"__type": fault.code, "message": fault.message}
            return fault.status, dict(_CBOR), cbor2.dumps(told)

    # ---- state

    def get_state(self) -> Any:
        """Return every connection that was made."""
        return self._made.state()

    def load_persisted_state(self, data: Any) -> None:
        """Take them up again."""
        self._made.restore(data)

    def reset(self) -> None:
        """Forget them."""
        self._made.reset()

    # ---- operations

    def CreateConnection(self, p: dict[str, Any]) -> dict[str, Any]:
        here = glue.current_scope()
        arn = f"arn:aws:codeconnections:{here.region}:{here.account}:connection/{uuid.uuid4()}"
        self._put(arn, p["ConnectionName"], "PENDING", p.get("ProviderType", "GitHub"))
        return {"ConnectionArn": arn}

    def GetConnection(self, p: dict[str, Any]) -> dict[str, Any]:
        return {"Connection": self._find(p["ConnectionArn"])}

    def ListConnections(self, p: dict[str, Any]) -> dict[str, Any]:
        kind = p.get("ProviderTypeFilter")
        known = {**{each["ConnectionArn"]: each for each in _of_project()}, **dict(self._made.items())}
        return {"Connections": [c for c in known.values() if kind in (None, c["ProviderType"])]}

    def DeleteConnection(self, p: dict[str, Any]) -> dict[str, Any]:
        self._find(p["ConnectionArn"])
        self._made.pop(p["ConnectionArn"], None)
        return {}

    def set_status(self, arn: str, status: str) -> None:
        """What a person does in the browser: finish the handshake, or take it back.

        Raises `ServiceError` for an unknown connection.
        """
        known = self._find(arn)
        self._put(arn, known["ConnectionName"], status, known["ProviderType"])

    def _put(self, arn: str, name: str, status: str, provider: str) -> None:
        self._made[arn] = {
            "ConnectionName": name,
            "ConnectionArn": arn,
            "ProviderType": provider,
            "OwnerAccountId": arn.split(":")[4],
            "ConnectionStatus": status,
        }

    def _find(self, arn: str) -> dict[str, Any]:
        found = self._made.get(arn) or next((c for c in _of_project() if c["ConnectionArn"] == arn), None)
        if found is None:
            raise ServiceError("ResourceNotFoundException", f"Connection {arn} not found")
        return found


def _of_project() -> list[dict[str, Any]]:
    here = glue.current_scope()
    found: list[dict[str, Any]] = []
    for repository, settings in config.current().section("repositories").items():
        arn = str(settings.get("connection", ""))
        if arn.split(":")[3:5] == [here.region, here.account]:
            found.append(
                {
                    "ConnectionName": repository.replace("/", "-"),
                    "ConnectionArn": arn,
                    "ProviderType": "GitHub",
                    "OwnerAccountId": here.account,
                    "ConnectionStatus": "AVAILABLE",
                }
            )
    return found


def _resource_arn(  # noqa: PLR0917  # the form that IAM calls
    method: str, path: str, headers: dict[str, str], body: bytes, region: str, account: str
) -> str:
    del method, headers, region, account
    try:
        asked = _loaded(body) if _ACTION in path else json.loads(body or b"{}")
    except ValueError:
        return "*"
    return str(asked.get("ConnectionArn", "*")) if isinstance(asked, dict) else "*"


def _loaded(body: bytes) -> Any:
    import cbor2  # pyright: ignore[reportMissingImports]  # comes with ministack

    return cbor2.loads(body) if body else {}


def install() -> None:
    """Serve CodeConnections; ``POST /_twin/connections?arn=...&status=AVAILABLE`` is the handshake."""
    service = CodeConnections()
    actions = glue.internal("core.iam_actions")
    actions._CBOR_CAPABLE = actions._CBOR_CAPABLE | {"codeconnections"}
    glue.register_service(
        "codeconnections",
        service.handle,
        target_prefixes=[service.target_prefix],
        host_patterns=[r"codeconnections\."],
        resource_arn=_resource_arn,
        state=service,
    )

    def shake_hands(request: endpoints.Request) -> dict[str, str]:
        arn, status = request.query.get("arn", ""), request.query.get("status", "AVAILABLE")
        if arn.count(":") < 5 or status not in ("AVAILABLE", "PENDING", "ERROR"):
            raise endpoints.BadRequest(
                "arn of a connection, and status AVAILABLE, PENDING or ERROR are needed"
            )
        try:
            with glue.scope(arn.split(":")[4], arn.split(":")[3]):
                service.set_status(arn, status)
        except ServiceError as fault:
            raise endpoints.BadRequest(fault.message) from fault
        return {"status": status}

    endpoints.register("POST", "connections", shake_hands)
