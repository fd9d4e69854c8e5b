"""Resources that stacks deploy in the twin: what ministack drops of their properties, and what is refused."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.stacks import ACCOUNT as SPARE
from tests.twin.stacks import ASSUMED_BY_CLOUDFORMATION, create, failures, gone, physical, wait

pytestmark = pytest.mark.twin


def test_bucket_gets_what_ministack_drops(twin: Any) -> None:
    key = twin.client("kms", SPARE).create_key()["KeyMetadata"]["Arn"]
    sse = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rule = {
        "Id": "r",
        "Status": "Enabled",
        "Prefix": "a/",
        "ExpirationInDays": 3,
        "Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 1}],
        "NoncurrentVersionExpiration": {"NoncurrentDays": 2},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 4},
    }
    properties = {
        "BucketName": "completed",
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": sse}
            ]
        },
        "LifecycleConfiguration": {"Rules": [rule]},
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "LoggingConfiguration": {"DestinationBucketName": "completed", "LogFilePrefix": "log/"},
        "Tags": [{"Key": "k", "Value": "v"}],
    }
    assert create(twin, "bucket", B={"Type": "AWS::S3::Bucket", "Properties": properties})["why"] == ""
    s3 = twin.client("s3", SPARE)
    rules = s3.get_bucket_encryption(Bucket="completed")["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules == [{"ApplyServerSideEncryptionByDefault": sse, "BucketKeyEnabled": True}]
    found = s3.get_bucket_lifecycle_configuration(Bucket="completed")["Rules"][0]
    assert (found["Expiration"], found["Filter"]) == ({"Days": 3}, {"Prefix": "a/"})
    assert found["Transitions"] == [{"Days": 1, "StorageClass": "GLACIER"}]
    ownership = s3.get_bucket_ownership_controls(Bucket="completed")["OwnershipControls"]["Rules"]
    assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert s3.get_bucket_logging(Bucket="completed")["LoggingEnabled"]["TargetPrefix"] == "log/"
    assert s3.get_bucket_tagging(Bucket="completed")["TagSet"] == [{"Key": "k", "Value": "v"}]


def test_bucket_with_objects_cannot_be_deleted(twin: Any) -> None:
    create(twin, "full", B={"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "still-full"}})
    twin.client("s3", SPARE).put_object(Bucket="still-full", Key="a", Body=b"x")
    cloudformation = twin.client("cloudformation", SPARE)
    cloudformation.delete_stack(StackName="full")
    assert wait(cloudformation, "full")["StackStatus"] == "DELETE_FAILED"
    assert "not empty" in failures(cloudformation, "full")


def test_table_gets_what_ministack_drops_and_is_protected(twin: Any) -> None:
    key = twin.client("kms", SPARE).create_key()["KeyMetadata"]["Arn"]
    properties = {
        "TableName": "completed",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
        "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key},
        "DeletionProtectionEnabled": True,
    }
    assert create(twin, "table", T={"Type": "AWS::DynamoDB::Table", "Properties": properties})["why"] == ""
    dynamodb = twin.client("dynamodb", SPARE)
    assert dynamodb.describe_time_to_live(TableName="completed")["TimeToLiveDescription"] == {
        "AttributeName": "expires_at",
        "TimeToLiveStatus": "ENABLED",
    }
    backups = dynamodb.describe_continuous_backups(TableName="completed")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert dynamodb.describe_table(TableName="completed")["Table"]["SSEDescription"]["KMSMasterKeyArn"] == key
    cloudformation = twin.client("cloudformation", SPARE)
    cloudformation.delete_stack(StackName="table")
    assert wait(cloudformation, "table")["StackStatus"] == "DELETE_FAILED"


def test_role_keeps_its_boundary_and_the_boundary_holds(twin: Any) -> None:
    boundary = {"Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
    policy = {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {"ManagedPolicyName": "edge", "PolicyDocument": boundary},
    }
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": SPARE}, "Action": "sts:AssumeRole"}]}
    limited = {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": "limited",
            "AssumeRolePolicyDocument": trust,
            "PermissionsBoundary": {"Ref": "P"},
            "Policies": [{"PolicyName": "p", "PolicyDocument": everything}],
        },
    }
    assert create(twin, "boundary", P=policy, R=limited)["why"] == ""
    session = twin.client("sts", SPARE).assume_role(
        RoleArn=f"arn:aws:iam::{SPARE}:role/limited", RoleSessionName="limited"
    )["Credentials"]
    twin.client("sqs", session).list_queues()
    with pytest.raises(ClientError, match="not authorized"):
        twin.client("sns", session).list_topics()


def test_log_group_needs_a_key_that_lets_cloudwatch_logs_in(twin: Any) -> None:
    key = twin.client("kms", SPARE).create_key(Policy=json.dumps({"Statement": []}))["KeyMetadata"]["Arn"]
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "locked", "KmsKeyId": key}}
    assert "not allowed to be used with LogGroup" in create(twin, "locked", G=group)["why"]
    names = [g["logGroupName"] for g in twin.client("logs", SPARE).describe_log_groups()["logGroups"]]
    assert "locked" not in names


def test_function_whose_role_lambda_cannot_assume_is_refused(twin: Any) -> None:
    role_arn = twin.client("iam", SPARE).create_role(
        RoleName="not-for-lambda", AssumeRolePolicyDocument=json.dumps(ASSUMED_BY_CLOUDFORMATION)
    )["Role"]["Arn"]
    properties = {"Role": role_arn, "Code": {"ZipFile": "x"}, "Handler": "index.h", "Runtime": "python3.13"}
    why = create(twin, "fn", F={"Type": "AWS::Lambda::Function", "Properties": properties})["why"]
    assert "cannot be assumed by Lambda" in why


def test_workflow_logs_after_an_update_as_before(twin: Any) -> None:
    trust = {
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ]
    }
    may_log = {"Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
    group = {"LogGroupArn": {"Fn::GetAtt": ["Group", "Arn"]}}

    def resources(last: str) -> dict[str, Any]:
        machine = {
            "StateMachineName": "told",
            "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
            "DefinitionString": json.dumps({"StartAt": last, "States": {last: {"Type": "Succeed"}}}),
            "LoggingConfiguration": {"Level": "ALL", "Destinations": [{"CloudWatchLogsLogGroup": group}]},
        }
        return {
            "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "told"}},
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": trust,
                    "Policies": [{"PolicyName": "logs", "PolicyDocument": may_log}],
                },
            },
            "Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": machine},
        }

    assert create(twin, "told", **resources("First"))["why"] == ""
    cloudformation = twin.client("cloudformation", SPARE)
    arn = f"arn:aws:states:us-east-1:{SPARE}:stateMachine:told"
    before = twin.client("stepfunctions", SPARE).describe_state_machine(stateMachineArn=arn)
    body = json.dumps({"Resources": resources("Second")})
    cloudformation.update_stack(StackName="told", TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    assert wait(cloudformation, "told")["StackStatus"] == "UPDATE_COMPLETE"
    after = twin.client("stepfunctions", SPARE).describe_state_machine(stateMachineArn=arn)
    assert "Second" in after["definition"]
    assert after["loggingConfiguration"] == before["loggingConfiguration"]
    assert after["loggingConfiguration"]["level"] == "ALL"


def test_function_gets_what_ministack_drops(twin: Any) -> None:
    trust = {
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ]
    }
    lambda_role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}
    properties = {
        "FunctionName": "completed",
        "Role": {"Fn::GetAtt": ["R", "Arn"]},
        "Code": {"ZipFile": "def h(event, context): pass"},
        "Handler": "index.h",
        "Runtime": "python3.13",
        "ReservedConcurrentExecutions": 3,
        "KmsKeyArn": f"arn:aws:kms:us-east-1:{SPARE}:key/k",
    }
    function = {"Type": "AWS::Lambda::Function", "Properties": properties}
    assert create(twin, "function", R=lambda_role, F=function)["why"] == ""
    client = twin.client("lambda", SPARE)
    assert client.get_function_concurrency(FunctionName="completed")["ReservedConcurrentExecutions"] == 3
    assert client.get_function_configuration(FunctionName="completed")["KMSKeyArn"].endswith("key/k")


def test_stream_and_topic_get_their_keys(twin: Any) -> None:
    encryption = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    stream = {"Name": "completed", "ShardCount": 1, "StreamEncryption": encryption}
    topic = {"TopicName": "completed", "KmsMasterKeyId": "alias/aws/sns"}
    made = create(
        twin,
        "keys",
        S={"Type": "AWS::Kinesis::Stream", "Properties": stream},
        T={"Type": "AWS::SNS::Topic", "Properties": topic},
    )
    assert made["why"] == ""
    found = twin.client("kinesis", SPARE).describe_stream(StreamName="completed")["StreamDescription"]
    assert (found["EncryptionType"], found["KeyId"]) == ("KMS", "alias/aws/kinesis")
    arn = f"arn:aws:sns:us-east-1:{SPARE}:completed"
    attributes = twin.client("sns", SPARE).get_topic_attributes(TopicArn=arn)["Attributes"]
    assert attributes["KmsMasterKeyId"] == "alias/aws/sns"


def test_method_has_its_validator_and_stage_its_access_log(twin: Any) -> None:
    api, root = {"Ref": "A"}, {"Fn::GetAtt": ["A", "RootResourceId"]}
    method = {
        "RestApiId": api,
        "ResourceId": root,
        "HttpMethod": "POST",
        "AuthorizationType": "NONE",
        "RequestValidatorId": {"Ref": "V"},
        "Integration": {"Type": "MOCK"},
    }
    setting = {
        "DestinationArn": f"arn:aws:logs:us-east-1:{SPARE}:log-group:access",
        "Format": "$context.requestId",
    }
    stage = {"RestApiId": api, "StageName": "live", "DeploymentId": {"Ref": "D"}, "AccessLogSetting": setting}
    made = create(
        twin,
        "api",
        A={"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "completed"}},
        V={
            "Type": "AWS::ApiGateway::RequestValidator",
            "Properties": {"RestApiId": api, "ValidateRequestBody": True},
        },
        M={"Type": "AWS::ApiGateway::Method", "Properties": method},
        D={"Type": "AWS::ApiGateway::Deployment", "DependsOn": "M", "Properties": {"RestApiId": api}},
        S={"Type": "AWS::ApiGateway::Stage", "Properties": stage},
    )
    assert made["why"] == ""
    gateway, api_id = twin.client("apigateway", SPARE), physical(twin, "api", "A")
    validator = gateway.get_request_validators(restApiId=api_id)["items"][0]
    resource = gateway.get_resources(restApiId=api_id)["items"][0]["id"]
    found = gateway.get_method(restApiId=api_id, resourceId=resource, httpMethod="POST")
    assert (validator["validateRequestBody"], found["requestValidatorId"]) == (True, validator["id"])
    assert (
        gateway.get_stage(restApiId=api_id, stageName="live")["accessLogSettings"]["format"]
        == "$context.requestId"
    )


def test_network_is_recorded(twin: Any) -> None:
    vpc = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}
    group = {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {"GroupDescription": "g", "VpcId": {"Ref": "V"}},
    }
    group_id = {"Fn::GetAtt": ["S", "GroupId"]}
    rule = {
        "GroupId": group_id,
        "IpProtocol": "tcp",
        "FromPort": 443,
        "ToPort": 443,
        "SourceSecurityGroupId": group_id,
    }
    log = {
        "ResourceId": {"Ref": "V"},
        "ResourceType": "VPC",
        "TrafficType": "ALL",
        "LogDestinationType": "cloud-watch-logs",
        "LogGroupName": "flows",
        "DeliverLogsPermissionArn": f"arn:aws:iam::{SPARE}:role/flows",
    }
    made = create(
        twin,
        "network",
        V=vpc,
        S=group,
        I={"Type": "AWS::EC2::SecurityGroupIngress", "Properties": rule},
        L={"Type": "AWS::EC2::FlowLog", "Properties": log},
    )
    assert made["why"] == ""
    ec2 = twin.client("ec2", SPARE)
    group_id = physical(twin, "network", "S")
    found = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]
    assert found["IpPermissions"][0]["FromPort"] == 443
    assert ec2.describe_flow_logs()["FlowLogs"][0]["TrafficType"] == "ALL"
    cloudformation = twin.client("cloudformation", SPARE)
    cloudformation.delete_stack(StackName="network")
    gone(cloudformation, "network")
    assert ec2.describe_flow_logs()["FlowLogs"] == []
