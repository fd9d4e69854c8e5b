"""Backup vaults: copies of tables, which outlive the tables on purpose."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from ops.destroy.estate import Estate, pages
from ops.faults import OperatorFault, code_of, is_absent

_POLL_SECONDS = 2.0
_PATIENCE_SECONDS = 15 * 60.0

Tell = Callable[[str], None]


def vaults(estate: Estate) -> list[str]:
    """The estate's vaults."""
    names = pages(estate.client("backup"), "list_backup_vaults", "BackupVaultList")
    return [each["BackupVaultName"] for each in names if estate.owns(each["BackupVaultName"])]


def delete_vaults(estate: Estate, tell: Tell) -> None:
    """Delete vaults with the copies in them. Raises OperatorFault for a vault whose lock forbids it."""
    api = estate.client("backup")
    for name in vaults(estate):
        tell(f"deletes backup vault {name} and its copies")
        for point in _copies(api, name):
            _delete_copy(api, name, point["RecoveryPointArn"])
        until = time.monotonic() + _PATIENCE_SECONDS
        while _copies(api, name) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        api.delete_backup_vault(BackupVaultName=name)


def _copies(api: Any, vault: str) -> list[dict[str, Any]]:
    return list(pages(api, "list_recovery_points_by_backup_vault", "RecoveryPoints", BackupVaultName=vault))


def _delete_copy(api: Any, vault: str, arn: str) -> None:
    try:
        api.delete_recovery_point(BackupVaultName=vault, RecoveryPointArn=arn)
    except ClientError as fault:
        if is_absent(fault):
            return
        if code_of(fault) == "InvalidRequestException":
            said = fault.response["Error"]["Message"]
            raise OperatorFault(f"{vault}: AWS Backup keeps {arn}: {said}") from None
        raise
