"""Registers the twin's own services and CloudFormation resource types with ministack at run time."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from twin.glue.internals import internal

Response = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, dict[str, str], bytes, dict[str, list[str]]], Awaitable[Response]]
ResourceArn = Callable[[str, str, dict[str, str], bytes, str, str], str]
Provisioned = tuple[str, dict[str, Any]]
CreateResource = Callable[[str, dict[str, Any], str], Provisioned]
DeleteResource = Callable[[str, dict[str, Any]], None]
UpdateResource = Callable[[str, dict[str, Any], dict[str, Any], str, str], Provisioned]


class ServiceState(Protocol):
    """What the server saves on stop, loads on start and empties on reset; states must be JSON-able."""

    def get_state(self) -> Any:
        """Return the state to persist, or None to leave the last one alone."""
        ...

    def load_persisted_state(self, data: Any, /) -> None:
        """Take up what `get_state` returned before the stop."""
        ...

    def reset(self) -> None:
        """Forget everything, and end what was started."""
        ...


_resource_arns: dict[str, ResourceArn] = {}
_states: dict[str, ServiceState] = {}


def register_service(
    name: str,
    handler: Handler,
    *,
    target_prefixes: Sequence[str] = (),
    credential_scope: str | None = None,
    host_patterns: Sequence[str] = (),
    iam_namespace: str | None = None,
    botocore_names: Sequence[str] = (),
    resource_arn: ResourceArn | None = None,
    state: ServiceState | None = None,
) -> None:
    """Serve `name`, or replace ministack's service of that name.

    Args:
        name: the routing key; use the credential scope where there is one (``sagemaker``).
        handler: async (method, path, headers, body, query) -> (status, headers, body).
        target_prefixes: prefixes of ``X-Amz-Target`` that route here.
        credential_scope: signing name; `name` when left out.
        host_patterns: regular expressions on the Host header.
        iam_namespace: prefix of the IAM actions; `name` when left out.
        botocore_names: service models whose REST routes give the IAM action.
        resource_arn: (method, path, headers, body, region, account) -> the ARN that IAM judges; or ``*``.
        state: persisted on stop and restored on start.
    """
    app, router, actions = internal("app"), internal("core.router"), internal("core.iam_actions")
    module = f"twin_{name}"
    app.SERVICE_REGISTRY[name] = {"module": module}
    app.SERVICE_HANDLERS[name] = handler
    # First in the table: ministack takes the first pattern that fits.
    patterns = {
        name: {
            "target_prefixes": list(target_prefixes),
            "host_patterns": list(host_patterns),
            "credential_scope": credential_scope or name,
        },
        **{key: value for key, value in router.SERVICE_PATTERNS.items() if key != name},
    }
    router.SERVICE_PATTERNS.clear()
    router.SERVICE_PATTERNS.update(patterns)
    actions.SERVICE_TO_IAM_NAMESPACE[name] = iam_namespace or name
    if botocore_names:
        actions._BOTOCORE_SERVICE_MAP[name] = list(botocore_names)
    if resource_arn is not None:
        _resource_arns[name] = resource_arn
    if state is not None:
        register_state(name, state)


def register_state(name: str, state: ServiceState) -> None:
    """Persist, restore and reset `state` together with the services, in a file of its own."""
    app = internal("app")
    module = f"twin_{name}"
    _states[name] = state
    app._loaded_modules[module] = state
    app._state_map[module] = module


def states() -> Mapping[str, ServiceState]:
    """Return every state of the twin's own services, by service name."""
    return _states


def register_cloudformation(
    type_name: str,
    *,
    create: CreateResource,
    delete: DeleteResource,
    update: UpdateResource | None = None,
) -> None:
    """Provision `type_name` in stacks.

    Args:
        type_name: such as ``AWS::SageMaker::ModelPackageGroup``.
        create: (logical_id, properties, stack_name) -> (physical id = Ref, attributes = GetAtt).
        delete: (physical_id, properties).
        update: (physical_id, old, new, stack_name, logical_id) -> (physical id, attributes); a new id
            is a replacement. Without it an update creates the resource anew and deletes the old one.
    """

    def replace(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str, logical_id: str
    ) -> Provisioned:
        made = create(logical_id, new, stack_name)
        if made[0] != physical_id:
            delete(physical_id, old)
        return made

    internal("services.cloudformation.provisioners")._RESOURCE_HANDLERS[type_name] = {
        "create": create,
        "delete": delete,
        "update": update or replace,
        "update_with_logical_id": True,
    }


def install_resource_arns() -> None:
    """Let services registered here name the ARN that IAM judges."""
    actions = internal("core.iam_actions")
    original = actions.extract_resource_arn

    def extract_resource_arn(  # noqa: PLR0917  # ministack calls it by position
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: Any,
        region: str,
        account: str,
    ) -> str:
        own = _resource_arns.get(service)
        if own is not None:
            return own(method, path, headers, body, region, account)
        return original(service, method, path, headers, body, query, region, account)

    actions.extract_resource_arn = extract_resource_arn
