"""After ministack has provisioned a resource: set what it dropped, through the service's own API."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from twin import glue

Properties = dict[str, Any]
# (physical id, new properties, old properties: empty on create) -> attributes to add for Fn::GetAtt, or None
Completion = Callable[[str, Properties, Properties], dict[str, Any] | None]
Removal = Callable[[str, Properties], None]

_completions: dict[str, Completion] = {}
_checks: dict[str, Callable[[Properties], None]] = {}
_removals: dict[str, Removal] = {}
_clients: dict[tuple[str, str, str], Any] = {}


def completes(*type_names: str) -> Callable[[Completion], Completion]:
    """Register a function to run after the create and update of these resource types."""

    def register(function: Completion) -> Completion:
        _completions.update(dict.fromkeys(type_names, function))
        return function

    return register


def checks(*type_names: str) -> Callable[[Callable[[Properties], None]], Callable[[Properties], None]]:
    """Register a function that refuses properties (by any exception) before these types are provisioned."""

    def register(function: Callable[[Properties], None]) -> Callable[[Properties], None]:
        _checks.update(dict.fromkeys(type_names, function))
        return function

    return register


def removes(*type_names: str) -> Callable[[Removal], Removal]:
    """Register a function to delete these types in ministack's stead."""

    def register(function: Removal) -> Removal:
        _removals.update(dict.fromkeys(type_names, function))
        return function

    return register


def api(service: str) -> Any:
    """Return an SDK client as the root of the current account, in the current region."""
    here = glue.current_scope()
    key = (service, here.account, here.region)
    if key not in _clients:
        _clients[key] = glue.client(service, glue.root_credentials(here.account), here.region)
    return _clients[key]


def changed(name: str, new: Properties, old: Properties) -> bool:
    """Whether a property must be set: it is given and new, or has changed."""
    return new.get(name) != old.get(name)


def install() -> None:
    """Wrap the handlers of completed types; provision on worker threads, since completions call the API."""
    glue.internal("services.cloudformation.stacks")._runs_on_worker_thread = lambda _: True
    handlers = glue.internal("services.cloudformation.provisioners")._RESOURCE_HANDLERS
    for type_name in {*_completions, *_checks, *_removals}:
        _wrap(type_name, handlers[type_name])


def _wrap(type_name: str, handler: dict[str, Any]) -> None:
    complete = _completions.get(type_name, lambda *_: None)
    check = _checks.get(type_name, lambda _: None)
    create, update = handler["create"], handler.get("update")
    handler["delete"] = _removals.get(type_name, handler["delete"])

    def finished(made: tuple[str, dict[str, Any]], new: Properties, old: Properties) -> tuple[str, Any]:
        physical_id, attributes = made
        try:
            more = complete(physical_id, new, old) or {}
        except ClientError as fault:
            error = fault.response.get("Error", {})
            raise ValueError(f"{error.get('Message')} (Service: {error.get('Code')})") from fault
        return physical_id, {**attributes, **more}

    def create_and_complete(logical_id: str, properties: Properties, stack_name: str) -> tuple[str, Any]:
        check(properties)
        made = create(logical_id, properties, stack_name)
        try:
            return finished(made, properties, {})
        except Exception:
            handler["delete"](made[0], properties)  # the rollback does not know of it
            raise

    def update_and_complete(
        physical_id: str, old: Properties, new: Properties, *rest: Any
    ) -> tuple[str, Any]:
        check(new)
        made = update(physical_id, old, new, *rest) if update else create(rest[1], new, rest[0])
        return finished(made, new, old if made[0] == physical_id else {})

    handler["create"], handler["update"] = create_and_complete, update_and_complete
    if not update:
        handler["update_with_logical_id"] = True
