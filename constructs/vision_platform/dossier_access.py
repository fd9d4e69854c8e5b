"""What the approver's dossier may ask of an environment: a role that prepares change sets and runs none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from vision_platform.permissions import PlatformRole, allow

# The CDK's bootstrap qualifier, which is part of the names of what every environment was prepared with.
_QUALIFIER = "hnb659fds"
# So that nothing which the pipeline itself has prepared can be taken away.
_CHANGE_SETS = "dossier-*"


def dossier_role_name(prefix: str) -> str:
    """The role's name, which the pipeline must know before the environment exists."""
    return f"{prefix}-dossier"


def lookup_role_arn(account: str, region: str) -> str:
    """The bootstrap role that reads an account's resources; it is there before the platform is."""
    return f"arn:aws:iam::{account}:role/cdk-{_QUALIFIER}-lookup-role-{account}-{region}"


class DossierAccess(Construct):
    """The role `<platform>-<environment>-dossier`: what would change in the environment's stacks.

    IAM knows no regions: the role of the home region serves them all.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        regions: Sequence[str],
        trusted_account: str,
        trusted_role: str,
    ) -> None:
        super().__init__(scope, id)
        account = Stack.of(self).account
        role = PlatformRole(
            self,
            "Role",
            role_name=dossier_role_name(prefix),
            description="Prepares change sets for the approver to read; the delivery pipeline's dossier",
            # The account and not the role: a policy that names a role breaks when the role is made anew.
            assumed_by=iam.PrincipalWithConditions(
                cast("iam.IPrincipal", iam.AccountPrincipal(trusted_account)),
                {"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{trusted_account}:role/{trusted_role}"}},
            ),
        )
        stacks = [f"arn:aws:cloudformation:{region}:{account}:stack/{prefix}-*/*" for region in regions]
        because = "CloudFormation ends a stack's ARN with an id of its own; the names are this environment's"
        allow(
            role,
            [
                "cloudformation:DescribeStacks",
                "cloudformation:GetTemplate",
                "cloudformation:ListStackResources",
            ],
            stacks,
            because=because,
        )
        allow(
            role,
            [
                "cloudformation:CreateChangeSet",
                "cloudformation:DescribeChangeSet",
                "cloudformation:DeleteChangeSet",
            ],
            stacks,
            because=because,
            conditions={"StringLike": {"cloudformation:ChangeSetName": _CHANGE_SETS}},
        )
        # CloudFormation reads large templates, and the templates' parameter, in the name of who asks. They
        # lie beside the published assets: what is deployed next must not come from here.
        allow(
            role,
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            [f"arn:aws:s3:::cdk-{_QUALIFIER}-assets-{account}-{region}/dossier/*" for region in regions],
            because="Templates are kept by the pipeline's execution for as long as their change set is made",
        )
        allow(
            role,
            ["ssm:GetParameters"],
            [
                f"arn:aws:ssm:{region}:{account}:parameter/cdk-bootstrap/{_QUALIFIER}/version"
                for region in regions
            ],
        )
