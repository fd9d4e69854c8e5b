"""Every API call passes here: ministack's decision, then what the call implies, each written to the log."""

import contextvars
from dataclasses import dataclass
from typing import Any

from twin import glue
from twin.iam import decisions
from twin.iam.facets import facets
from twin.iam.implied import Call, Need, needs

_evaluator = glue.internal("core.iam_evaluator")
_actions = glue.internal("core.iam_actions")
_call: contextvars.ContextVar[Call | None] = contextvars.ContextVar("twin_call", default=None)
_refused_need: contextvars.ContextVar["_Refused | None"] = contextvars.ContextVar(
    "twin_refused", default=None
)


@dataclass(frozen=True)
class _Refused:
    """The implied permission that was missing: the answer must name it, and not the call's own action."""

    result: Any
    need: Need


def install() -> None:
    """Wrap ministack's reading of the request, its decision and its answer to a denied call."""
    _remember_calls()
    _enforce_with_implied_needs()
    _name_what_was_missing()


def _remember_calls() -> None:
    original = _actions.extract_iam_action

    def extract(  # noqa: PLR0917  # ministack's own signature
        service: str, method: str, path: str, headers: Any, body: bytes, query: Any
    ) -> str | None:
        action = original(service, method, path, headers, body, query) or _rpc_action(service, path)
        _call.set(Call(action, service, method, path, headers, body, query))
        return action

    _actions.extract_iam_action = extract


def _rpc_action(service: str, path: str) -> str | None:
    """Return the action of a call whose path names its operation, as newer SDKs' binary protocol has it."""
    _, named, operation = path.partition("/operation/")
    namespace = _actions.SERVICE_TO_IAM_NAMESPACE.get(service)
    return f"{namespace}:{operation}" if namespace and named and path.startswith("/service/") else None


def _enforce_with_implied_needs() -> None:
    original = _evaluator.enforce

    def judge(  # noqa: PLR0917  # one decision, with all it depends on
        key: str, action: str, service: str, region: str, resource: str, context: Any
    ) -> Any:
        result, judged = None, resource
        for facet in facets(action, resource, _call_for(action)):
            for judged in facet.resources:
                keys = {**facet.context, **(context or {})}
                result = original(key, action, service, region, resource_arn=judged, service_context=keys)
                result = result or _foreign_root_refused(key, action, service, region, judged)
                if getattr(result, "decision", "") != "ImplicitDeny":
                    break
            decisions.record(_principal(key), action, judged, _decision(result))
            if result is not None:
                return result
        return result

    def enforce(  # noqa: PLR0917  # ministack's own signature
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Any = None,
    ) -> Any:
        _refused_need.set(None)
        result = judge(access_key_id, iam_action, service, region, resource_arn, service_context)
        if result is not None:
            return result
        if not access_key_id:
            # Nobody signed this: S3 judges anonymous access itself, and asks again for the signer of a form.
            return None
        # The signer of a form stands in its fields: the request that carries it counts as nobody's.
        token = _evaluator._anonymous.set(False)
        try:
            for need in needs(iam_action, resource_arn, _call_for(iam_action)):
                kind = need.action.partition(":")[0]
                refused = (
                    _refusal(access_key_id, need)
                    if need.fault
                    else judge(access_key_id, need.action, kind, region, need.resource, need.context)
                )
                if refused is not None:
                    _refused_need.set(_Refused(refused, need))
                    return refused
            return None
        finally:
            _evaluator._anonymous.reset(token)

    _evaluator.enforce = enforce


def _call_for(action: str) -> Call | None:
    """Return the running request if it is the one that asks for `action`: work it started asks for others."""
    call = _call.get()
    return call if call is not None and call.action == action else None


def _foreign_root_refused(key: str, action: str, service: str, region: str, resource: str) -> Any:
    """Return the denial of an account's root on a resource of another account that does not let it in."""
    account = glue.current_scope().account
    if key != account or resource.count(":") < 5 or resource.split(":")[4] in ("", account):
        return None
    found = _evaluator._resource_policy(service, resource)
    if found is None:
        return None
    context = _evaluator.EvalContext(_principal(key), "Root", account, action, resource, region)
    result = _evaluator.evaluate_resource_policy(found[0], context)
    return None if result.decision == "Allow" else result


def _refusal(access_key_id: str, need: Need) -> Any:
    principal = _principal(access_key_id)
    decisions.record(principal, need.action, need.resource, "Deny", need.fault)
    return _evaluator.EvalResult("Deny", principal, "", need.fault)


def _name_what_was_missing() -> None:
    original = _actions.access_denied_response

    def answer(service: str, action: str, principal_arn: str, request_id: str, **details: Any) -> Any:
        refused = _refused_need.get()
        if refused is not None and getattr(refused.result, "principal_arn", None) == principal_arn:
            action = refused.need.action
            explicit = details.get("explicit_deny", False)
            details["message"] = refused.need.fault or _actions.identity_denial_message(
                action, principal_arn, refused.need.resource, explicit
            )
        return original(service, action, principal_arn, request_id, **details)

    _actions.access_denied_response = answer


def _principal(access_key_id: str) -> str:
    if not access_key_id:
        return "anonymous"
    identity = _evaluator.resolve_caller_identity(access_key_id)
    return identity["userArn"] if identity else f"unknown key {access_key_id}"


def _decision(result: Any) -> str:
    if result is None:
        return "Allow"
    return getattr(result, "decision", None) or result.code
