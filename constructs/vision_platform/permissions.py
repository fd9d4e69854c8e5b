"""IAM statements written out: exact actions, exact resources, and a reason beside every wildcard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import jsii
from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct, IValidation

from vision_platform.compliance import acknowledge, give_reason

# They pass aws:SourceAccount when they assume a role, which keeps other accounts from using them as a deputy.
_SERVICES_THAT_NAME_THE_ACCOUNT = ("sagemaker.amazonaws.com", "states.amazonaws.com")
_EVERYTHING = "*"


class AccountLevel(Construct):
    """Policies on actions for which AWS knows no resource, and on patterns of names that several roles use.

    Each resource is acknowledged once, here, with the reasons of all. Whoever adds an action gives its
    reason. Roles of one kind share a policy on everything, and synthesis fails when they were not given the
    same; what a role may do by name is its own.
    """

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        self._policies: dict[str, iam.ManagedPolicy] = {}
        # By resource: why it is named by wildcard.
        self._reasons: dict[str, list[str]] = {}
        # By policy and role: what the role was given.
        self._given: dict[str, dict[str, set[str]]] = {}
        self.node.add_validation(_EqualRoles(self._given))

    def add(
        self,
        role: PlatformRole,
        actions: Sequence[str],
        conditions: Mapping[str, Any] | None,
        *,
        because: str,
    ) -> None:
        """Let `role` do `actions` on everything."""
        name = role.account_level_policy
        if name not in self._policies:
            self._policies[name] = iam.ManagedPolicy(self, name)
        roles = self._given.setdefault(name, {})
        if role.node.path not in roles:
            self._policies[name].attach_to_role(cast("iam.IRole", role))
        statement = json.dumps([sorted(actions), conditions], sort_keys=True)
        if not any(statement in given for given in roles.values()):
            self._state(name, actions, [_EVERYTHING], conditions, because)
        roles.setdefault(role.node.path, set()).add(statement)

    def add_named(
        self,
        role: PlatformRole,
        actions: Sequence[str],
        resources: Sequence[str],
        conditions: Mapping[str, Any] | None,
        *,
        because: str,
    ) -> None:
        """Let `role` do `actions` on what bears names of these patterns."""
        name = f"{role.node.id}ByName"
        if name not in self._policies:
            self._policies[name] = iam.ManagedPolicy(self, name, roles=[cast("iam.IRole", role)])
        self._state(name, actions, resources, conditions, because)

    def policy(self, role: PlatformRole) -> iam.ManagedPolicy:
        """The policy that holds what `role` may do on everything. Raises KeyError when that is nothing."""
        return self._policies[role.account_level_policy]

    def _state(
        self,
        name: str,
        actions: Sequence[str],
        resources: Sequence[str],
        conditions: Mapping[str, Any] | None,
        because: str,
    ) -> None:
        self._policies[name].add_statements(
            iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions)
        )
        for resource in resources:
            give_reason(self._policies[name], resource, because=because, actions=actions)
            reasons = self._reasons.setdefault(resource, [])
            if not reasons:
                acknowledge(self, f"AwsSolutions-IAM5[Resource::{resource}]", reason=reasons)
            if because not in reasons:
                reasons.append(because)


@jsii.implements(IValidation)
class _EqualRoles:
    """Holds roles that share a policy to the same permissions: else one would get what another needs."""

    def __init__(self, given: Mapping[str, Mapping[str, set[str]]]) -> None:
        self._given = given

    def validate(self) -> list[str]:
        """One message for each policy whose roles differ."""
        return [
            f"{', '.join(sorted(roles))} share the policy {name} and were given different permissions: "
            "give each the same, or a policy of its own (shared_policy=None)"
            for name, roles in self._given.items()
            if len({frozenset(each) for each in roles.values()}) > 1
        ]


class PlatformRole(iam.Role):
    """A role with managed policies only. Where it has wildcard resources, it remembers why.

    A role may stand in another stack than what it works with: `grant_from` names the construct that holds
    the policy, so that the role's own stack refers to nothing that stands on it.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        account_level: AccountLevel | None = None,
        shared_policy: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        # The name of the policy on everything: its own, or one that roles of its kind share.
        self.account_level_policy = shared_policy or id
        self.wildcard_reasons: dict[str, list[str]] = {}
        self._account_level = account_level
        self._holder: Construct = self
        self._policy: iam.ManagedPolicy | None = None

    def grant_from(self, holder: Construct) -> None:
        """Let what is allowed from now on stand in `holder`, in one policy. To be called once, first."""
        self._holder = holder

    @property
    def permissions(self) -> iam.ManagedPolicy:
        """The policy on named resources; who must not start before the role may work depends on it."""
        if self._policy is None:
            self._policy = _attached(self._holder, "Permissions", self)
        return self._policy

    @property
    def account_level(self) -> AccountLevel:
        """Where the role's statements on everything stand: with those of other roles, or beside the role."""
        if self._account_level is None:
            self._account_level = AccountLevel(self, "AccountLevel")
        return self._account_level


def service_role(
    scope: Construct,
    id: str,
    *,
    service: str,
    description: str,
    account_level: AccountLevel | None = None,
    shared_policy: str | None = None,
    name: str | None = None,
    until_replaced: str | None = None,
) -> PlatformRole:
    """A role that one AWS service may assume, for this account only where the service says which it is.

    `until_replaced` is another service that may, while what it runs with the role is still there. `name` is
    for roles that another account's policies name; CloudFormation names the others.
    """
    services = [service, until_replaced] if until_replaced else [service]
    principals = [_own_account(each, Stack.of(scope).account) for each in services]
    return PlatformRole(
        scope,
        id,
        role_name=name,
        description=description,
        assumed_by=principals[0] if len(principals) == 1 else _any_of(principals),
        account_level=account_level,
        shared_policy=shared_policy,
    )


def _own_account(service: str, account: str) -> iam.IPrincipal:
    conditions = None
    if service in _SERVICES_THAT_NAME_THE_ACCOUNT:
        conditions = {"StringEquals": {"aws:SourceAccount": account}}
    return service_principal(service, conditions=conditions)


def _any_of(principals: Sequence[iam.IPrincipal]) -> iam.IPrincipal:
    return cast("iam.IPrincipal", iam.CompositePrincipal(*principals))


def service_principal(name: str, *, conditions: Mapping[str, Any] | None = None) -> iam.IPrincipal:
    """An AWS service as a principal, such as `sns.amazonaws.com`."""
    # The CDK's interfaces and classes name parameters differently, which only type checkers mind.
    return cast("iam.IPrincipal", iam.ServicePrincipal(name, conditions=conditions))


def allow(
    role: PlatformRole,
    actions: Sequence[str],
    resources: Sequence[str],
    *,
    because: str | None = None,
    conditions: Mapping[str, Any] | None = None,
    by_name: bool = False,
) -> None:
    """Let `role` do `actions` on `resources`.

    A resource with a wildcard needs `because`, which becomes the acknowledgement of the compliance finding;
    where several roles name the same pattern (`by_name`; patterns alone, without references to resources)
    they share one acknowledgement. Raises ValueError for a wildcard action, for a wildcard resource without a
    reason, and for a resource without a wildcard `by_name`.
    """
    for action in actions:
        if "*" in action:
            raise ValueError(f"{action}: write the actions out; this platform grants none by wildcard")
    wild = [resource for resource in resources if "*" in resource]
    if wild and because is None:
        raise ValueError(f"{wild[0]}: a wildcard resource needs a reason (because=...)")
    if by_name and wild != list(resources):
        raise ValueError(f"{', '.join(resources)}: by_name is for patterns; grant the others without it")
    if by_name:
        role.account_level.add_named(role, actions, resources, conditions, because=str(because))
        return
    if list(resources) == [_EVERYTHING]:
        role.account_level.add(role, actions, conditions, because=str(because))
        return
    role.permissions.add_statements(
        iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions)
    )
    for resource in wild:
        reasons = role.wildcard_reasons.setdefault(resource, [])
        if not reasons:
            acknowledge(role.permissions, f"AwsSolutions-IAM5[Resource::{resource}]", reason=reasons)
        if str(because) not in reasons:
            reasons.append(str(because))


def allow_tracing(role: PlatformRole) -> None:
    """Let `role` send X-Ray trace segments."""
    allow(
        role,
        ["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
        [_EVERYTHING],
        because="X-Ray: PutTraceSegments and PutTelemetryRecords work on the account",
    )


def _attached(scope: Construct, id: str, role: iam.Role) -> iam.ManagedPolicy:
    """A managed policy of one role: unlike an inline one it can be found, compared and rolled back."""
    return iam.ManagedPolicy(scope, id, roles=[cast("iam.IRole", role)])
