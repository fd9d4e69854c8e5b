"""Daily copies of what cannot be made again, in a vault with a key: apart from the table's own recovery."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_backup as backup
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from vision_platform.encryption import PlatformKey
from vision_platform.permissions import allow, service_role
from vision_platform.resources import KEEP

# Recovery to a point in time goes back 35 days and ends with the table; a vault's copies outlive it.
_DAILY = "cron(0 3 * * ? *)"


class TableBackups(Construct):
    """A backup plan for some tables; copies are kept for `days`."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        tables: Sequence[dynamodb.ITable],
        key: PlatformKey,
        days: int,
    ) -> None:
        super().__init__(scope, id)
        vault = backup.CfnBackupVault(self, "Vault", backup_vault_name=name, encryption_key_arn=key.arn)
        vault.apply_removal_policy(KEEP)
        plan = backup.CfnBackupPlan(
            self,
            "Plan",
            backup_plan=backup.CfnBackupPlan.BackupPlanResourceTypeProperty(
                backup_plan_name=name,
                backup_plan_rule=[
                    backup.CfnBackupPlan.BackupRuleResourceTypeProperty(
                        rule_name="Daily",
                        target_backup_vault=vault.ref,
                        schedule_expression=_DAILY,
                        lifecycle=backup.CfnBackupPlan.LifecycleResourceTypeProperty(delete_after_days=days),
                    )
                ],
            ),
        )
        arns = [table.table_arn for table in tables]
        role = service_role(
            self, "Role", service="backup.amazonaws.com", description=f"Copies the tables of {name} daily"
        )
        allow(
            role,
            [
                "dynamodb:CreateBackup",
                "dynamodb:DescribeTable",
                "dynamodb:ListTagsOfResource",
                "dynamodb:StartAwsBackupJob",
            ],
            arns,
        )
        allow(
            role, ["backup:DescribeBackupVault", "backup:CopyIntoBackupVault"], [vault.attr_backup_vault_arn]
        )
        key.allow_use(role)
        key.allow_for_volumes(role)
        selection = backup.CfnBackupSelection(
            self,
            "Selection",
            backup_plan_id=plan.ref,
            backup_selection=backup.CfnBackupSelection.BackupSelectionResourceTypeProperty(
                selection_name=name, iam_role_arn=role.role_arn, resources=arns
            ),
        )
        selection.node.add_dependency(role.permissions)
