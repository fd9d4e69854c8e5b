"""Seams into ministack's Kinesis: shards that close and stay, records that expire, who hears of new ones."""

import json
import time
from collections.abc import Callable
from typing import Any

from twin.glue.internals import internal

Record = dict[str, Any]
_kinesis = internal("services.kinesis")


def stream_of(arn: str) -> dict[str, Any] | None:
    """Return ministack's record of a stream, or None."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "kinesis":
        return None
    return _kinesis._streams.get_scoped(parts[4], parts[3], parts[5].partition("/")[2])


def is_closed(shard: dict[str, Any]) -> bool:
    """Whether a shard was split or merged, so that nothing is put into it any more."""
    return "ending_sequence_number" in shard


def next_sequence_number() -> str:
    """Return a sequence number between all records so far and all to come; they compare as text."""
    return _kinesis._next_sequence_number()


def put_record(stream_arn: str, partition_key: str, data: bytes) -> bool:
    """Put a record as an AWS service does; False when the stream is not there."""
    return _kinesis.put_record_internal(stream_arn, partition_key, data)


def on_put(tell: Callable[[], None]) -> None:
    """Call `tell` whenever records were put into some stream."""

    def telling(original: Callable[..., Any]) -> Callable[..., Any]:
        def put(*arguments: Any) -> Any:
            answer = original(*arguments)
            tell()
            return answer

        return put

    for name in ("_put_record", "_put_records", "put_record_internal"):
        setattr(_kinesis, name, telling(getattr(_kinesis, name)))


def install_shards() -> None:
    """Keep shards that were split or merged, closed, until their records have expired, as Kinesis does."""
    route, describe = _kinesis._route_to_shard, _kinesis._shard_out
    get_records, summary = _kinesis._get_records, _kinesis._describe_stream_summary

    def route_to_open(hash_key: int, stream: dict[str, Any]) -> str:
        shards = {name: shard for name, shard in stream["shards"].items() if not is_closed(shard)}
        return route(hash_key, {"shards": shards})

    def shard_out(shard_id: str, shard: dict[str, Any]) -> dict[str, Any]:
        shown = describe(shard_id, shard)
        if is_closed(shard):
            shown["SequenceNumberRange"]["EndingSequenceNumber"] = shard["ending_sequence_number"]
        return shown

    def records_until_the_end(data: dict[str, Any]) -> Any:
        status, headers, body = get_records(data)
        answer = json.loads(body) if status == 200 else {}
        following = _kinesis._shard_iterators.get(answer.get("NextShardIterator", ""))
        stream = _kinesis._streams.get(following["stream"]) if following else None
        shard = stream["shards"].get(following["shard_id"]) if stream and following else None
        if shard is None or not is_closed(shard) or following["position"] < len(shard["records"]):
            return status, headers, body
        answer["NextShardIterator"] = None
        answer["ChildShards"] = _children(stream, following["shard_id"])
        return status, headers, json.dumps(answer).encode()

    def open_shards_only(data: dict[str, Any]) -> Any:
        status, headers, body = summary(data)
        if status == 200:
            answer = json.loads(body)
            stream = stream_of(answer["StreamDescriptionSummary"]["StreamARN"])
            shards = stream["shards"].values() if stream else ()
            answer["StreamDescriptionSummary"]["OpenShardCount"] = sum(not is_closed(s) for s in shards)
            body = json.dumps(answer).encode()
        return status, headers, body

    _kinesis._route_to_shard, _kinesis._shard_out = route_to_open, shard_out
    _kinesis._get_records, _kinesis._describe_stream_summary = records_until_the_end, open_shards_only
    _kinesis._expire_records = expire_records
    for name in ("_split_shard", "_merge_shards", "_update_shard_count"):
        setattr(_kinesis, name, _keeping_parents(getattr(_kinesis, name)))


def install_resource_arns() -> None:
    """Let IAM judge GetRecords by the stream that its iterator is of: ministack asks for everything."""
    actions = internal("core.iam_actions")
    original = actions.extract_resource_arn

    def extract_resource_arn(  # ministack calls it by position
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        *rest: Any,
    ) -> str:
        if service == "kinesis" and headers.get("x-amz-target", "").endswith(".GetRecords"):
            try:
                iterator = _kinesis._shard_iterators.get(json.loads(body)["ShardIterator"])
            except (ValueError, KeyError):
                iterator = None
            if iterator:
                return str(iterator["stream_arn"])
        return original(service, method, path, headers, body, *rest)

    actions.extract_resource_arn = extract_resource_arn


def expire_records(stream: dict[str, Any]) -> None:
    """Drop what is older than the stream's retention, in place: others may be appending just now."""
    oldest = time.time() - stream["RetentionPeriodHours"] * 3600
    for name, shard in list(stream["shards"].items()):
        records = shard["records"]
        while records and records[0]["ApproximateArrivalTimestamp"] < oldest:
            del records[0]
        if is_closed(shard) and not records and shard["closed_at"] < oldest:
            stream["shards"].pop(name, None)


def _children(stream: dict[str, Any] | None, shard_id: str) -> list[dict[str, Any]]:
    shards = (stream or {"shards": {}})["shards"].items()
    return [
        {
            "ShardId": name,
            "ParentShards": parents(shard),
            "HashKeyRange": {
                "StartingHashKey": shard["starting_hash_key"],
                "EndingHashKey": shard["ending_hash_key"],
            },
        }
        for name, shard in shards
        if shard_id in parents(shard)
    ]


def parents(shard: dict[str, Any]) -> list[str]:
    """Return the shards that a shard was made from."""
    return [shard[key] for key in ("parent_shard_id", "adjacent_parent_shard_id") if shard.get(key)]


def _keeping_parents(reshard: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Let ministack make the new shards, on a copy without closed ones, and put closed parents back."""

    def resharded(data: dict[str, Any]) -> Any:
        _, stream = _kinesis._resolve_stream(data)
        if not stream:
            return reshard(data)
        before = dict(stream["shards"])
        named = [data[key] for key in ("ShardToSplit", "ShardToMerge", "AdjacentShardToMerge") if key in data]
        closed = [name for name in named if name in before and is_closed(before[name])]
        if closed:
            body = {"__type": "InvalidArgumentException", "message": f"Shard {closed[0]} is closed"}
            return 400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode()
        if "TargetShardCount" in data:
            return _update_count(stream, int(data["TargetShardCount"]), before)
        answer = reshard(data)
        _put_back(stream, before)
        return answer

    return resharded


def _put_back(stream: dict[str, Any], before: dict[str, dict[str, Any]]) -> None:
    after = stream["shards"]
    for name, shard in before.items():
        if name not in after:
            _close(shard)
    stream["shards"] = {**before, **after}


def _close(shard: dict[str, Any]) -> None:
    shard["ending_sequence_number"], shard["closed_at"] = next_sequence_number(), time.time()


def _update_count(stream: dict[str, Any], target: int, before: dict[str, dict[str, Any]]) -> Any:
    """Give the stream `target` shards of one size; each has the parents whose keys it takes over."""
    now_open = {name: shard for name, shard in before.items() if not is_closed(shard)}
    first = max(int(name.split("-")[1]) for name in before) + 1
    made = _kinesis._build_shards(target, first)
    for shard in made.values():
        overlapping = [name for name, old in now_open.items() if _overlap(old, shard)]
        # Kinesis gets there by splits and merges in between; two parents are all that a shard can name.
        shard["parent_shard_id"] = overlapping[0]
        shard["adjacent_parent_shard_id"] = overlapping[1] if len(overlapping) > 1 else None
    stream["shards"] = {**before, **made}
    for shard in now_open.values():
        _close(shard)
    body = {
        "StreamName": stream["StreamName"],
        "CurrentShardCount": len(now_open),
        "TargetShardCount": target,
        "StreamARN": stream["StreamARN"],
    }
    return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode()


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    starts = max(int(one["starting_hash_key"]), int(other["starting_hash_key"]))
    return starts <= min(int(one["ending_hash_key"]), int(other["ending_hash_key"]))
