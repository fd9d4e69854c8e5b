"""Seams into ministack's Lambda: who executes, which version an alias means, who may invoke."""

import json
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from twin.glue.internals import internal
from twin.glue.scope import current_scope

# (record, config, event, request id) -> {"body", "log", and on failure "error": True, "function_error"}
Executor = Callable[[dict[str, Any], dict[str, Any], Any, str], dict[str, Any]]
Response = tuple[int, dict[str, str], bytes]
_lambda = internal("services.lambda_svc")


def install_executor(execute: Executor, on_throttle: Callable[[str], None]) -> None:
    """Run functions with `execute`; metrics are its own concern, ministack's are switched off.

    `on_throttle` is told the name of a function whose invocation was refused for its concurrency.
    """
    acquire = _lambda._acquire_execution_slot

    def dispatch(
        record: dict[str, Any], config: dict[str, Any], event: Any, request_id: str, _started: float
    ) -> dict[str, Any]:
        return execute(record, config, event, request_id)

    def acquire_slot(record: dict[str, Any], config: dict[str, Any]) -> tuple[str | None, str | None]:
        slot, limit = acquire(record, config)
        if slot is None:
            on_throttle(config.get("FunctionName", ""))
        return slot, limit

    def no_metrics(*_arguments: Any, **_named: Any) -> None:
        return None

    _lambda._execute_function_dispatch = dispatch
    _lambda._acquire_execution_slot = acquire_slot
    _lambda._emit_lambda_metrics = no_metrics


def install_invoke(before: Callable[[str, Any, dict[str, str], str | None], Response | str | None]) -> None:
    """Look at every Invoke call before ministack serves it.

    `before` gets name, event, headers and qualifier; it returns a response that ends the call, or the
    qualifier to go on with.
    """
    original = _lambda._invoke

    async def invoke(
        name: str,
        event: Any,
        headers: dict[str, str],
        path_qualifier: str | None = None,
        query_params: dict[str, Any] | None = None,
    ) -> Response:
        asked = (query_params or {}).get("Qualifier") or [None]
        qualifier = path_qualifier or (asked[0] if isinstance(asked, list) else asked) or None
        verdict = before(name, event, headers, qualifier)
        if isinstance(verdict, tuple):
            return verdict
        return await original(name, event, headers, verdict, {})

    _lambda._invoke = invoke


def install_create(refuse: Callable[[dict[str, Any]], Response | None]) -> None:
    """Let `refuse` answer CreateFunction with an error before ministack makes the function."""
    original = _lambda._create_function

    def create_function(data: dict[str, Any]) -> Response:
        return refuse(data) or original(data)

    _lambda._create_function = create_function


def install_lookup(choose: Callable[[dict[str, Any], str], str | None]) -> None:
    """Let `choose` (function record, alias) name the version that one invocation through an alias runs.

    Serves the ways into a function other than Invoke: API Gateway, EventBridge, S3, SNS.
    """
    original = _lambda._get_func_record_for_ref

    def lookup(reference: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None, str]:
        record, config, name = original(reference)
        qualifier = str(reference).split(":function:")[-1].partition(":")[2]
        function = _lambda._functions.get(name)
        if record is None or config is None or function is None or not qualifier:
            return record, config, name
        if version := choose(function, qualifier):
            record = function["versions"].get(version, record)
            config = record["config"]
        arn = f"{function['config']['FunctionArn']}:{qualifier}"
        return record, {**config, "FunctionArn": arn}, name

    _lambda._get_func_record_for_ref = lookup


def function_record(name: str) -> dict[str, Any] | None:
    """Return ministack's record of a function in the current scope."""
    return _lambda._functions.get(name)


def invocation_depth() -> int:
    """Return how many Lambda functions stand behind the running invocation (1 = none before it)."""
    return _lambda._invoke_depth.get()


def on_change(forget: Callable[[str], None]) -> None:
    """Tell `forget` the name of every function (of the current scope) that is updated or deleted."""
    original = _lambda.invalidate_worker

    def invalidate(name: str, *arguments: Any, **named: Any) -> None:
        forget(name)
        original(name, *arguments, **named)

    _lambda.invalidate_worker = invalidate


def layer_archive(layer: Any) -> bytes | None:
    """Return the zip of a layer version that a function names."""
    return _lambda._resolve_layer_zip(layer)


def put_log_events(group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
    """Append (epoch milliseconds, line) pairs to a log stream, making group and stream when missing."""
    logs = internal("services.cloudwatch_logs")
    if group not in logs._log_groups:
        logs._create_log_group({"logGroupName": group})
    if stream not in logs._log_groups[group]["streams"]:
        logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
    written = [{"timestamp": stamp, "message": line} for stamp, line in events]
    logs._put_log_events({"logGroupName": group, "logStreamName": stream, "logEvents": written})


def function_policy(name: str) -> dict[str, Any] | None:
    """Return the resource policy of a function in the current scope, of its aliases and versions too."""
    record = _lambda._functions.get(name)
    return record["policy"] if record else None


def invoke_later(function_arn: str, event: Any) -> bool:
    """Invoke a function asynchronously, with its retries and destinations; False when there is none."""
    record, config, _ = _lambda._get_func_record_for_ref(function_arn)
    if record is None or config is None:
        return False
    _lambda.invoke_async_with_retry(_lambda._execution_record_for_config(record, config), event)
    return True


def install_event_sources(deliver: Callable[["Delivery"], None]) -> None:
    """Hand every delivery of EventBridge, its scheduler, S3 and SNS to a function over to `deliver`."""
    events, storage = internal("services.eventbridge"), internal("services.s3")
    topics = internal("services.sns")
    invoke_target = events._invoke_target
    serving: ContextVar[tuple[dict[str, Any], dict[str, Any]]] = ContextVar("twin_rule_and_target")

    def to_target(target: dict[str, Any], event: Any, rule: dict[str, Any], view: Any = None) -> None:
        token = serving.set((rule, target))
        try:
            invoke_target(target, event, rule, view)
        finally:
            serving.reset(token)

    def from_rule(arn: str, payload: str) -> None:
        rule, target = serving.get()
        source = rule.get("Arn", "")
        service = "scheduler" if ":scheduler:" in source else "events"
        deliver(
            Delivery(
                function_arn=arn,
                service=f"{service}.amazonaws.com",
                source_arn=source,
                source_account=current_scope().account,
                event=_parsed(payload),
                role_arn=target.get("RoleArn") if service == "scheduler" else None,
            )
        )

    def from_bucket(arn: str, event: dict[str, Any], _bucket_region: str) -> None:
        bucket = event["Records"][0]["s3"]["bucket"]["name"]
        owner = storage._bucket_owner_account(bucket) or current_scope().account
        deliver(Delivery(arn, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}", owner, event))

    def from_topic(arn: str, envelope: str, topic_arn: str, subscription: str, *_rest: Any) -> None:
        record = {"EventVersion": "1.0", "EventSubscriptionArn": subscription, "EventSource": "aws:sns"}
        event = {"Records": [{**record, "Sns": json.loads(envelope)}]}
        deliver(Delivery(arn, "sns.amazonaws.com", topic_arn, topic_arn.split(":")[4], event))

    events._invoke_target = to_target
    events._dispatch_to_lambda = from_rule
    storage._deliver_event_to_lambda = from_bucket
    topics._deliver_to_lambda = from_topic


def _parsed(payload: str) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload


@dataclass(frozen=True)
class Delivery:
    """One event on its way from an AWS service to a function; `role_arn` where a role is used to invoke."""

    function_arn: str
    service: str
    source_arn: str
    source_account: str
    event: Any
    role_arn: str | None = None
