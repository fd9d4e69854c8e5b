"""Models that one environment promotes from another's registry: what either side allows the other.

Readers are named by role before they exist: the account is the principal, and a condition names its roles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker

from vision_platform.compliance import give_reason
from vision_platform.encryption import PlatformKey
from vision_platform.model_lines import CHAMPION, ModelLines
from vision_platform.model_readers import EVALUATION, GATE, HOSTING, PROMOTION, reader_role
from vision_platform.permissions import PlatformRole, allow

# What is read of the champion's line, and by whom: to serve a model, to compare with it, to judge it.
_MODELS, _EVALUATIONS = f"models/{CHAMPION}/", f"evaluations/{CHAMPION}/"
_READS = {_MODELS: (HOSTING, EVALUATION), _EVALUATIONS: (GATE,)}
_BY_RUN = "Models and evaluations are keyed by run; the prefix is the champion's"


@dataclass(frozen=True, kw_only=True)
class ModelReader:
    """An environment that promotes our models: its account, and what its roles' names begin with."""

    account: str
    role_prefix: str

    def arns(self, kinds: Sequence[str]) -> list[str]:
        """The roles of these kinds."""
        return [f"arn:aws:iam::{self.account}:role/{reader_role(self.role_prefix, kind)}" for kind in kinds]

    def statement(
        self, kinds: Sequence[str], actions: Sequence[str], resources: Sequence[str], **conditions: Any
    ) -> iam.PolicyStatement:
        """A resource policy's statement for these roles."""
        return iam.PolicyStatement(
            principals=[cast("iam.IPrincipal", iam.AccountPrincipal(self.account))],
            actions=list(actions),
            resources=list(resources),
            conditions={"ArnEquals": {"aws:PrincipalArn": self.arns(kinds)}, **conditions},
        )


def share_models(
    readers: Sequence[ModelReader],
    *,
    group: sagemaker.CfnModelPackageGroup,
    artifacts: s3.IBucket,
    key: PlatformKey,
    packages: str,
    region: str,
) -> None:
    """Let the readers find the champion's packages (`packages`: pattern of their ARNs) and serve them."""
    if not readers:
        return
    described = [
        reader.statement([PROMOTION], ["sagemaker:DescribeModelPackage"], [packages]) for reader in readers
    ]
    group.model_package_group_policy = iam.PolicyDocument(statements=described).to_json()
    give_reason(group, packages, because="Packages are numbered as they are made; the group is one")
    for reader in readers:
        for prefix, kinds in _READS.items():
            objects = f"{artifacts.bucket_arn}/{prefix}*"
            artifacts.add_to_resource_policy(reader.statement(kinds, ["s3:GetObject"], [objects]))
            give_reason(artifacts, objects, because=_BY_RUN, actions=["s3:GetObject"])
            artifacts.add_to_resource_policy(
                reader.statement(
                    kinds,
                    ["s3:ListBucket"],
                    [artifacts.bucket_arn],
                    StringLike={"s3:prefix": [f"{prefix}*"]},
                )
            )
        key.allow_by_policy(
            reader.statement(
                [HOSTING, EVALUATION, GATE],
                ["kms:Decrypt"],
                ["*"],
                StringEquals={"kms:ViaService": f"s3.{region}.amazonaws.com"},
            )
        )


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """The environment whose models are promoted here: `prefix` is its `<platform>-<environment>`."""

    platform: str
    prefix: str
    account: str
    region: str

    @property
    def packages(self) -> str:
        """What the ARNs of its champion's model packages begin with."""
        group = ModelLines(prefix=self.prefix).endpoint(CHAMPION)
        return f"arn:aws:sagemaker:{self.region}:{self.account}:model-package/{group}/"

    def allow_packages(self, role: PlatformRole) -> None:
        """Let `role` look its model packages up."""
        allow(
            role,
            ["sagemaker:DescribeModelPackage"],
            [f"{self.packages}*"],
            because="Packages are numbered as they are made; the group is the other environment's champion's",
        )

    def allow_models(self, role: PlatformRole) -> None:
        """Let `role` read its models."""
        self._allow_reading(role, _MODELS)

    def allow_evaluations(self, role: PlatformRole) -> None:
        """Let `role` read their evaluations."""
        self._allow_reading(role, _EVALUATIONS)

    def _allow_reading(self, role: PlatformRole, prefix: str) -> None:
        # CloudFormation names the bucket and the key; their own policies say who may read what.
        buckets, theirs = f"arn:aws:s3:::{self.platform}-*", {"s3:ResourceAccount": self.account}
        why = (
            "The other environment's bucket and key have names of their own; its account is fixed, and both "
            "say in their policies which roles of this account may read what"
        )
        allow(
            role, ["s3:GetObject"], [f"{buckets}/{prefix}*"], because=why, conditions={"StringEquals": theirs}
        )
        allow(
            role,
            ["s3:ListBucket"],
            [buckets],
            because=why,
            conditions={"StringEquals": theirs, "StringLike": {"s3:prefix": [f"{prefix}*"]}},
        )
        allow(
            role,
            ["kms:Decrypt"],
            [f"arn:aws:kms:{self.region}:{self.account}:key/*"],
            because=why,
            conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.amazonaws.com"}},
        )
