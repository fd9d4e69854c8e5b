"""cdk-nag and CloudFormation's rules in the verdict: who was asked, what was found, what is open."""

from __future__ import annotations

import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from delivery.gate import nag
from delivery.gate.findings import Check, GateError
from delivery.gate.nag import CLOUDFORMATION, PACKS, nag_checks, rules_by_pack
from tests.assembly import Assembly as Synthesized
from tests.delivery.gate import handmade
from tests.delivery.gate.handmade import BUCKET, plugin, suppressed, violation


def checks(folder: Path, **given: Any) -> dict[str, Check]:
    return {each.name: each for each in nag_checks(handmade.assembly(folder, **given))}


def test_a_pack_that_found_nothing_counts_as_asked(tmp_path: Path) -> None:
    found = checks(tmp_path)
    assert set(found) == {*PACKS, "CloudFormation"}
    assert all(each.findings == () and each.subjects == 1 for each in found.values())


@pytest.mark.parametrize("missing", PACKS)
def test_a_pack_that_was_not_asked_is_an_open_finding(tmp_path: Path, missing: str) -> None:
    found = checks(tmp_path, packs=tuple(each for each in PACKS if each != missing))
    (told,) = found[missing].open
    assert told.says == f"{missing} was not asked"
    assert "add_compliance_gate" in told.cure
    assert [name for name, check in found.items() if check.open] == [missing]


def test_cloudformations_rules_switched_off_are_an_open_finding(tmp_path: Path) -> None:
    (told,) = checks(tmp_path, flag=False)["CloudFormation"].open
    assert handmade.FLAG in told.cure


def test_findings_are_counted_on_every_construct_and_split_by_acknowledgement(tmp_path: Path) -> None:
    report = plugin(
        violations=[violation("AwsSolutions-S1", BUCKET, "App/Stack/Other/Resource")],
        suppressed=[suppressed("AwsSolutions-S10", BUCKET, at=BUCKET)],
    )
    check = checks(tmp_path, plugins=[report])["AwsSolutions"]
    assert (len(check.findings), check.acknowledged, len(check.open)) == (3, 1, 2)
    assert {each.construct for each in check.open} == {BUCKET, "App/Stack/Other/Resource"}
    assert all("acknowledge the finding there" in each.cure for each in check.open)


def test_warnings_fail_and_remarks_do_not(tmp_path: Path) -> None:
    found = [violation("W", BUCKET, severity="warning"), violation("I", BUCKET, severity="info")]
    check = checks(tmp_path, plugins=[plugin(violations=found)])["AwsSolutions"]
    assert [each.rule for each in check.open] == ["W"]


def test_a_pack_that_broke_down_is_an_open_finding(tmp_path: Path) -> None:
    broken = plugin() | {"conclusion": "failure", "metadata": {"error": "out of memory"}}
    (told,) = checks(tmp_path, plugins=[broken])["AwsSolutions"].open
    assert "out of memory" in told.says


def test_what_cloudformation_refuses_is_named_by_construct(tmp_path: Path) -> None:
    check = checks(tmp_path, plugins=[plugin(CLOUDFORMATION, violations=[violation("F3002", BUCKET)])])
    (told,) = check["CloudFormation"].open
    assert (told.rule, told.construct) == ("F3002", BUCKET)


def test_another_plugin_that_reports_has_a_row_of_its_own(tmp_path: Path) -> None:
    found = checks(tmp_path, plugins=[plugin("Annotations", violations=[violation("x", BUCKET)])])
    assert len(found["Annotations"].open) == 1


def test_rules_are_counted_from_the_installed_package() -> None:
    rules = rules_by_pack()
    assert {"AwsSolutions-IAM5", "AwsSolutions-APIG3"} <= rules["AwsSolutions"]
    assert "NIST.800.53.R5-IAMNoInlinePolicy" in rules["NIST.800.53.R5"]
    assert all(len(rules[pack]) > 50 for pack in PACKS)


def test_every_rule_that_found_something_is_among_those_counted(assembly: Synthesized) -> None:
    from delivery.gate.assembly import Assembly

    found = [each for each in nag_checks(Assembly(assembly.folder)) if each.name in PACKS]
    named = {(check.name, each.rule.split("[")[0]) for check in found for each in check.findings}
    assert named, "the app has acknowledged findings"
    assert {rule for pack, rule in named if rule not in rules_by_pack()[pack]} == set()


def test_a_package_of_another_form_is_refused_rather_than_miscounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "odd.js"
    script.write_text("this.packName = 'AwsSolutions'; this.applyRule(somethingElse);")
    (tmp_path / "_jsii").mkdir()
    with tarfile.open(tmp_path / "_jsii" / "cdk-nag@9.9.9.jsii.tgz", "w:gz") as archive:
        archive.add(script, "package/lib/packs/odd.js")
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(nag.importlib.util, "find_spec", lambda _: spec)
    rules_by_pack.cache_clear()
    try:
        with pytest.raises(GateError, match="cannot be counted"):
            rules_by_pack()
    finally:
        rules_by_pack.cache_clear()
