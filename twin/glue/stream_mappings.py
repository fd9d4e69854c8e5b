"""Seams into ministack's event source mappings of streams, and into the functions behind them."""

import json
from collections.abc import Callable
from typing import Any

from twin.glue.internals import internal
from twin.glue.scope import Scope

_lambda = internal("services.lambda_svc")


def stream_mappings() -> list[tuple[Scope, dict[str, Any]]]:
    """Return ministack's records of all mappings of Kinesis streams, with their accounts and regions."""
    found = list(_lambda._esms.all_items())
    return [
        (Scope(account, region), mapping)
        for (account, region, _), mapping in found
        if ":kinesis:" in mapping.get("EventSourceArn", "")
    ]


def install_mappings(
    check: Callable[[dict[str, Any]], str | None],
    begin: Callable[[dict[str, Any]], None],
    end: Callable[[str], None],
) -> None:
    """Take the reading of Kinesis streams over from ministack.

    `check` gets what CreateEventSourceMapping and UpdateEventSourceMapping are called with and returns why it
    is refused; `begin` gets the record of a mapping that was made, by the API or by a stack; `end` its id.
    """
    create, update = _lambda._create_esm, _lambda._update_esm
    release = _lambda._release_esm_poll_state

    def refusal(data: dict[str, Any]) -> Any:
        reason = check(data)
        if reason is None:
            return None
        body = {"Type": "User", "message": reason}
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": "InvalidParameterValueException"}
        return 400, headers, json.dumps(body).encode()

    def create_mapping(data: dict[str, Any]) -> Any:
        if ":kinesis:" not in data.get("EventSourceArn", ""):
            return create(data)
        refused = refusal(data)
        if refused is not None:
            return refused
        answer = create({"BatchSize": 100, **data})
        if answer[0] < 300:
            begin(_completed(json.loads(answer[2])["UUID"], data))
        return answer

    def update_mapping(mapping_id: str, data: dict[str, Any]) -> Any:
        known = _lambda._esms.get(mapping_id) or {}
        if ":kinesis:" not in known.get("EventSourceArn", ""):
            return update(mapping_id, data)
        named = {"EventSourceArn": known["EventSourceArn"], "StartingPosition": known["StartingPosition"]}
        return refusal({**named, "FunctionName": known["FunctionName"], **data}) or update(mapping_id, data)

    def forget(mapping_id: str) -> None:
        release(mapping_id)
        end(mapping_id)

    _lambda._create_esm, _lambda._update_esm = create_mapping, update_mapping
    _lambda._release_esm_poll_state = forget
    _lambda._poll_kinesis = lambda: False


def complete_mapping(mapping_id: str, properties: dict[str, Any]) -> dict[str, Any] | None:
    """Add what ministack drops of a mapping in a stack; returns the record, None for another source."""
    mapping = _lambda._esms.get(mapping_id)
    if mapping is None or ":kinesis:" not in mapping.get("EventSourceArn", ""):
        return None
    if "BatchSize" not in properties:
        mapping["BatchSize"] = 100
    return _completed(mapping_id, properties)


def _completed(mapping_id: str, data: dict[str, Any]) -> dict[str, Any]:
    mapping = _lambda._esms[mapping_id]
    if "StartingPositionTimestamp" in data:
        mapping["StartingPositionTimestamp"] = float(data["StartingPositionTimestamp"])
    for name, default in (
        ("ParallelizationFactor", 1),
        ("MaximumRetryAttempts", -1),
        ("MaximumRecordAgeInSeconds", -1),
        ("BisectBatchOnFunctionError", False),
        ("TumblingWindowInSeconds", 0),
        ("DestinationConfig", {"OnFailure": {}}),
    ):
        mapping.setdefault(name, default)
    return mapping


def matching(events: list[dict[str, Any]], mapping: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events that the mapping's filters let through."""
    return _lambda._apply_filter_criteria(events, mapping)


def invoke_synchronously(function_arn: str, event: Any) -> dict[str, Any] | None:
    """Run a function as a service does that waits for its answer; None when there is no such function.

    The result has `body`, and on failure `error`, `function_error`, or `throttle` when it was not run at all.
    """
    record, config, _ = _lambda._get_func_record_for_ref(function_arn)
    if record is None or config is None:
        return None
    return _lambda._execute_function(_lambda._execution_record_for_config(record, config), event)


def role_of_function(reference: str) -> str | None:
    """Return the role of a function, named by name or ARN in the current scope; None when there is none."""
    record, config, _ = _lambda._get_func_record_for_ref(reference)
    return str(config.get("Role", "")) if record is not None and config is not None else None
