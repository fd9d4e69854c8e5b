"""cdk-nag's packs and CloudFormation's own rules, as the CDK has reported them at synthesis."""

from __future__ import annotations

import importlib.util
import re
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from delivery.gate.assembly import REPORT, Assembly, split_reason
from delivery.gate.findings import Check, Finding, GateError

# The packs that the verdict demands (R4).
PACKS = ("AwsSolutions", "NIST.800.53.R5", "HIPAA.Security", "PCI.DSS.321")
CLOUDFORMATION = "CloudFormation Validate"
_NOT_ASKED = "pack-not-asked"
_FAILED = "pack-failed"
# In the JavaScript of a pack: its name, and each rule with the name that its findings carry.
_PACK_NAME = re.compile(r"this\.packName = '([^']+)'")
_RULE = re.compile(
    r"this\.applyRule\(\{(?:(?!this\.applyRule).)*?"
    r"(?:ruleSuffixOverride: '(?P<suffix>[^']+)'(?:(?!this\.applyRule).)*?)?"
    r"\brule: \w+\.(?P<rule>\w+),",
    re.DOTALL,
)


def nag_checks(assembly: Assembly) -> list[Check]:
    """One row for each demanded pack, for any other plugin that reported, and for CloudFormation's rules.

    The CDK leaves a pack that found nothing out of its report. That it was asked all the same stands in the
    assembly; a pack that was not asked, or that failed, is an open finding.
    """
    others = [name for name in assembly.reports if name not in (*PACKS, CLOUDFORMATION)]
    resources = len(assembly.resources)
    checks = [
        Check(name, len(_rules_of(name)) or None, resources, tuple(_findings(assembly, name)))
        for name in (*PACKS, *others)
    ]
    return [*checks, Check("CloudFormation", None, resources, tuple(_findings(assembly, CLOUDFORMATION)))]


@cache
def rules_by_pack() -> dict[str, frozenset[str]]:
    """The ids of the rules in each pack of the installed cdk-nag, read from the package itself.

    A pack holds every one of its rules against every resource. Raises GateError when the package is missing
    or has changed its form, so that no wrong number is told.
    """
    spec = importlib.util.find_spec("cdk_nag")
    folders = spec.submodule_search_locations if spec else None
    archives = sorted(Path(folders[0], "_jsii").glob("cdk-nag@*.tgz")) if folders else []
    if not archives:
        raise GateError("cdk-nag is not installed, so its rules cannot be counted: run `make setup`")
    found: dict[str, frozenset[str]] = {}
    with tarfile.open(archives[-1]) as archive:
        for member in archive:
            if re.fullmatch(r"package/lib/packs/[\w-]+\.js", member.name):
                source = archive.extractfile(member)
                text = source.read().decode() if source else ""
                name, rules = _PACK_NAME.search(text), list(_RULE.finditer(text))
                if name is None or len(rules) != text.count("this.applyRule("):
                    raise GateError(f"{archives[-1].name}: the rules in {member.name} cannot be counted")
                found[name.group(1)] = frozenset(
                    f"{name.group(1)}-{each['suffix'] or each['rule']}" for each in rules
                )
    return found


def _rules_of(pack: str) -> frozenset[str]:
    return rules_by_pack().get(pack, frozenset()) if pack in PACKS else frozenset()


def _findings(assembly: Assembly, plugin: str) -> Iterator[Finding]:
    report = assembly.reports.get(plugin)
    asked = assembly.cloudformation_rules if plugin == CLOUDFORMATION else plugin in assembly.packs
    if report is None:
        if not asked:
            cure = (
                "set the flag @aws-cdk/core:validateAgainstDefaultRules to true in cdk.json"
                if plugin == CLOUDFORMATION
                else "name the pack in add_compliance_gate (constructs/vision_platform/compliance.py)"
            )
            yield Finding(plugin, _NOT_ASKED, "the app", f"{plugin} was not asked", cure)
        return
    open_ones = list(_violations(plugin, report.get("violations", [])))
    yield from open_ones
    yield from _violations(plugin, report.get("suppressedViolations") or [])
    if report.get("conclusion") != "success" and not open_ones:
        told = (report.get("metadata") or {}).get("error", f"see {REPORT}")
        yield Finding(plugin, _FAILED, "the app", f"{plugin} failed: {told}", "mend what it tells")


def _violations(plugin: str, violations: list[dict[str, Any]]) -> Iterator[Finding]:
    for each in violations:
        if each.get("severity") == "info":
            continue
        rule, accepted = each["ruleName"], "acknowledgedId" in each
        reason = (split_reason(each.get("reason") or "")[0] or "no reason given") if accepted else ""
        cure = each.get("suggestedFix") or (
            "mend the construct"
            if plugin == CLOUDFORMATION
            else "mend the construct, or acknowledge the finding there with a reason and a date of review"
        )
        for place in each["violatingConstructs"]:
            resource = place.get("cloudFormationResource") or {}
            where = place.get("constructPath") or resource.get("logicalId") or "the app"
            yield Finding(plugin, rule, where, each["description"], cure, reason)
