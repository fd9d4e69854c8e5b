"""The audit of acknowledgements: what fails, and that each one of the app is needed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from delivery.gate.acknowledgements import MOST_RESOURCES, audit
from delivery.gate.assembly import Acknowledgement, Assembly
from delivery.gate.iam import iam_check
from delivery.gate.nag import nag_checks
from tests.assembly import Assembly as Synthesized
from tests.delivery.gate import handmade
from tests.delivery.gate.handmade import BUCKET, REASON, STACK, plugin, suppressed

TODAY = date(2026, 11, 23)
S1 = "AwsSolutions-S1"


def told(folder: Path, *, day: date = TODAY, **given: Any) -> list[str]:
    return [each.rule for each in audit(handmade.assembly(folder, **given), today=day).open]


def accepted(
    *, at: str = BUCKET, reason: str = REASON, times: int = 1, on: tuple[str, ...] = (BUCKET,)
) -> Any:
    return {
        "acknowledged": [(at, f"AwsSolutions::{S1}", reason)] * times,
        "plugins": [plugin(suppressed=[suppressed(S1, *on, at=at, reason=reason)])],
    }


def buckets(count: int, within: str = f"{STACK}/Lake") -> dict[str, Any]:
    return {f"{within}/Bucket{each}/Resource": {"Type": "AWS::S3::Bucket"} for each in range(count)}


def test_a_good_acknowledgement_passes(tmp_path: Path) -> None:
    assert told(tmp_path, **accepted()) == []


def test_it_is_good_until_its_date_of_review_and_no_longer(tmp_path: Path) -> None:
    assert told(tmp_path / "1", **accepted(), day=date(2027, 1, 31)) == []
    assert told(tmp_path / "2", **accepted(), day=date(2027, 2, 1)) == ["Ack-Expired"]


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        ("Not needed (review by 2027-01-31)", "Ack-Reason"),
        ("Notneededbecausethisisoneverylongwordandnoreason (review by 2027-01-31)", "Ack-Reason"),
        ("The bucket holds nothing but test data, which anybody may read", "Ack-ReviewDate"),
        (
            "The bucket holds nothing but test data, which anybody may read (review by spring)",
            "Ack-ReviewDate",
        ),
        (
            "The bucket holds nothing but test data, which all may read (review by 2099-01-01)",
            "Ack-ReviewDate",
        ),
    ],
)
def test_a_reason_and_a_date_within_a_year_are_demanded(tmp_path: Path, reason: str, rule: str) -> None:
    assert told(tmp_path, **accepted(reason=reason)) == [rule]


def test_one_that_no_finding_answers_to_is_unused(tmp_path: Path) -> None:
    assert told(tmp_path, acknowledged=[(BUCKET, f"AwsSolutions::{S1}", REASON)]) == ["Ack-Unused"]


def test_one_without_its_pack_is_unused_and_the_cure_says_why(tmp_path: Path) -> None:
    made = handmade.assembly(tmp_path, acknowledged=[(BUCKET, f"Annotation::{S1}", REASON)])
    (fault,) = audit(made, today=TODAY).open
    assert "pack's name" in fault.cure


def test_one_of_the_iam_check_is_used_by_its_own_findings(tmp_path: Path) -> None:
    policy = f"{STACK}/Policy/Resource"
    document = {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    resources = {policy: {"Type": "AWS::IAM::Policy", "Properties": {"PolicyDocument": document}}}
    finding = "IAM::IAM-WildcardResource[{}]"
    needed, idle = (policy, finding.format("*"), REASON), (policy, finding.format("arn:*"), REASON)
    assert told(tmp_path, resources=resources, acknowledged=[needed, idle]) == ["Ack-Unused"]


def test_the_same_twice_at_one_construct_is_a_duplicate(tmp_path: Path) -> None:
    assert told(tmp_path, **accepted(times=2)) == ["Ack-Duplicate"]


@pytest.mark.parametrize("at", ["App", STACK])
def test_one_on_a_stage_or_a_stack_is_over_broad(tmp_path: Path, at: str) -> None:
    assert told(tmp_path, **accepted(at=at)) == ["Ack-OverBroad"]


@pytest.mark.parametrize(("count", "rules"), [(MOST_RESOURCES, []), (MOST_RESOURCES + 1, ["Ack-OverBroad"])])
def test_one_for_more_resources_than_can_be_looked_at_is_over_broad(
    tmp_path: Path, count: int, rules: list[str]
) -> None:
    resources = buckets(count)
    given = accepted(at=f"{STACK}/Lake", on=tuple(resources))
    assert told(tmp_path, resources=resources, **given) == rules


def test_one_for_resources_of_several_types_is_over_broad(tmp_path: Path) -> None:
    resources = {**buckets(1), f"{STACK}/Lake/Policy/Resource": {"Type": "AWS::S3::BucketPolicy"}}
    given = accepted(at=f"{STACK}/Lake", on=tuple(resources))
    assert told(tmp_path, resources=resources, **given) == ["Ack-OverBroad"]


@pytest.mark.parametrize(("within", "rules"), [("Lake", []), ("Lake/Deep/Down", ["Ack-OverBroad"])])
def test_one_that_stands_higher_than_it_needs_to_is_over_broad(
    tmp_path: Path, within: str, rules: list[str]
) -> None:
    resources = buckets(1, within=f"{STACK}/{within}")
    given = accepted(at=f"{STACK}/Lake", on=tuple(resources))
    assert told(tmp_path, resources=resources, **given) == rules


def test_the_same_rule_of_several_packs_is_one_decision() -> None:
    packs = ("NIST.800.53.R5", "HIPAA.Security", "PCI.DSS.321")
    ids = [f"{pack}::{pack}-LambdaInsideVPC" for pack in packs]
    assert {Acknowledgement(BUCKET, each, "", "").judgement for each in ids} == {(BUCKET, "LambdaInsideVPC")}


# ---- the app's own


@pytest.fixture(scope="module")
def real(assembly: Synthesized) -> Assembly:
    return Assembly(assembly.folder)


def test_the_apps_acknowledgements_pass_the_audit(real: Assembly) -> None:
    today = datetime.now(UTC).date()
    assert [(each.rule, each.construct, each.says) for each in audit(real, today=today).open] == []


def test_without_any_one_of_them_the_verdict_fails(real: Assembly) -> None:
    assert real.acknowledgements
    passing = [each for each in real.acknowledgements if not _open_without(real, each)]
    assert passing == []


def _open_without(real: Assembly, removed: Acknowledgement) -> bool:
    """Whether something is open when the CDK reports what it silenced as it does what nobody accepts."""
    without = Assembly(real.folder)
    rest = tuple(each for each in real.acknowledgements if each is not removed)
    without.__dict__ |= {"stacks": real.stacks, "resources": real.resources, "acknowledgements": rest}
    reports: dict[str, dict[str, Any]] = {}
    for name, report in real.reports.items():
        silenced = report.get("suppressedViolations") or []
        mine = [each for each in silenced if _place(each) == (removed.construct, removed.finding)]
        reports[name] = report | {
            "suppressedViolations": [each for each in silenced if each not in mine],
            "violations": [
                *report["violations"],
                *({k: v for k, v in each.items() if k != "acknowledgedId"} for each in mine),
            ],
        }
    without.__dict__["reports"] = reports
    checks = [iam_check(without)] if removed.finding.startswith("IAM::") else nag_checks(without)
    return any(check.open for check in checks)


def _place(silenced: dict[str, Any]) -> tuple[str, str]:
    return silenced["acknowledgedAt"], silenced["acknowledgedId"]
