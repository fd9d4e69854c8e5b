"""A network without a way out: isolated subnets, endpoints for the AWS services in use, flow logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from constructs import Construct

from vision_platform import logs
from vision_platform.compliance import acknowledge
from vision_platform.permissions import PlatformRole, allow, service_role

# What jobs, endpoints and functions call from inside; S3 and DynamoDB have gateway endpoints, free of charge.
_INTERFACES = {
    "SageMakerRuntime": ec2.InterfaceVpcEndpointAwsService.SAGEMAKER_RUNTIME,
    "Kms": ec2.InterfaceVpcEndpointAwsService.KMS,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "Kinesis": ec2.InterfaceVpcEndpointAwsService.KINESIS_STREAMS,
    "Firehose": ec2.InterfaceVpcEndpointAwsService.KINESIS_FIREHOSE,
    "Monitoring": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_MONITORING,
}
_OF_FUNCTIONS = {"Lambda": ec2.InterfaceVpcEndpointAwsService.LAMBDA_}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where in a network something runs."""

    vpc: ec2.IVpc
    security_group: ec2.ISecurityGroup

    @property
    def subnets(self) -> ec2.SubnetSelection:
        """The isolated subnets, as the CDK's constructs take them."""
        return ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)

    def as_sagemaker(self) -> dict[str, Any]:
        """The placement as SageMaker's VpcConfig."""
        return {
            "SecurityGroupIds": [self.security_group.security_group_id],
            "Subnets": [subnet.subnet_id for subnet in self.vpc.isolated_subnets],
        }

    def allow_interfaces(self, role: PlatformRole) -> None:
        """Let `role` create the network interfaces by which Lambda or SageMaker joins the network."""
        allow(
            role,
            [
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            ["*"],
            because="EC2: Lambda and SageMaker join the network by interfaces whose ids nobody knows "
            "beforehand, and the describe calls have no resource",
        )


class IsolatedNetwork(Construct):
    """A VPC with isolated subnets only. The stage names the zones, so that synthesis looks nothing up."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        cidr: str,
        zones: Sequence[str],
        key: kms.IKey,
        log_retention_days: int,
        models_on_functions: bool = False,
    ) -> None:
        """With `models_on_functions` functions ask others, else they ask SageMaker's endpoints only."""
        super().__init__(scope, id)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(cidr),
            availability_zones=list(zones),
            nat_gateways=0,
            restrict_default_security_group=False,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24
                )
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDB": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        acknowledge(
            self.vpc,
            "VPCDefaultSecurityGroupClosed",
            reason="Nothing is in the default group: functions, jobs and endpoints name groups of their own. "
            "To empty it, CloudFormation would need a function that may change any group of the account",
        )
        self._log_flows(key, log_retention_days)
        endpoints = ec2.SecurityGroup(
            self, "Endpoints", vpc=self.vpc, description="AWS service endpoints", allow_all_outbound=False
        )
        workloads = ec2.SecurityGroup(
            self,
            "Workloads",
            vpc=self.vpc,
            description="Jobs, endpoints and functions",
            allow_all_outbound=False,
        )
        # The gateway endpoints' prefix lists would need a lookup by region; the subnets have no other route.
        workloads.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.HTTPS, "AWS services")
        endpoints.add_ingress_rule(workloads, ec2.Port.HTTPS, "From the platform's workloads")
        for name, service in (_INTERFACES | (_OF_FUNCTIONS if models_on_functions else {})).items():
            self.vpc.add_interface_endpoint(name, service=service, security_groups=[endpoints], open=False)
        self.placement = Placement(vpc=self.vpc, security_group=workloads)

    def _log_flows(self, key: kms.IKey, retention_days: int) -> None:
        group = logs.log_group(self, "FlowLogs", key=key, retention_days=retention_days)
        role = service_role(
            self, "FlowLogRole", service="vpc-flow-logs.amazonaws.com", description="Writes VPC flow logs"
        )
        logs.allow_writing(role, group)
        ec2.CfnFlowLog(
            self,
            "FlowLog",
            resource_id=self.vpc.vpc_id,
            resource_type="VPC",
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_group_name=group.log_group_name,
            deliver_logs_permission_arn=role.role_arn,
        )
