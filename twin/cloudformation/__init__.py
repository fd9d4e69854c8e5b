"""CloudFormation where ministack falls short: dropped properties, missing types, execution roles."""

from twin.cloudformation import completion, gates, guards, operations, permissions, types
from twin.cloudformation import compute as _compute
from twin.cloudformation import delivery_streams as _delivery_streams
from twin.cloudformation import event_sources as _event_sources
from twin.cloudformation import events as _events
from twin.cloudformation import gateway as _gateway
from twin.cloudformation import storage as _storage
from twin.cloudformation import watching as _watching

__all__ = ["install"]

# Importing these registers what completes each resource type.
_COMPLETIONS = (_compute, _delivery_streams, _event_sources, _events, _gateway, _storage, _watching)


def install() -> None:
    """Complete ministack's provisioning, add the missing types, and judge who provisions."""
    types.install()
    guards.install()
    _gateway.keep_documents_from_ministack()
    completion.install()
    permissions.install()
    operations.install()
    gates.install()
