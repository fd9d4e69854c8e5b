"""Alarms as CloudWatch evaluates them: dimensions, M of N periods, missing data, actions and permissions."""

import json
import logging
import operator
import time
from datetime import UTC, datetime
from typing import Any

from twin import alarm_metrics, glue, iam

log = logging.getLogger("twin.alarms")
_SECONDS_BETWEEN_EVALUATIONS = 1.0  # AWS: 10 s or a minute; nobody at a laptop wants to wait that long
_SECONDS_BETWEEN_EVICTIONS = 600.0
_SERVICE = "cloudwatch.amazonaws.com"
_BREACHES = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
_metrics = glue.internal("services.cloudwatch")
_topics = glue.internal("services.sns")


def install() -> None:
    """Replace ministack's evaluation and its actions, and evaluate all alarms every second."""
    _metrics._evaluate_alarm = evaluate
    _metrics._dispatch_alarm_actions = act
    # Ministack writes every series anew at each request, and loses a point that comes meanwhile.
    evict = _metrics._evict_old_metrics
    _metrics._evict_old_metrics = lambda: None
    _accept_math()
    glue.spawn(_evaluate_for_ever, evict, name="twin-alarms")


def _accept_math() -> None:
    """Let requests and templates put alarms on metric math, and refuse periods as CloudWatch does."""
    put, provisioners = _metrics._put_metric_alarm, glue.internal("services.cloudformation.provisioners")
    record = provisioners._cw_metric_alarm_record

    def put_alarm(parameters: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Any:
        queries = data.get("Metrics") if is_cbor or is_json else None
        try:
            if not (is_cbor or is_json) and "Metrics.member.1.Id" in parameters:
                raise ValueError("metric math in the query protocol is not supported by the local twin")
            if queries:
                alarm_metrics.set_math({}, queries)
            else:
                alarm_metrics.check_period(int(_one(parameters, data, "Period") or 60))
        except ValueError as fault:
            return _metrics._error("ValidationError", str(fault), 400, use_json=is_json, use_cbor=is_cbor)
        answer = put(parameters, data, is_cbor, is_json)
        if queries and answer[0] == 200:
            alarm = _metrics._alarms[data["AlarmName"]]
            alarm_metrics.set_math(alarm, queries)
            evaluate(alarm)
        return answer

    def alarm_record(name: str, properties: dict[str, Any]) -> dict[str, Any]:
        queries = properties.get("Metrics")
        if not queries:
            alarm_metrics.check_period(int(properties.get("Period", 60)))
            return record(name, properties)
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        alarm = record(name, {**plain, "MetricName": "math", "Namespace": "math"})
        alarm_metrics.set_math(alarm, queries)
        return alarm

    _metrics._put_metric_alarm = put_alarm
    provisioners._cw_metric_alarm_record = alarm_record


def _one(parameters: Any, data: Any, name: str) -> Any:
    found = data.get(name) or parameters.get(name)
    return found[0] if isinstance(found, list) else found


def alarm_state(name: str) -> str | None:
    """Return the state of a metric or composite alarm of the current scope, None when there is none."""
    alarm = _metrics._alarms.get(name) or _metrics._composite_alarms.get(name)
    return str(alarm["StateValue"]) if alarm else None


def ringing_for(action: str) -> list[dict[str, Any]]:
    """Return the metric alarms of the current scope that are in ALARM and have `action` for that state."""
    found = list(_metrics._alarms.values())
    return [
        alarm
        for alarm in found
        if alarm["StateValue"] == "ALARM"
        and alarm.get("ActionsEnabled", True)
        and action in (alarm.get("AlarmActions") or [])
    ]


def _evaluate_for_ever(evict: Any) -> None:
    evicted = time.monotonic()
    while True:
        time.sleep(_SECONDS_BETWEEN_EVALUATIONS)
        for (account, region, name), alarm in _metrics._alarms.all_items():
            with glue.scope(account, region):
                try:
                    evaluate(alarm)
                except Exception:
                    log.exception("alarm %s could not be evaluated", name)
        if time.monotonic() - evicted > _SECONDS_BETWEEN_EVICTIONS:
            evicted = time.monotonic()
            for account, region in {key[:2] for key, _ in _metrics._metrics.all_items()}:
                with glue.scope(account, region):
                    evict()


def evaluate(alarm: dict[str, Any]) -> None:
    """Move one alarm to the state that its metric's recent periods ask for."""
    if "Metrics" not in alarm and not (alarm.get("Namespace") and alarm.get("MetricName")):
        return
    values = alarm_metrics.period_values(alarm, time.time())
    state, reason = judge(alarm, values)
    if state in (None, alarm["StateValue"]):
        return
    before, now = alarm["StateValue"], int(time.time())
    alarm.update(
        StateValue=state, StateReason=reason, StateUpdatedTimestamp=now, StateTransitionedTimestamp=now
    )
    _metrics._record_history(alarm["AlarmName"], before, state, reason)
    act(alarm, before, state, reason)
    _metrics._evaluate_parent_alarms(alarm)


def judge(alarm: dict[str, Any], values: list[float | None]) -> tuple[str | None, str]:
    """Return the state for the values of the evaluation periods (None keeps the state), and the reason."""
    breaches = _BREACHES.get(alarm["ComparisonOperator"])
    if breaches is None:
        return None, ""
    treatment = alarm.get("TreatMissingData") or "missing"
    threshold = float(alarm["Threshold"])
    present = [value for value in values if value is not None]
    if not present and treatment == "missing":
        return "INSUFFICIENT_DATA", f"Insufficient Data: {len(values)} datapoints were unknown."
    if not present and treatment == "ignore":
        return None, ""
    breaching = sum(breaches(value, threshold) for value in present)
    if treatment == "breaching":
        breaching += len(values) - len(present)
    needed = int(alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"])
    if treatment in ("missing", "ignore"):
        needed = min(needed, len(present))
    shown = ", ".join("missing" if value is None else f"{value:g}" for value in values)
    reason = (
        f"Threshold Crossed: {breaching} of the last {len(values)} datapoints [{shown}] "
        f"breach {alarm['ComparisonOperator']} {threshold:g}"
    )
    return ("ALARM" if breaching >= max(needed, 1) else "OK"), reason


def act(alarm: dict[str, Any], before: str, state: str, reason: str) -> None:
    """Announce a change of state on the default bus, and carry out the actions for the new state."""
    glue.put_service_event(
        "aws.cloudwatch",
        "CloudWatch Alarm State Change",
        _event(alarm, before, state, reason),
        [alarm["AlarmArn"]],
    )
    if not alarm.get("ActionsEnabled", True):
        return
    for action in alarm.get(_ACTIONS[state]) or []:
        if ":autoscaling:" in action:
            continue  # scaling looks at its alarms itself
        if ":sns:" not in action:
            log.warning("alarm %s: the twin does not carry out the action %s", alarm["AlarmName"], action)
            continue
        try:
            _publish(action, alarm, before, state, reason)
        except iam.Denied as fault:
            log.warning("alarm %s was not published: %s", alarm["AlarmName"], fault)


def _event(alarm: dict[str, Any], before: str, state: str, reason: str) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    metric = {
        "namespace": alarm.get("Namespace"),
        "name": alarm.get("MetricName"),
        "dimensions": {d["Name"]: d["Value"] for d in alarm.get("Dimensions") or []},
    }
    stat = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    configuration = {
        "metrics": [
            {
                "id": "m1",
                "metricStat": {"metric": metric, "period": alarm.get("Period"), "stat": stat},
                "returnData": True,
            }
        ]
    }
    if "Metrics" in alarm:
        configuration = {"metrics": [_as_event(query) for query in alarm["Metrics"]]}
    if "AlarmRule" in alarm:
        configuration = {"alarmRule": alarm["AlarmRule"]}
    return {
        "alarmName": alarm["AlarmName"],
        "state": {"value": state, "reason": reason, "timestamp": now},
        "previousState": {"value": before, "timestamp": now},
        "configuration": {**configuration, "description": alarm.get("AlarmDescription", "")},
    }


def _as_event(query: dict[str, Any]) -> dict[str, Any]:
    """Return a query of metric math as alarm events write it."""
    made = {"id": query["Id"], "returnData": query.get("ReturnData", True)}
    if "Expression" in query:
        return {**made, "expression": query["Expression"], "label": query.get("Label", "")}
    stat = query["MetricStat"]
    metric = {
        "namespace": stat["Metric"]["Namespace"],
        "name": stat["Metric"]["MetricName"],
        "dimensions": {d["Name"]: d["Value"] for d in stat["Metric"].get("Dimensions") or []},
    }
    return {**made, "metricStat": {"metric": metric, "period": stat["Period"], "stat": stat["Stat"]}}


def _publish(topic_arn: str, alarm: dict[str, Any], before: str, state: str, reason: str) -> None:
    """Publish to a topic as CloudWatch: the topic's policy and its key's policy must let the service in."""
    here = glue.current_scope()
    found = _topics.topic_policy_for_arn(topic_arn)
    if found is None:
        raise iam.Denied(f"the topic {topic_arn} does not exist")
    iam.check_service(_SERVICE, "sns:Publish", topic_arn, found[0], source_arn=alarm["AlarmArn"])
    key = _topics._topics[topic_arn]["attributes"].get("KmsMasterKeyId")
    if key and not key.startswith("alias/aws/"):
        iam.service_may_use_key(key, _SERVICE, ("kms:Decrypt", "kms:GenerateDataKey"))
    message = {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription", ""),
        "AWSAccountId": here.account,
        "NewStateValue": state,
        "NewStateReason": reason,
        "StateChangeTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        "Region": here.region,
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": before,
        "Trigger": {
            key: alarm.get(key) for key in ("MetricName", "Namespace", "Dimensions", "Threshold", "Period")
        },
    }
    subject = f'{state}: "{alarm["AlarmName"]}" in {here.region}'[:100]
    _topics.publish_internal(topic_arn, json.dumps(message), subject)
