"""The web ACL in front of the API: known attackers, floods and malformed requests end there."""

from __future__ import annotations

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from vision_platform import logs

# AWS keeps the rules of these groups up to date.
_REPUTATION = "AWSManagedRulesAmazonIpReputationList"
_BAD_INPUTS = "AWSManagedRulesKnownBadInputsRuleSet"
_COMMON = "AWSManagedRulesCommonRuleSet"
# An image is larger than the 8 KB that the first allows, and its bytes may look like anything to the others.
# They count instead of blocking; the function checks bodies itself, before it decodes any.
_RULES_ON_BODIES = (
    "SizeRestrictions_BODY",
    "CrossSiteScripting_BODY",
    "EC2MetaDataSSRF_BODY",
    "GenericLFI_BODY",
    "GenericRFI_BODY",
)
# WAF accepts no group without this prefix.
_LOG_PREFIX = "aws-waf-logs-"


class ApiFirewall(Construct):
    """A regional web ACL on one API stage, with its log.

    `requests_per_five_minutes` is what one address may send; more is blocked until it sends less.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        stage_arn: str,
        requests_per_five_minutes: int,
        key: kms.IKey,
        log_retention_days: int,
    ) -> None:
        super().__init__(scope, id)
        acl = wafv2.CfnWebACL(
            self,
            "Acl",
            name=name,
            description="Guards the prediction API",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visible(name),
            rules=[
                _managed(0, _REPUTATION),
                _managed(1, _BAD_INPUTS),
                _managed(2, _COMMON, counted=_RULES_ON_BODIES),
                wafv2.CfnWebACL.RuleProperty(
                    name="Flood",
                    priority=3,
                    statement=wafv2.CfnWebACL.StatementProperty(
                        rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                            limit=requests_per_five_minutes, aggregate_key_type="IP"
                        )
                    ),
                    action=wafv2.CfnWebACL.RuleActionProperty(block={}),
                    visibility_config=_visible("Flood"),
                ),
            ],
        )
        association = wafv2.CfnWebACLAssociation(
            self, "Association", resource_arn=stage_arn, web_acl_arn=acl.attr_arn
        )
        group = logs.log_group(
            self, "Log", key=key, retention_days=log_retention_days, name=f"{_LOG_PREFIX}{name}"
        )
        logging = wafv2.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=acl.attr_arn,
            log_destination_configs=[
                # Without the `:*` at the end of the group's own attribute, which WAF refuses.
                Stack.of(self).format_arn(service="logs", resource=f"log-group:{_LOG_PREFIX}{name}")
            ],
            # The signature of a request is as good as a password while it is fresh, and a key always is.
            redacted_fields=[
                wafv2.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": name})
                for name in ("authorization", "x-api-key")
            ],
        )
        logging.node.add_dependency(group)
        association.node.add_dependency(logging)


def _managed(priority: int, group: str, *, counted: tuple[str, ...] = ()) -> Any:
    count = wafv2.CfnWebACL.RuleActionProperty(count={})
    return wafv2.CfnWebACL.RuleProperty(
        name=group,
        priority=priority,
        override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
        statement=wafv2.CfnWebACL.StatementProperty(
            managed_rule_group_statement=wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS",
                name=group,
                rule_action_overrides=[
                    wafv2.CfnWebACL.RuleActionOverrideProperty(name=rule, action_to_use=count)
                    for rule in counted
                ]
                or None,
            )
        ),
        visibility_config=_visible(group),
    )


def _visible(name: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    # Sampled requests would show what callers sent; the log keeps what is needed.
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        metric_name=name, cloud_watch_metrics_enabled=True, sampled_requests_enabled=False
    )
