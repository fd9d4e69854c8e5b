"""The rollback drill: a bad model is promoted on purpose, and must be taken back without a failed request."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from botocore.exceptions import ClientError

from ops.faults import OperatorFault, is_absent
from ops.models import promotion
from ops.models.bad_package import BadPackage
from ops.models.execution import RUNNING, Execution
from ops.models.home import WAKING_ALARM, Home
from ops.models.pictures import from_folder, of_the_champion
from ops.models.records import Records
from ops.models.traffic import Client, Counts, Picture, Traffic
from ops.models.watch import View
from ops.options import INTERRUPTED
from ops.terminal import complain, confirm_name, say, working

_POLL_SECONDS = 0.5
# After the rollback, so many answers in a row must be the champion's, within this time.
_CALM_ANSWERS, _CALM_SECONDS = 10, 60
_QUALITY = "quality"

Record = dict[str, Any]


@dataclass
class _Drill:
    """One drill as it goes: the champion's package, and what has been seen."""

    home: Home
    champion: str
    deployment: str
    alarms: dict[str, str] = field(default_factory=dict[str, str])
    seen: list[str] = field(default_factory=list[str])

    def note(self, words: str, style: str = "") -> None:
        """Says something that belongs into the result as well."""
        self.seen.append(words)
        say(f"  {words}", style=style)


def run(home: Home, *, images: Path | None, rate: float, yes_really: str | None) -> Record:
    """Does the drill; answers what was seen, and whether it passed.

    Raises OperatorFault where it cannot begin, and Cancelled on a protected environment that is not named.
    """
    if home.environment.protected or yes_really is not None:
        confirm_name(
            f"{home} is protected, and some of its callers will get bad answers.", home.name, yes_really,
            option="--yes-really",
        )  # fmt: skip
    champion = _champion(home)
    pictures = from_folder(images) if images else of_the_champion(home, champion)
    client = Client(home)
    _calm_before(home, client, pictures, str(champion["model_package_arn"]))
    drill = _Drill(home, str(champion["model_package_arn"]), promotion.new_id("drill"))
    say(f"drill {drill.deployment} in {home}", style="bold")
    say(f"  the champion: {drill.champion}")
    traffic = Traffic(client, pictures, rate)
    with BadPackage(home, champion, drill.deployment) as bad:
        say(f"  the bad model: {bad.arn}, approved, and marked as a drill")
        say(f"  {rate:g} requests a second with {len(pictures)} of its pictures, until all is over")
        began = time.monotonic()
        with traffic.flowing():
            execution = promotion.start(home, bad.arn, reason="drill", deployment=drill.deployment)
            _watch(drill, execution, traffic.counts)
            if execution.status == "SUCCEEDED":
                drill.note("the bad model has been promoted: nothing took it back", "bold red")
                _restore(drill)
            settled = _settled(drill, traffic.counts)
        seconds = round(time.monotonic() - began, 1)
    return _result(drill, bad, execution, traffic.counts, settled=settled, seconds=seconds)


def _champion(home: Home) -> Record:
    """What serves, if a drill may begin. Raises OperatorFault."""
    champion = Records(home).champion()
    if champion is None:
        raise OperatorFault(f"{home} has no champion to come back to: train one first")
    if home.on_functions:
        _require_whole(home)
    else:
        _require_in_service(home)
    alarms = _alarms(home)
    if f"{home.endpoint()}-{_QUALITY}" not in alarms:
        raise OperatorFault(
            f"{home} has no alarm {home.endpoint()}-{_QUALITY}: nothing would stop a bad model"
        )
    ringing = [name for name, state in alarms.items() if state == "ALARM"]
    if ringing:
        raise OperatorFault(
            f"{', '.join(ringing)} is in ALARM already: mend that first (python -m ops status)"
        )
    return champion


def _require_in_service(home: Home) -> None:
    try:
        told = home.client("sagemaker").describe_endpoint(EndpointName=home.endpoint())
    except ClientError as fault:
        if is_absent(fault):
            raise OperatorFault(f"{home} has no endpoint {home.endpoint()}") from None
        raise
    if told["EndpointStatus"] != "InService":
        raise OperatorFault(f"{home.endpoint()} is {told['EndpointStatus']}: wait until it is InService")


def _require_whole(home: Home) -> None:
    """Where functions serve: all requests turn to one model."""
    target = Records(home).target()
    if target is None:
        raise OperatorFault(
            f"requests to {home.function()} name no model yet: promote the champion first (ops promote)"
        )
    if target["share"] != 100:
        raise OperatorFault(
            f"{target['share']} % of the requests turn to deployment {target['deployment_id']}: wait until "
            "its promotion has ended"
        )


def _alarms(home: Home) -> dict[str, str]:
    """The states of the alarms that guard the champion's endpoint."""
    pages = home.client("cloudwatch").get_paginator("describe_alarms")
    return {
        each["AlarmName"]: each["StateValue"]
        for page in pages.paginate(AlarmNamePrefix=f"{home.endpoint()}-", AlarmTypes=["MetricAlarm"])
        for each in page["MetricAlarms"]
        if not each["AlarmName"].endswith(WAKING_ALARM)
    }


def _calm_before(home: Home, client: Client, pictures: list[Picture], champion: str) -> None:
    """Holds that the API answers, and that the champion is sure of these pictures. Raises OperatorFault."""
    quality = home.environment.settings["quality"]
    answers = [client.ask(picture) for picture in pictures]
    wrong = next((answer.fault for answer in answers if answer.fault), "")
    if wrong:
        hint = " (these credentials may not ask the API)" if wrong.startswith("403") else ""
        raise OperatorFault(f"the API fails before the drill: {wrong}{hint}")
    others = {answer.model for answer in answers} - {champion}
    if others:
        raise OperatorFault(
            f"{home.endpoint()} answers with {others.pop()}, which is not the champion on record"
        )
    unsure = sum(answer.confidence < quality["low_confidence"] for answer in answers) * 100 / len(answers)
    if unsure >= quality["low_confidence_percent"]:
        raise OperatorFault(
            f"the champion itself is unsure of {unsure:.0f} % of these pictures: choose others with --images"
        )


def _watch(drill: _Drill, execution: Execution, counts: Counts) -> None:
    """Follows the promotion to its end. Ctrl-C asks for patience once: the bad model must be taken back."""
    view, warned, told = View(drill.home, execution), False, 0
    with working() as now:
        while True:
            try:
                execution.look()
                doing = view.take()
                _look_at_alarms(drill)
                now(f"{doing}; {_words(drill, counts)}")
                if execution.status != RUNNING:
                    return
                if counts.sent >= told + 100:
                    told = counts.sent
                    say(f"  {_words(drill, counts)}", style="dim")
                time.sleep(_POLL_SECONDS)
            except KeyboardInterrupt:
                if warned:
                    complain(
                        "left in the middle: the bad model may be promoted. Watch it: python -m ops watch "
                        f"{execution.arn} {drill.home.option}; then python -m ops rollback --model "
                        f"{drill.home.option}"
                    )
                    raise typer.Exit(INTERRUPTED) from None
                warned = True
                complain(
                    "requests must go on until the bad model is taken back; Ctrl-C again leaves it there"
                )


def _look_at_alarms(drill: _Drill) -> None:
    for name, state in _alarms(drill.home).items():
        before = drill.alarms.get(name, "OK")
        drill.alarms[name] = state
        if state != before and "ALARM" in (state, before):
            drill.note(f"alarm {name}: {state}", "bold red" if state == "ALARM" else "green")


def _restore(drill: _Drill) -> None:
    """Promotes the champion again, by hand as it were."""
    back = promotion.start(drill.home, drill.champion, reason="rollback", deployment=promotion.new_id("back"))
    view = View(drill.home, back)
    while True:
        back.look()
        view.take()
        if back.status != RUNNING:
            break
        time.sleep(_POLL_SECONDS)
    good = back.status == "SUCCEEDED"
    drill.note(f"taking the champion back by hand: {back.status}", "green" if good else "bold red")


def _settled(drill: _Drill, counts: Counts) -> bool:
    """Waits until the champion alone answers; whether it does."""
    until, since = time.monotonic() + _CALM_SECONDS, counts.sent
    while time.monotonic() < until:
        newest = list(counts.latest)[-_CALM_ANSWERS:]
        if counts.sent >= since + _CALM_ANSWERS and {each.model for each in newest} == {drill.champion}:
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _result(
    drill: _Drill, bad: BadPackage, execution: Execution, counts: Counts, *, settled: bool, seconds: float
) -> Record:
    error, cause = execution.failure
    serving = promotion.serving(drill.home)
    misses = [
        *([] if error == "RolledBack" else [f"the promotion ended as {error}, not RolledBack: {cause}"]),
        *([] if settled and serving == drill.champion else [f"the old model does not serve: {serving}"]),
        *([f"{counts.failed} of {counts.sent} requests failed"] if counts.failed else []),
        *([] if counts.by_model[bad.arn] else ["the bad model got no request: its roll-out was never seen"]),
        *[f"left behind: {each}" for each in bad.left],
    ]
    return {
        "passed": not misses,
        "misses": misses,
        "environment": drill.home.name,
        "deployment_id": drill.deployment,
        "execution_arn": execution.arn,
        "error": error,
        "cause": cause,
        "champion": drill.champion,
        "bad_model": bad.arn,
        "serving": serving,
        "seen": drill.seen,
        "seconds": seconds,
        "requests": {
            "sent": counts.sent,
            "failed": counts.failed,
            "by_champion": counts.by_model[drill.champion],
            "by_bad_model": counts.by_model[bad.arn],
            "faults": dict(counts.faults),
        },
    }


def _words(drill: _Drill, counts: Counts) -> str:
    others = sum(counts.by_model.values()) - counts.by_model[drill.champion]
    return f"{counts.sent} requests, {counts.failed} failed, {others} answered by the bad model"


def show(home: Home, told: Record) -> None:
    """The result, for people."""
    asked = told["requests"]
    how = "passed" if told["passed"] else "FAILED"
    style = "bold green" if told["passed"] else "bold red"
    say(f"drill {told['deployment_id']}: {how} after {told['seconds']} s", style=style)
    for miss in told["misses"]:
        say(f"  {miss}", style="red")
    say(f"  why it was taken back: {told['cause'] or told['error']}")
    say(f"  {home.endpoint()} serves {told['serving']}")
    say(
        f"  requests: {asked['sent']}, failed: {asked['failed']}; answered by the champion: "
        f"{asked['by_champion']}, by the bad model: {asked['by_bad_model']}"
    )
    for fault, count in asked["faults"].items():
        say(f"  {count} x {fault}", style="red")
