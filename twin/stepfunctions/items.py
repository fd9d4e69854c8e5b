"""Items of a Map state: read from its input or from S3, grouped into batches; results written to S3."""

import csv
import io
import json
from typing import Any

from twin.stepfunctions import calls, expressions
from twin.stepfunctions.calls import Caller
from twin.stepfunctions.errors import StateError
from twin.stepfunctions.expressions import Frame, State

_DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}


def read(state: State, data: Any, given: Any, frame: Frame, caller: Caller) -> list[Any]:
    """Return the items of a Map state; raises `StateError` when there is no list of them."""
    if "ItemReader" in state:
        return _from_storage(state, data, given, frame, caller)
    if frame.uses_jsonata(state):
        found = expressions.jsonata(state["Items"], frame, input=data) if "Items" in state else data
    else:
        found = expressions.lookup(state.get("ItemsPath", "$"), given, frame)
    if isinstance(found, dict):  # JSONata states may iterate over an object's entries
        return [{"Key": key, "Value": value} for key, value in found.items()]
    if not isinstance(found, list):
        raise StateError("States.Runtime", f"The items of a Map state must be an array, and are: {found!r}")
    return found


def batches(state: State, data: Any, inputs: list[Any], frame: Frame) -> list[Any]:
    """Group the inputs of child executions as ItemBatcher says; without one they are returned as they are."""
    batcher = state.get("ItemBatcher")
    if not batcher:
        return inputs
    most = int(expressions.number(_with_language(batcher, state), "MaxItemsPerBatch", data, frame) or 0)
    if frame.uses_jsonata(state):
        shared = expressions.jsonata(batcher.get("BatchInput"), frame, input=data)
    else:
        shared = expressions.template(batcher.get("BatchInput"), data, frame)
    largest = int(batcher.get("MaxInputBytesPerBatch", 0))
    grouped: list[list[Any]] = []
    size = 0
    for item in inputs:
        weight = len(json.dumps(item))
        full = grouped and ((most and len(grouped[-1]) >= most) or (largest and size + weight > largest))
        if full or not grouped:
            grouped.append([])
            size = 0
        grouped[-1].append(item)
        size += weight
    extra = {"BatchInput": shared} if shared is not None else {}
    return [{**extra, "Items": group} for group in grouped]


def write_results(
    writer: dict[str, Any], run_arn: str, children: list[dict[str, Any]], frame: Frame, caller: Caller
) -> dict[str, Any]:
    """Put the children's descriptions into S3, with a manifest, and return where they are."""
    where = _parameters(writer, None, None, frame, writer)
    bucket = where["Bucket"]
    folder = f"{where.get('Prefix', '').strip('/')}/{run_arn.rpartition(':')[2]}".lstrip("/")
    files: dict[str, list[dict[str, Any]]] = {}
    for status in ("SUCCEEDED", "FAILED", "PENDING"):
        found = [_described(child) for child in children if child["status"] == status]
        files[status] = []
        if found:
            key, body = f"{folder}/{status}_0.json", json.dumps(found)
            _put(caller, bucket, key, body)
            files[status].append({"Key": key, "Size": len(body)})
    manifest = {"DestinationBucket": bucket, "MapRunArn": run_arn, "ResultFiles": files}
    _put(caller, bucket, f"{folder}/manifest.json", json.dumps(manifest))
    details = {"Bucket": bucket, "Key": f"{folder}/manifest.json"}
    return {"MapRunArn": run_arn, "ResultWriterDetails": details}


def _described(child: dict[str, Any]) -> dict[str, Any]:
    names = ("executionArn", "name", "status", "startDate", "stopDate", "input", "output", "error", "cause")
    return {name[:1].upper() + name[1:]: child[name] for name in names if child.get(name) is not None}


def _put(caller: Caller, bucket: str, key: str, body: str) -> None:
    parameters = {"Bucket": bucket, "Key": key, "Body": body, "ContentType": "application/json"}
    try:
        calls.call_raw(caller, calls.sdk("s3", "putObject"), parameters)
    except StateError as fault:
        raise StateError("States.ResultWriterFailed", fault.cause) from fault


def _with_language(holder: dict[str, Any], state: State) -> dict[str, Any]:
    return {**holder, **({"QueryLanguage": state["QueryLanguage"]} if "QueryLanguage" in state else {})}


def _parameters(holder: dict[str, Any], data: Any, given: Any, frame: Frame, state: State) -> dict[str, Any]:
    if frame.uses_jsonata(state):
        return expressions.jsonata(holder.get("Arguments", {}), frame, input=data)
    return expressions.template(holder.get("Parameters", {}), given, frame)


def _from_storage(state: State, data: Any, given: Any, frame: Frame, caller: Caller) -> list[Any]:
    reader = state["ItemReader"]
    where = _parameters(reader, data, given, frame, state)
    config = reader.get("ReaderConfig", {})
    try:
        if reader["Resource"].endswith("s3:listObjectsV2"):
            found = _listed(caller, where)
        else:
            raw = calls.call_raw(caller, calls.sdk("s3", "getObject"), where)
            found = _parsed(raw["Body"].read().decode("utf-8"), config)
    except StateError as fault:
        raise StateError("States.ItemReaderFailed", fault.cause) from fault
    except (ValueError, KeyError, UnicodeDecodeError) as fault:
        text = f"The items cannot be read from s3://{where.get('Bucket')}/{where.get('Key')}: {fault}"
        raise StateError("States.ItemReaderFailed", text) from fault
    most = expressions.number(_with_language(config, state), "MaxItems", data, frame)
    return found[: int(most)] if most else found


def _listed(caller: Caller, where: dict[str, Any]) -> list[Any]:
    operation, found, token = calls.sdk("s3", "listObjectsV2"), [], None
    while True:
        page = calls.call(caller, operation, {**where, **({"ContinuationToken": token} if token else {})})
        found += page.get("Contents", [])
        token = page.get("NextContinuationToken")
        if not token:
            return found


def _parsed(text: str, config: dict[str, Any]) -> list[Any]:
    kind = config.get("InputType", "JSON")
    if kind == "JSONL":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if kind == "CSV":
        rows = list(csv.reader(io.StringIO(text), delimiter=_DELIMITERS[config.get("CSVDelimiter", "COMMA")]))
        given = config.get("CSVHeaderLocation") == "GIVEN"
        header = config["CSVHeaders"] if given else rows.pop(0)
        return [dict(zip(header, [*row, *[""] * len(header)], strict=False)) for row in rows if row]
    if kind != "JSON":
        raise ValueError(f"the twin does not read InputType {kind}")
    found = json.loads(text)
    for part in config.get("ItemsPointer", "").split("/")[1:]:
        found = found[int(part)] if isinstance(found, list) else found[part]
    if not isinstance(found, list):
        raise ValueError("the JSON document is not an array")
    return found
