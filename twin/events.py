"""Targets of EventBridge rules and schedules: reached with their role, or as their own policies allow."""

import json
import logging
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from twin import glue, iam

log = logging.getLogger("twin.events")
_SERVICE = "events.amazonaws.com"
_events = glue.internal("services.eventbridge")
_serving: ContextVar[tuple[dict[str, Any], dict[str, Any]]] = ContextVar("twin_rule_target")
_event: ContextVar[dict[str, Any]] = ContextVar("twin_rule_event")
# The emulator's own way into a queue, once `install` has put another before it.
_into_queue: list[Callable[[Any, str], None]] = []


def install() -> None:
    """Deliver to state machines, pipelines, topics and queues only as IAM allows; count what fails."""
    invoke, to_topic, to_queue = _events._invoke_target, _events._dispatch_to_sns, _events._dispatch_to_sqs

    def invoke_target(target: dict[str, Any], event: Any, rule: dict[str, Any], view: Any = None) -> None:
        view = view or _events._pattern_event_view(event)
        token, told = _serving.set((rule, target)), _event.set(view.event_with_detail())
        try:
            if target.get("Arn", "").startswith("arn:aws:codepipeline:"):
                start_pipeline(target["Arn"])
            elif target.get("Arn", "").startswith("arn:aws:kinesis:"):
                put_record(target, view, rule)
            else:
                invoke(target, event, rule, view)
        finally:
            _serving.reset(token)
            _event.reset(told)

    def publish(topic_arn: str, payload: str) -> None:
        if _of_scheduler():
            _as_target_role("sns", lambda client: client.publish(TopicArn=topic_arn, Message=payload))
        else:
            _deliver(lambda: (_check_topic(topic_arn), to_topic(topic_arn, payload)))

    def send(queue: Any, payload: str, parameters: Any = None) -> None:
        if _of_scheduler():
            _as_target_role("sqs", lambda client: _send(client, str(queue), payload, parameters or {}))
        else:
            _deliver(lambda: (_check_queue(str(queue)), to_queue(queue, payload, parameters)))

    _events._invoke_target = invoke_target
    _events._dispatch_to_stepfunctions = start_execution
    _events._dispatch_to_sns, _events._dispatch_to_sqs = publish, send
    _into_queue[:] = [to_queue]


def start_execution(arn: str, payload: str) -> None:
    """Start a state machine with the role of the target."""
    name = f"{uuid.uuid4()}_{uuid.uuid4()}"[:80]
    _as_target_role(
        "stepfunctions", lambda client: client.start_execution(stateMachineArn=arn, name=name, input=payload)
    )


def start_pipeline(arn: str) -> None:
    """Start a pipeline with the role of the target."""
    _as_target_role(
        "codepipeline", lambda client: client.start_pipeline_execution(name=arn.rsplit(":", 1)[-1])
    )


def put_record(target: dict[str, Any], view: Any, rule: dict[str, Any]) -> None:
    """Put an event, or what the target makes of it, into a stream with the role of the target."""
    whole = view.event_with_detail()
    if target.get("InputTransformer"):
        text = _events._apply_input_transformer(target["InputTransformer"], rule, view)
    elif target.get("Input"):
        text = target["Input"]
    else:
        text = json.dumps(_at(whole, target.get("InputPath") or "$"))
    path = (target.get("KinesisParameters") or {}).get("PartitionKeyPath")
    # Without a path, or where it leads nowhere, the event's id spreads the records.
    key = _at(whole, path) if path else None
    key = key if isinstance(key, str) and key else str(whole.get("id", uuid.uuid4()))
    _as_target_role(
        "kinesis",
        lambda client: client.put_record(StreamARN=target["Arn"], PartitionKey=key[:256], Data=text.encode()),
    )


def _at(document: Any, path: str) -> Any:
    """What a path such as ``$.detail.object.key`` leads to; None when it leads nowhere."""
    found = document
    for part in path.removeprefix("$").split("."):
        if part:
            found = found.get(part) if isinstance(found, dict) else None
    return found


def _of_scheduler() -> bool:
    """Whether the target being served is a schedule's: those are all reached with their role."""
    return ":scheduler:" in _serving.get()[0].get("Arn", "")


def _send(client: Any, queue_arn: str, payload: str, parameters: dict[str, Any]) -> None:
    url = client.get_queue_url(QueueName=queue_arn.rsplit(":", 1)[-1])["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody=payload, **parameters)


def _as_target_role(service: str, call: Callable[[Any], Any]) -> None:
    rule, target = _serving.get()
    role = target.get("RoleArn") or rule.get("RoleArn") or ""
    name = "scheduler" if _of_scheduler() else "events"

    def deliver() -> None:
        principal = f"{name}.amazonaws.com"
        session = glue.service_session(role, principal, name, source_arn=rule.get("Arn", ""))
        call(glue.client(service, session, glue.current_scope().region))

    # A thread of its own: the call comes back to this process, and the caller may be its event loop.
    glue.spawn(_deliver, deliver, name="twin-event-target")


def _deliver(deliver: Callable[[], Any]) -> None:
    """Make one delivery; a failure is logged and counted in the rule's metric, as EventBridge does."""
    rule, target = _serving.get()
    try:
        deliver()
    except (iam.Denied, glue.TrustError, ClientError, BotoCoreError) as fault:
        log.warning("rule %s could not reach %s: %s", rule.get("Name"), target.get("Arn"), fault)
        if _of_scheduler():
            group = {"ScheduleGroup": rule.get("GroupName", "default")}
            glue.record_metric("AWS/Scheduler", "TargetErrorCount", 1, "Count", group)
        else:
            _count(rule, "FailedInvocations")
            _keep(rule, target)


def _keep(rule: dict[str, Any], target: dict[str, Any]) -> None:
    """Leave an event that was not delivered to the target's queue for such, if that lets EventBridge in."""
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if not queue:
        return
    try:
        _check_queue(queue)
        _into_queue[0](_events.parse_arn(queue), json.dumps(_event.get()))
    except (iam.Denied, ClientError) as fault:
        log.warning("rule %s could not leave an event in %s: %s", rule.get("Name"), queue, fault)
        _count(rule, "InvocationsFailedToBeSentToDlq")
    else:
        _count(rule, "InvocationsSentToDlq")


def _count(rule: dict[str, Any], metric: str) -> None:
    glue.record_metric("AWS/Events", metric, 1, "Count", {"RuleName": rule.get("Name", "")})


def _check_topic(arn: str) -> None:
    rule, _ = _serving.get()
    topics = glue.internal("services.sns")
    found = topics.topic_policy_for_arn(arn)
    iam.check_service(
        _SERVICE, "sns:Publish", arn, found[0] if found else None, source_arn=rule.get("Arn", "")
    )
    _check_key(topics._topics[arn] if found else None)


def _check_queue(arn: str) -> None:
    rule, _ = _serving.get()
    queues = glue.internal("services.sqs")
    found = queues.queue_policy_for_arn(arn)
    policy = found[0] if found else None
    iam.check_service(_SERVICE, "sqs:SendMessage", arn, policy, source_arn=rule.get("Arn", ""))
    _check_key(queues._queue_by_arn(arn))


def _check_key(encrypted: dict[str, Any] | None) -> None:
    """Refuse EventBridge a topic or a queue whose key, a customer's, does not let it in."""
    key = encrypted["attributes"].get("KmsMasterKeyId") if encrypted else None
    if key and not key.startswith("alias/aws/"):
        iam.service_may_use_key(key, _SERVICE, ("kms:Decrypt", "kms:GenerateDataKey"))
