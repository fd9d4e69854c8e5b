"""What a call is judged on where ministack names the wrong resource, too few of them, or no condition key."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from twin import glue
from twin.iam.conditions import role_tags
from twin.iam.implied import Call

_TLS_VERSION = "1.3"  # the endpoint stands for AWS's, which speak it


@dataclass(frozen=True)
class Facet:
    """One thing that must be allowed: under any of `resources`, with `context` as condition keys."""

    resources: tuple[str, ...]
    context: dict[str, Any] = field(default_factory=dict[str, Any])


def facets(action: str, resource: str, call: Call | None) -> list[Facet]:
    """Return what must be allowed for `action`; ministack's own resource where it is right."""
    namespace = action.partition(":")[0]
    if namespace == "s3":
        return [Facet((resource,), {"s3:TlsVersion": _TLS_VERSION})]
    if namespace in ("iam", "sts"):
        arn = _role_arn(resource)
        return [Facet((arn,), role_tags(arn))]
    if namespace == "kms":
        return [Facet((_key_arn(resource),))]
    special = _SPECIAL.get(namespace)
    return (
        special(action, resource, call) if special is not None and call is not None else [Facet((resource,))]
    )


def _role_arn(resource: str) -> str:
    """Return a role's ARN with its path, which a request by name lacks."""
    if ":role/" not in resource:
        return resource
    account = resource.split(":")[4]
    role = glue.internal("services.iam")._roles.get_scoped(account, None, resource.rsplit("/", 1)[-1])
    return role["Arn"] if role else resource


def _key_arn(resource: str) -> str:
    """Return the key's ARN for an alias's: policies on keys name keys."""
    if ":alias/" not in resource:
        return resource
    parts = resource.split(":")
    with glue.scope(parts[4], parts[3]):
        key = glue.internal("services.kms")._resolve_key(resource)
    return key["Arn"] if key else resource


def _body(call: Call) -> dict[str, Any]:
    try:
        parsed = json.loads(call.body or b"{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _arn(service: str, resource: str) -> str:
    here = glue.current_scope()
    return f"arn:aws:{service}:{here.region}:{here.account}:{resource}"


def _logs(_: str, resource: str, call: Call) -> list[Facet]:
    """CloudWatch Logs judges streams, or the group with an empty stream; ARNs in policies end in ``:*``."""
    body = _body(call)
    names = body.get("logGroupNames") or [body.get("logGroupName") or body.get("logGroupIdentifier") or ""]
    found: list[Facet] = []
    for name in names:
        if not name:
            found.append(Facet((resource,)))
            continue
        group = name.removesuffix(":*") if name.startswith("arn:") else _arn("logs", f"log-group:{name}")
        stream = f"{group}:log-stream:{body.get('logStreamName', '')}"
        found.append(Facet((stream,) if body.get("logStreamName") else (stream, group)))
    return found


def _cloudformation(_: str, resource: str, call: Call) -> list[Facet]:
    """A change set is known by its name, also when the request gives its ARN."""
    form = parse_qs(call.body.decode("utf-8", "replace"))
    name = (form.get("ChangeSetName") or [""])[0]
    if name.startswith("arn:"):
        name = name.split("/")[1]
    return [Facet((resource,), {"cloudformation:ChangeSetName": name} if name else {})]


def _ecr(_: str, resource: str, call: Call) -> list[Facet]:
    """Repositories of the registry that the request names, which may be another account's."""
    body, here = _body(call), glue.current_scope()
    names = body.get("repositoryNames") or [body.get("repositoryName")]
    registry = f"arn:aws:ecr:{here.region}:{body.get('registryId') or here.account}:repository/"
    return [Facet((registry + name,)) for name in names if name] or [Facet((resource,))]


def _ssm(_: str, resource: str, call: Call) -> list[Facet]:
    body = _body(call)
    names = body.get("Names") or ([body["Path"]] if isinstance(body.get("Path"), str) else [])
    return [Facet((_arn("ssm", f"parameter/{n.lstrip('/')}"),)) for n in names] or [Facet((resource,))]


def _events(action: str, resource: str, call: Call) -> list[Facet]:
    if action != "events:PutEvents":
        return [Facet((resource.replace(":rule/default/", ":rule/"),))]
    found: list[Facet] = []
    for entry in _body(call).get("Entries") or []:
        bus = entry.get("EventBusName") or "default"
        arn = bus if bus.startswith("arn:") else _arn("events", f"event-bus/{bus}")
        keys = {"events:source": entry.get("Source"), "events:detail-type": entry.get("DetailType")}
        found.append(Facet((arn,), keys))
    return found or [Facet((resource,))]


def _metrics(action: str, resource: str, call: Call) -> list[Facet]:
    if action == "cloudwatch:PutMetricData":
        return [Facet((resource,), {"cloudwatch:namespace": _metrics_body(call).get("Namespace")})]
    if action in ("cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"):
        body = _metrics_body(call)
        names = body.get("AlarmNames") or ([body["AlarmName"]] if body.get("AlarmName") else [])
        return [Facet((_arn("cloudwatch", f"alarm:{name}"),)) for name in names] or [Facet((resource,))]
    return [Facet((resource,))]


def _metrics_body(call: Call) -> dict[str, Any]:
    """Return a request to CloudWatch in any of its protocols; of forms, texts and lists of texts."""
    if "cbor" in call.headers.get("content-type", ""):
        import cbor2  # pyright: ignore[reportMissingImports]  # comes with ministack

        return cbor2.loads(call.body)
    if "json" in call.headers.get("content-type", ""):
        return _body(call)
    found: dict[str, Any] = {}
    for name, (value, *_) in parse_qs(call.body.decode("utf-8", "replace")).items():
        member, _, place = name.partition(".member.")
        if place.isdigit():
            found.setdefault(member, []).append(value)
        else:
            found[member] = value
    return found


def _sagemaker(action: str, resource: str, call: Call) -> list[Facet]:
    """An endpoint is made of a configuration, which the caller must be allowed to use as well."""
    configuration = _body(call).get("EndpointConfigName")
    if action not in ("sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint") or not configuration:
        return [Facet((resource,))]
    return [Facet((resource,)), Facet((_arn("sagemaker", f"endpoint-config/{str(configuration).lower()}"),))]


def _autoscaling(_: str, resource: str, call: Call) -> list[Facet]:
    """Application Auto Scaling has the kind of what is scaled as condition keys."""
    body = _body(call)
    members = {"service-namespace": "ServiceNamespace", "scalable-dimension": "ScalableDimension"}
    keys = {f"application-autoscaling:{key}": body[name] for key, name in members.items() if name in body}
    return [Facet((resource,), keys)]


def _states(_: str, resource: str, call: Call) -> list[Facet]:
    """A Map run is judged as what it is."""
    run = _body(call).get("mapRunArn")
    return [Facet((run if isinstance(run, str) and resource == "*" else resource,))]


def _backup(_: str, resource: str, call: Call) -> list[Facet]:
    """AWS Backup judges what happens to a vault by the vault, which the path names."""
    found = re.match(r"^/backup-vaults/([^/]+)", call.path)
    return [Facet((_arn("backup", f"backup-vault:{found[1]}") if found else resource,))]


_SPECIAL: dict[str, Callable[[str, str, Call], list[Facet]]] = {
    "application-autoscaling": _autoscaling,
    "backup": _backup,
    "cloudformation": _cloudformation,
    "cloudwatch": _metrics,
    "ecr": _ecr,
    "events": _events,
    "logs": _logs,
    "sagemaker": _sagemaker,
    "ssm": _ssm,
    "states": _states,
}
