"""Permissions that AWS asks for behind a call: the key of an S3 object, the passing of a role."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from twin import glue
from twin.glue import streams

_KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"
_SSE_HEADER = "x-amz-server-side-encryption"


@dataclass(frozen=True)
class Call:
    """The request that is judged; `action` is what it asks for."""

    action: str | None
    service: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    query: dict[str, Any]


@dataclass(frozen=True)
class Need:
    """One more permission that the caller must have; `fault` is set where AWS refuses without asking IAM."""

    action: str
    resource: str
    context: dict[str, str]
    fault: str = ""


# Namespace of the action -> (service that gets the role, names of the members that carry it).
_PASSING = {
    "cloudformation": ("cloudformation.amazonaws.com", ("RoleARN",)),
    "codebuild": ("codebuild.amazonaws.com", ("serviceRole",)),
    "codepipeline": ("codepipeline.amazonaws.com", ("roleArn",)),
    "events": ("events.amazonaws.com", ("RoleArn",)),
    "lambda": ("lambda.amazonaws.com", ("Role",)),
    "sagemaker": ("sagemaker.amazonaws.com", ("RoleArn", "ExecutionRoleArn")),
    "scheduler": ("scheduler.amazonaws.com", ("RoleArn",)),
    "states": ("states.amazonaws.com", ("roleArn",)),
}
_STREAM_KEY_ACTIONS = {
    "kinesis:PutRecord": "kms:GenerateDataKey",
    "kinesis:PutRecords": "kms:GenerateDataKey",
    "kinesis:GetRecords": "kms:Decrypt",
}
_PASSING_VERBS = ("Create", "Update", "Put", "Delete", "Start", "Continue")


def needs(action: str, resource: str, call: Call | None) -> Iterator[Need]:
    """Yield what `action` on `resource` asks for beyond itself."""
    namespace, _, operation = action.partition(":")
    if action in ("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"):
        yield from _object_key_needs(action, resource, call)
    elif action == "sns:Publish":
        yield from _topic_key_needs(resource)
    elif action in _STREAM_KEY_ACTIONS:
        yield from _stream_key_needs(_STREAM_KEY_ACTIONS[action], resource)
    elif call is not None and namespace in _PASSING and operation.startswith(_PASSING_VERBS):
        yield from _pass_role_needs(namespace, call)
        if namespace == "cloudformation":
            yield from _template_needs(call)


def _object_key_needs(action: str, resource: str, call: Call | None) -> Iterator[Need]:
    if call is not None and call.method == "HEAD":
        return  # metadata is not encrypted
    bucket, _, name = resource.removeprefix("arn:aws:s3:::").partition("/")
    s3 = glue.internal("services.s3")
    owner = s3._bucket_owner_account(bucket)
    if owner is None:
        return
    key = (
        _written_with(call, owner, bucket) if action == "s3:PutObject" else _stored_with(owner, bucket, name)
    )
    arn = _key_arn(key, owner)
    if arn is None:
        return
    caller = glue.current_scope().account
    context = {"kms:ViaService": f"s3.{arn.split(':')[3]}.amazonaws.com", "kms:CallerAccount": caller}
    if action != "s3:PutObject":
        yield Need("kms:Decrypt", arn, context)
        return
    yield Need("kms:GenerateDataKey", arn, context)
    if call is not None and "uploadId" in call.query:  # parts are read again when they are put together
        yield Need("kms:Decrypt", arn, context)


def _topic_key_needs(topic_arn: str) -> Iterator[Need]:
    parts = topic_arn.split(":")
    topic = (
        glue.internal("services.sns")._topics.get_scoped(parts[4], parts[3], topic_arn)
        if len(parts) == 6
        else None
    )
    arn = _key_arn(topic["attributes"].get("KmsMasterKeyId", ""), parts[4]) if topic else None
    if arn is None:
        return
    context = {"kms:ViaService": f"sns.{parts[3]}.amazonaws.com", "kms:CallerAccount": parts[4]}
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        yield Need(action, arn, context)


def _stream_key_needs(action: str, stream_arn: str) -> Iterator[Need]:
    stream = streams.stream_of(stream_arn)
    if stream is None or stream.get("EncryptionType") != "KMS":
        return
    parts = stream_arn.split(":")
    arn = _key_arn(stream.get("KeyId") or "", parts[4])
    if arn is not None:
        context = {"kms:ViaService": f"kinesis.{parts[3]}.amazonaws.com", "kms:CallerAccount": parts[4]}
        yield Need(action, arn, context)


def _stored_with(owner: str, bucket: str, name: str) -> str:
    record = glue.internal("services.s3")._buckets.get_scoped(owner, None, bucket) or {}
    stored = record.get("objects", {}).get(name) or {}
    return stored.get("preserved_headers", {}).get(_KEY_HEADER, "")


def _written_with(call: Call | None, owner: str, bucket: str) -> str:
    headers = call.headers if call is not None else {}
    if headers.get(_SSE_HEADER):
        return headers.get(_KEY_HEADER, "")
    with glue.scope(owner, glue.current_scope().region):
        return glue.internal("services.s3")._bucket_default_sse_headers(bucket).get(_KEY_HEADER, "")


def _key_arn(key: str, owner: str) -> str | None:
    """Return the key's own ARN; None without a key or for the key that AWS manages."""
    if not key or "alias/aws/" in key:
        return None
    region = key.split(":")[3] if key.startswith("arn:") else glue.current_scope().region
    account = key.split(":")[4] if key.startswith("arn:") else owner
    with glue.scope(account, region):
        record = glue.internal("services.kms")._resolve_key(key)
    return (
        record["Arn"]
        if record
        else (key if key.startswith("arn:") else f"arn:aws:kms:{region}:{owner}:key/{key}")
    )


def _template_needs(call: Call) -> Iterator[Need]:
    """CloudFormation reads a template's URL as the caller."""
    for url in parse_qs(call.body.decode("utf-8", "replace")).get("TemplateURL", []):
        place = urlsplit(url).path.lstrip("/")
        if "/" in place:
            resource = f"arn:aws:s3:::{place}"
            yield Need("s3:GetObject", resource, {})
            yield from _object_key_needs("s3:GetObject", resource, None)


def _pass_role_needs(namespace: str, call: Call) -> Iterator[Need]:
    service, members = _PASSING[namespace]
    account = glue.current_scope().account
    for role in dict.fromkeys(_roles(namespace, members, call)):
        foreign = role.count(":") < 5 or role.split(":")[4] != account
        fault = f"Cross-account pass role is not allowed: {role}" if foreign else ""
        yield Need("iam:PassRole", role, {"iam:PassedToService": service}, fault)


def _roles(namespace: str, members: tuple[str, ...], call: Call) -> Iterator[str]:
    if namespace == "cloudformation":
        form = parse_qs(call.body.decode("utf-8", "replace"))
        yield from (value for member in members for value in form.get(member, []))
        return
    try:
        parsed = json.loads(call.body or b"{}")
    except ValueError:
        return  # the service itself answers a body that cannot be read
    if namespace == "codepipeline":  # the roles of single actions are assumed, not passed
        parsed = {"roleArn": (parsed.get("pipeline") or {}).get("roleArn")}
    yield from _values(parsed, members)


def _values(value: Any, members: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in members and isinstance(item, str) and item.startswith("arn:"):
                yield item
            else:
                yield from _values(item, members)
    elif isinstance(value, list):
        for item in value:
            yield from _values(item, members)
