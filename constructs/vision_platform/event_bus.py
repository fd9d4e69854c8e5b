"""The platform's event bus: what happened to runs and models, for whoever wants to know."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from constructs import Construct

from vision_platform.permissions import PlatformRole, allow

EVENT_SOURCE = "vision.platform"


class PlatformBus(Construct):
    """An encrypted bus of its own, so that rules on it see the platform's events and nothing else."""

    def __init__(self, scope: Construct, id: str, *, name: str, key: kms.IKey) -> None:
        super().__init__(scope, id)
        # The L1: the L2 would repeat in the key's policy what the key already lets events do.
        self._bus = events.CfnEventBus(
            self,
            "Bus",
            name=name,
            description="Events of the vision platform",
            kms_key_identifier=key.key_arn,
        )

    @property
    def name(self) -> str:
        """The bus's name."""
        return self._bus.ref

    def allow_publishing(self, role: PlatformRole) -> None:
        """Let `role` put events of the platform's own source on the bus."""
        allow(
            role,
            ["events:PutEvents"],
            [self._bus.attr_arn],
            conditions={"StringEquals": {"events:source": EVENT_SOURCE}},
        )
