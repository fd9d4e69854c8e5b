"""The compliance gate: the rules that templates meet, and how a finding is acknowledged at its construct."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import jsii
from aws_cdk import Acknowledgment, App, Stack, Validations
from cdk_nag import AwsSolutionsChecks, HIPAASecurityChecks, NIST80053R5Checks, PCIDSS321Checks
from constructs import IConstruct, IValidation

from vision_platform.references import flatten

# When the acknowledgements written so far are due for another look.
NEXT_REVIEW = "2027-05-31"
_SOLUTIONS, _NIST, _HIPAA, _PCI = "AwsSolutions", "NIST.800.53.R5", "HIPAA.Security", "PCI.DSS.321"
# Rules that several packs share under one name, and the packs: one fact about one construct, accepted once.
_SHARED_RULES = {
    "APIGWAssociatedWithWAF": (_NIST, _PCI),
    "APIGWCacheEnabledAndEncrypted": (_NIST, _HIPAA, _PCI),
    "CodeBuildProjectSourceRepoUrl": (_HIPAA, _PCI),
    "DynamoDBInBackupPlan": (_NIST, _HIPAA),
    "LambdaConcurrency": (_NIST, _HIPAA),
    "LambdaInsideVPC": (_NIST, _HIPAA, _PCI),
    "S3BucketReplicationEnabled": (_NIST, _HIPAA, _PCI),
    "S3DefaultEncryptionKMS": (_NIST, _HIPAA, _PCI),
    "VPCDefaultSecurityGroupClosed": (_NIST, _HIPAA, _PCI),
}
# In the assembly, beside the CDK's own report.
PACKS_FILE = "compliance-packs.json"
_WILDCARD_REASON = "vision:wildcard-reason"


def add_compliance_gate(app: App) -> None:
    """Check every stack of every stage with cdk-nag. On the App only: a pack walks all that is below it."""
    packs = (
        AwsSolutionsChecks(app),
        NIST80053R5Checks(app),
        HIPAASecurityChecks(app),
        PCIDSS321Checks(app),
    )
    Validations.of(app).add_plugins(*packs)
    # The CDK's report is silent on a pack that finds nothing: the verdict reads here which packs were asked.
    record = json.dumps({"packs": [pack.read_pack_name for pack in packs]}, indent=1)
    (Path(app.outdir) / PACKS_FILE).write_text(record + "\n")


def acknowledge(
    construct: IConstruct, finding: str, *, reason: str | Sequence[str], review_by: str = NEXT_REVIEW
) -> None:
    """Accept one finding on one construct (and what it contains), for a reason, until a date (YYYY-MM-DD).

    `finding` is the id that the gate prints, such as `AwsSolutions-IAM5[Resource::*]`, or the name of a rule
    that several packs share, such as `LambdaInsideVPC`. It may hold tokens, and a list of reasons may still
    grow: both are read at synthesis, when references have become final.
    """
    construct.node.add_validation(_Acknowledgement(construct, finding, reason, review_by))


def give_reason(construct: IConstruct, resource: str, *, because: str, actions: Sequence[str] = ()) -> None:
    """Say at `construct` why its policies name `resource` by wildcard; for `actions` only, where given.

    The reason stands in the assembly's metadata: the verdict demands one, and docs/iam.md tells it.
    """
    given = {"resource": resource, "reason": because, "actions": list(actions)}
    construct.node.add_metadata(_WILDCARD_REASON, given, stack_trace=False)


@jsii.implements(IValidation)
class _Acknowledgement:
    """Speaks when the CDK validates the construct tree: only then are the ids of findings final."""

    def __init__(
        self, construct: IConstruct, finding: str, reason: str | Sequence[str], review_by: str
    ) -> None:
        self._construct, self._finding = construct, finding
        self._reason, self._review_by = reason, review_by

    def validate(self) -> list[str]:
        """Record the acknowledgement; there is nothing to complain of."""
        finding = flatten(Stack.of(self._construct).resolve(self._finding))
        reason = self._reason if isinstance(self._reason, str) else "; ".join(self._reason)
        packs = _SHARED_RULES.get(finding)
        ids = [f"{pack}-{finding}" for pack in packs] if packs else [finding]
        Validations.of(self._construct).acknowledge(
            # Without the pack's name in front, the finding would vanish instead of being reported.
            *[
                Acknowledgment(
                    id=f"{each.split('-', 1)[0]}::{each}", reason=f"{reason} (review by {self._review_by})"
                )
                for each in ids
            ]
        )
        return []
