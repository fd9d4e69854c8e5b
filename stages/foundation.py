"""The foundation: what everything else in an environment stands on, and what changes least."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Stack
from constructs import Construct

from stages.settings import EnvironmentSettings
from stages.settings_fields import PlaceSettings
from vision_platform.dossier_access import DossierAccess
from vision_platform.encryption import PlatformKey
from vision_platform.event_bus import PlatformBus
from vision_platform.identities import Identities
from vision_platform.network import IsolatedNetwork, Placement


class FoundationStack(Stack):
    """The key, the roles, the event bus, and the network where the settings ask for one."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        environment: EnvironmentSettings,
        tooling: PlaceSettings,
        smoke_role: str,
        smoke_step_role: str,
        reader_prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self.identities = Identities(
            self,
            "Identities",
            smoke_role=smoke_role,
            trusted_account=tooling.account,
            trusted_role=smoke_step_role,
            reader_prefix=reader_prefix,
            models_on_functions=environment.hosting.on_functions,
        )
        self.key = PlatformKey(self, "Encryption", alias=f"alias/{prefix}")
        self.bus = PlatformBus(self, "Events", name=prefix, key=self.key.key)
        self.placement: Placement | None = None
        if environment.network.vpc:
            network = IsolatedNetwork(
                self,
                "Network",
                cidr=environment.network.cidr,
                zones=[f"{environment.region}{letter}" for letter in environment.network.zones],
                key=self.key.key,
                log_retention_days=environment.retention.log_days,
                models_on_functions=environment.hosting.on_functions,
            )
            self.placement = network.placement

    def allow_dossier(
        self, prefix: str, regions: Sequence[str], trusted_account: str, trusted_role: str
    ) -> None:
        """Let the pipeline's dossier step prepare change sets for this environment, in all its regions."""
        DossierAccess(
            self,
            "Dossier",
            prefix=prefix,
            regions=regions,
            trusted_account=trusted_account,
            trusted_role=trusted_role,
        )
