"""Who provisions: the execution role, kept with its stack, or else the caller; and what they may do."""

import contextvars
from typing import Any
from xml.sax.saxutils import escape

from twin import glue
from twin.cloudformation.actions import ACTIONS, PASSED_ROLES, passed_roles
from twin.cloudformation.operations import change_set_of, form_of, stack_of

_SERVICE = "cloudformation.amazonaws.com"
_role: contextvars.ContextVar[str] = contextvars.ContextVar("twin_execution_role", default="")
_caller: contextvars.ContextVar[str] = contextvars.ContextVar("twin_provisioner", default="")
_roles = glue.ScopedStore()
_ROOT_DIGITS = 12
_sessions: dict[str, dict[str, str]] = {}
_WITH_ROLE = {"CreateStack", "UpdateStack", "DeleteStack", "CreateChangeSet", "ExecuteChangeSet"}


class _State:
    """Keeps the roles of stacks over a restart."""

    def get_state(self) -> Any:
        return _roles.state()

    def load_persisted_state(self, data: Any, /) -> None:
        _roles.restore(data)

    def reset(self) -> None:
        _roles.reset()
        _sessions.clear()


def install() -> None:
    """Check execution roles when they are handed over, and use them when resources are provisioned."""
    glue.register_state("cloudformation_roles", _State())
    _remember_roles()
    _judge_provisioning()


def _remember_roles() -> None:
    handlers = glue.internal("app").SERVICE_HANDLERS
    original = handlers["cloudformation"]

    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        form = form_of(body)
        if form.get("Action") in _WITH_ROLE:
            role = form.get("RoleARN", "")
            try:
                if role:
                    glue.check_trust(role, _SERVICE)
            except glue.TrustError as fault:
                return _refusal(f"Role {role} is invalid or cannot be assumed: {fault}")
            _role.set(_role_of_operation(form, role))
            _caller.set(_key_of(headers))
        return await original(method, path, headers, body, query)

    handlers["cloudformation"] = handle


def _role_of_operation(form: dict[str, str], role: str) -> str:
    """Return the role for this operation: the one given now, or the last one its stack was given."""
    stack = stack_of(form)
    if form["Action"] == "CreateChangeSet":
        if role:
            _roles[f"{stack}/{form.get('ChangeSetName', '')}"] = role
        return role
    if form["Action"] == "ExecuteChangeSet":
        change_set = change_set_of(form, stack)
        role = _roles.get(f"{stack}/{change_set['ChangeSetName']}", "") if change_set else ""
    if role:
        _roles[stack] = role
    return role or _roles.get(stack, "")


def _key_of(headers: Any) -> str:
    """Return the access key that signed a request; none for an account's root, who may do anything."""
    key = str(headers.get("authorization", "")).partition("Credential=")[2].partition("/")[0]
    return "" if key.isdigit() and len(key) == _ROOT_DIGITS else key


def _refusal(message: str) -> tuple[int, dict[str, str], bytes]:
    body = (
        '<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>'
        f"<Code>ValidationError</Code><Message>{escape(message)}</Message></Error></ErrorResponse>"
    )
    return 400, {"Content-Type": "text/xml"}, body.encode()


def _judge_provisioning() -> None:
    stacks = glue.internal("services.cloudformation.stacks")
    provision, update, delete = stacks._provision_resource, stacks._update_resource, stacks._delete_resource

    def provision_judged(type_name: str, logical_id: str, properties: Any, stack_name: str) -> Any:
        _judge_passing(type_name, properties)
        made = provision(type_name, logical_id, properties, stack_name)
        try:  # only now is the resource's ARN known, which the permission names
            _judge(type_name, 0, made[0], made[1])
        except PermissionError:
            delete(type_name, made[0], properties, stack_name, logical_id)
            raise
        return made

    def update_judged(  # noqa: PLR0917  # ministack's own signature
        type_name: str,
        physical_id: str,
        old: Any,
        new: Any,
        stack_name: str,
        logical_id: str | None = None,
        attributes: Any = None,
    ) -> Any:
        if old != new:
            _judge_passing(type_name, new)
            _judge(type_name, 1, physical_id, attributes or {})
        return update(type_name, physical_id, old, new, stack_name, logical_id, attributes)

    def delete_judged(
        type_name: str, physical_id: str, properties: Any, stack_name: Any = None, logical_id: Any = None
    ) -> None:
        _judge(type_name, 2, physical_id, {})
        delete(type_name, physical_id, properties, stack_name, logical_id)

    stacks._provision_resource = provision_judged
    stacks._update_resource, stacks._delete_resource = update_judged, delete_judged


def _judge(type_name: str, operation: int, physical_id: str, attributes: dict[str, Any]) -> None:
    """Raise `PermissionError` unless the execution role, or without one the caller, may do this."""
    known = ACTIONS.get(type_name)
    if not (_role.get() or _caller.get()) or known is None:
        return
    action, resource = known.actions[operation], "*"
    if action not in known.without_resource:
        here = glue.current_scope()
        resource = attributes.get("Arn") or known.arn.format(
            id=physical_id.lstrip("/"),
            bucket=physical_id.removesuffix("-policy"),  # as ministack names a bucket's policy
            account=here.account,
            region=here.region,
        )
    _require(action, physical_id if physical_id.startswith("arn:") and resource != "*" else resource, {})


def _judge_passing(type_name: str, properties: Any) -> None:
    if (_role.get() or _caller.get()) and type_name in PASSED_ROLES:
        service = PASSED_ROLES[type_name][0]
        for role in passed_roles(type_name, properties):
            _require("iam:PassRole", role, {"iam:PassedToService": service})


def _require(action: str, resource: str, context: dict[str, str]) -> None:
    role = _role.get()
    if role and role not in _sessions:
        _sessions[role] = glue.role_credentials(role, "AWSCloudFormation")
    evaluator = glue.internal("core.iam_evaluator")
    denied = evaluator.enforce(
        _sessions[role]["AWS_ACCESS_KEY_ID"] if role else _caller.get(),
        action,
        action.partition(":")[0],
        glue.current_scope().region,
        resource_arn=resource,
        service_context=context,
    )
    if denied is not None:
        who = getattr(denied, "principal_arn", role)
        raise PermissionError(f"User: {who} is not authorized to perform: {action} on resource: {resource}")
