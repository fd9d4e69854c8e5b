"""IAM in the twin: what AWS would refuse is refused, with AWS's words, and written down."""

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.twin
A, B = "111111111111", "222222222222"
LAMBDA_TRUST = {
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ]
}


def allow(action: Any, resource: Any = "*", **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def make_role(
    twin: Any, name: str, *statements: dict[str, Any], account: str = A, trust: Any = None, tags: Any = ()
) -> str:
    principal = {"AWS": f"arn:aws:iam::{account}:root"}
    trust = trust or {"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]}
    iam = twin.client("iam", account)
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), Tags=list(tags))["Role"][
        "Arn"
    ]
    if statements:
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy)
    return arn


def assume(twin: Any, role_arn: str, caller: Any = A) -> Any:
    return twin.client("sts", caller).assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]


def refused(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as fault:
        call(**parameters)
    return f"{fault.value.response['Error']['Code']}: {fault.value.response['Error']['Message']}"


def make_bucket_with_key(twin: Any, name: str, key_statements: list[dict[str, Any]], account: str = A) -> str:
    root = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    key = twin.client("kms", account).create_key(Policy=json.dumps({"Statement": [root, *key_statements]}))
    arn = key["KeyMetadata"]["Arn"]
    s3 = twin.client("s3", account)
    s3.create_bucket(Bucket=name)
    s3.put_bucket_encryption(
        Bucket=name,
        ServerSideEncryptionConfiguration={
            "Rules": [
                {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn}}
            ]
        },
    )
    return arn


def test_tls_only_bucket_policy_lets_callers_in(twin: Any) -> None:
    s3 = twin.client("s3")
    s3.create_bucket(Bucket="tls-only")
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::tls-only", "arn:aws:s3:::tls-only/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket="tls-only", Policy=json.dumps({"Statement": [deny]}))
    session = assume(twin, make_role(twin, "tls", allow("s3:*")))
    twin.client("s3", session).put_object(Bucket="tls-only", Key="a", Body=b"x")


def test_reading_an_encrypted_object_needs_the_key(twin: Any) -> None:
    key = make_bucket_with_key(twin, "needs-key", [])
    twin.client("s3").put_object(Bucket="needs-key", Key="a", Body=b"x")
    without = assume(twin, make_role(twin, "without-key", allow("s3:*")))
    message = refused(twin.client("s3", without).get_object, Bucket="needs-key", Key="a")
    assert "AccessDenied" in message and "kms:Decrypt" in message and key in message
    assert "kms:GenerateDataKey" in refused(
        twin.client("s3", without).put_object, Bucket="needs-key", Key="b", Body=b""
    )
    twin.client("s3", without).head_object(Bucket="needs-key", Key="a")

    via_s3 = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    having = assume(twin, make_role(twin, "with-key", allow("s3:*"), allow("kms:Decrypt", key, **via_s3)))
    assert twin.client("s3", having).get_object(Bucket="needs-key", Key="a")["Body"].read() == b"x"
    other_service = {"StringEquals": {"kms:ViaService": "dynamodb.us-east-1.amazonaws.com"}}
    wrong = assume(
        twin, make_role(twin, "wrong-via", allow("s3:*"), allow("kms:Decrypt", key, **other_service))
    )
    assert "kms:Decrypt" in refused(twin.client("s3", wrong).get_object, Bucket="needs-key", Key="a")


def test_key_policy_alone_can_let_a_role_of_the_account_in(twin: Any) -> None:
    role = make_role(twin, "named-in-key", allow("s3:*"))
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": role},
        "Action": ["kms:GenerateDataKey*"],
        "Resource": "*",
    }
    make_bucket_with_key(twin, "key-names-role", [statement])
    session = assume(twin, role)
    twin.client("s3", session).put_object(Bucket="key-names-role", Key="a", Body=b"x")
    assert "kms:Decrypt" in refused(twin.client("s3", session).get_object, Bucket="key-names-role", Key="a")


def test_another_account_needs_bucket_policy_key_policy_and_its_own_permission(twin: Any) -> None:
    reader = make_role(twin, "reader", allow(["s3:GetObject", "kms:Decrypt"]), account=B)
    no_permission = make_role(twin, "no-permission", account=B)
    accounts = {"AWS": f"arn:aws:iam::{B}:root"}
    key_statement = {"Effect": "Allow", "Principal": accounts, "Action": "kms:Decrypt", "Resource": "*"}
    make_bucket_with_key(twin, "artifacts-of-a", [key_statement])
    s3 = twin.client("s3")
    s3.put_object(Bucket="artifacts-of-a", Key="template.json", Body=b"{}")
    request = {"Bucket": "artifacts-of-a", "Key": "template.json"}
    session = assume(twin, reader, caller=B)
    assert "AccessDenied" in refused(twin.client("s3", session).get_object, **request)

    bucket_statement = {
        "Effect": "Allow",
        "Principal": accounts,
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::artifacts-of-a/*",
    }
    s3.put_bucket_policy(Bucket="artifacts-of-a", Policy=json.dumps({"Statement": [bucket_statement]}))
    assert twin.client("s3", session).get_object(**request)["Body"].read() == b"{}"
    refused(twin.client("s3", assume(twin, no_permission, caller=B)).get_object, **request)


def test_resource_account_of_a_foreign_bucket_is_its_owner(twin: Any) -> None:
    twin.client("s3").create_bucket(Bucket="owned-by-a")
    grant = {
        "Effect": "Allow",
        "Principal": {"AWS": B},
        "Action": "s3:ListBucket",
        "Resource": "arn:aws:s3:::owned-by-a",
    }
    twin.client("s3").put_bucket_policy(Bucket="owned-by-a", Policy=json.dumps({"Statement": [grant]}))
    own_only = {"StringEquals": {"s3:ResourceAccount": B}}
    session = assume(twin, make_role(twin, "own-only", allow("s3:*", **own_only), account=B), caller=B)
    assert "AccessDenied" in refused(twin.client("s3", session).list_objects_v2, Bucket="owned-by-a")
    foreign = {"StringNotEquals": {"s3:ResourceAccount": B}}
    session = assume(twin, make_role(twin, "foreign", allow("s3:*", **foreign), account=B), caller=B)
    twin.client("s3", session).list_objects_v2(Bucket="owned-by-a")


def test_role_tags_decide_who_may_be_assumed_across_accounts(twin: Any) -> None:
    trust = {
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{A}:root"}, "Action": "sts:AssumeRole"}
        ]
    }
    tag = {"Key": "aws-cdk:bootstrap-role", "Value": "deploy"}
    tagged = make_role(twin, "tagged", account=B, trust=trust, tags=[tag])
    untagged = make_role(twin, "untagged", account=B, trust=trust)
    wanted = {
        "ForAnyValue:StringEquals": {"iam:ResourceTag/aws-cdk:bootstrap-role": ["deploy", "file-publishing"]}
    }
    mutate = make_role(twin, "self-mutate", allow("sts:AssumeRole", "arn:*:iam::*:role/*", **wanted))
    session = assume(twin, mutate)
    assume(twin, tagged, caller=session)
    assert "AccessDenied" in refused(
        twin.client("sts", session).assume_role, RoleArn=untagged, RoleSessionName="test"
    )


def test_principal_arn_of_a_session_is_its_role(twin: Any) -> None:
    wanted, other = (make_role(twin, name, allow("sts:AssumeRole")) for name in ("wanted", "other"))
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{A}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"ArnEquals": {"aws:PrincipalArn": wanted}},
    }
    guarded = make_role(twin, "guarded", account=B, trust={"Statement": [trust]})
    assume(twin, guarded, caller=assume(twin, wanted))
    session = twin.client("sts", assume(twin, other))
    assert "AccessDenied" in refused(session.assume_role, RoleArn=guarded, RoleSessionName="test")


def test_change_sets_can_be_kept_to_names(twin: Any) -> None:
    body = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    twin.client("cloudformation").create_stack(StackName="named", TemplateBody=body)
    actions = [f"cloudformation:{verb}ChangeSet" for verb in ("Create", "Describe", "Delete")]
    kept = {"StringLike": {"cloudformation:ChangeSetName": "reader-*"}}
    role = make_role(twin, "reader", allow(actions, **kept))
    reader = twin.client("cloudformation", assume(twin, role))
    made = reader.create_change_set(StackName="named", ChangeSetName="reader-1", TemplateBody=body)
    assert reader.describe_change_set(ChangeSetName=made["Id"])["ChangeSetName"] == "reader-1"
    reader.delete_change_set(StackName="named", ChangeSetName="reader-1")
    said = refused(reader.delete_change_set, StackName="named", ChangeSetName="PipelineChange")
    assert said.startswith("AccessDenied")


def test_map_runs_are_judged_by_their_arns(twin: Any) -> None:
    ours, theirs = (f"arn:aws:states:us-east-1:{A}:mapRun:{name}/Batches:1" for name in ("ours", "theirs"))
    role = make_role(twin, "watcher", allow("states:DescribeMapRun", ours.replace("/Batches:1", "/*")))
    watcher = twin.client("stepfunctions", assume(twin, role))
    assert refused(watcher.describe_map_run, mapRunArn=ours).startswith("ResourceNotFound")
    said = refused(watcher.describe_map_run, mapRunArn=theirs)
    assert "not authorized to perform: states:DescribeMapRun" in said


def test_handing_a_role_to_a_service_needs_pass_role(twin: Any) -> None:
    role = make_role(twin, "for-lambda", trust=LAMBDA_TRUST)
    function = {
        "Runtime": "python3.13",
        "Handler": "a.b",
        "Role": role,
        "Code": {"ZipFile": b"PK\x05\x06" + b"\0" * 18},
    }
    session = assume(twin, make_role(twin, "creator", allow("lambda:*")))
    message = refused(twin.client("lambda", session).create_function, FunctionName="passed", **function)
    assert "iam:PassRole" in message and role in message
    to_others = {"StringEquals": {"iam:PassedToService": "states.amazonaws.com"}}
    session = assume(
        twin, make_role(twin, "wrong", allow("lambda:*"), allow("iam:PassRole", role, **to_others))
    )
    refused(twin.client("lambda", session).create_function, FunctionName="passed", **function)
    to_lambda = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    session = assume(
        twin, make_role(twin, "passer", allow("lambda:*"), allow("iam:PassRole", role, **to_lambda))
    )
    twin.client("lambda", session).create_function(FunctionName="passed", **function)


def test_pass_role_is_asked_for_stacks_machines_and_rules(twin: Any) -> None:
    role = make_role(twin, "to-pass")
    session = assume(twin, make_role(twin, "no-pass", allow(["cloudformation:*", "states:*", "events:*"])))
    template = json.dumps({"Resources": {"T": {"Type": "AWS::SNS::Topic"}}})
    assert "iam:PassRole" in refused(
        twin.client("cloudformation", session).create_stack,
        StackName="s",
        TemplateBody=template,
        RoleARN=role,
    )
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    assert "iam:PassRole" in refused(
        twin.client("stepfunctions", session).create_state_machine,
        name="m",
        definition=definition,
        roleArn=role,
    )
    twin.client("events").put_rule(Name="passing", EventPattern='{"source": ["x"]}')
    target = {"Id": "t", "Arn": f"arn:aws:states:us-east-1:{A}:stateMachine:m", "RoleArn": role}
    assert "iam:PassRole" in refused(
        twin.client("events", session).put_targets, Rule="passing", Targets=[target]
    )
    foreign = f"arn:aws:iam::{B}:role/other"
    assert "Cross-account pass role" in refused(
        twin.client("stepfunctions", session).create_state_machine,
        name="m",
        definition=definition,
        roleArn=foreign,
    )


def test_every_decision_is_in_the_log_and_its_summary(twin: Any) -> None:
    before = time.time()
    session = assume(twin, make_role(twin, "logged", allow("sqs:ListQueues")))
    twin.client("sqs", session).list_queues()
    refused(twin.client("sqs", session).create_queue, QueueName="denied-queue")
    summary = twin.get(f"iam?since={before - 0.01}")
    assert summary["decisions"] == summary["allowed"] + summary["denied"]
    assert summary["used"][f"arn:aws:iam::{A}:role/logged"] == ["sqs:ListQueues"]
    denial = next(entry for entry in summary["denials"] if entry["action"] == "sqs:CreateQueue")
    assert denial["principal"] == f"arn:aws:sts::{A}:assumed-role/logged/test"
    assert denial["resource"].endswith(":denied-queue")
    assert denial["decision"] == "ImplicitDeny"
    lines = (twin.home / "iam.jsonl").read_text().splitlines()
    assert json.loads(lines[-1]).keys() >= {"time", "principal", "action", "resource", "decision"}
