"""The model registry: versions, approval, metadata, events, and models made of packages."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import DEV, REGION, STAGING
from tests.twin.sagemaker.conftest import BUCKET, Place, archive, until

ARN = f"arn:aws:sagemaker:{REGION}:{DEV}"


@pytest.fixture(scope="module")
def group(place: Place) -> str:
    place.sagemaker.create_model_package_group(
        ModelPackageGroupName="Digits", Tags=[{"Key": "line", "Value": "a"}]
    )
    return "Digits"


def register(place: Place, group: str, **changes: object) -> str:
    place.put("artifacts/registered.tar.gz", archive({"answer.txt": "registered"}))
    container = {"Image": place.image, "ModelDataUrl": f"s3://{BUCKET}/artifacts/registered.tar.gz"}
    return place.sagemaker.create_model_package(
        ModelPackageGroupName=group,
        InferenceSpecification={
            "Containers": [{**container, "Environment": {"SETTING": "package"}}],
            "SupportedContentTypes": ["application/octet-stream"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        **changes,
    )["ModelPackageArn"]


def test_versions_of_a_group_count_up_and_are_not_given_twice(place: Place, group: str) -> None:
    first, second = register(place, group), register(place, group)
    assert first == f"{ARN}:model-package/digits/1"
    assert second.endswith("/2")
    place.sagemaker.delete_model_package(ModelPackageName=second)
    assert register(place, group).endswith("/3")


def test_package_waits_for_approval_and_keeps_its_metadata(place: Place, group: str) -> None:
    metrics = {
        "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": f"s3://{BUCKET}/e.json"}}
    }
    arn = register(place, group, ModelMetrics=metrics, CustomerMetadataProperties={"run": "r1", "old": "x"})
    found = place.sagemaker.describe_model_package(ModelPackageName=arn)
    assert found["ModelApprovalStatus"] == "PendingManualApproval"
    assert found["ModelMetrics"] == metrics
    place.sagemaker.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="fine",
        CustomerMetadataProperties={"dataset": "d1"},
        CustomerMetadataPropertiesToRemove=["old"],
    )
    found = place.sagemaker.describe_model_package(ModelPackageName=arn)
    assert (found["ModelApprovalStatus"], found["ApprovalDescription"]) == ("Approved", "fine")
    assert found["CustomerMetadataProperties"] == {"run": "r1", "dataset": "d1"}
    listed = place.sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    assert [one["ModelPackageArn"] for one in listed["ModelPackageSummaryList"]] == [arn]


def test_list_is_sorted_and_paged(place: Place, group: str) -> None:
    for _ in range(2):
        register(place, group)
    pages = place.sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortOrder="Descending", PaginationConfig={"PageSize": 1}
    )
    versions = [one["ModelPackageVersion"] for page in pages for one in page["ModelPackageSummaryList"]]
    assert len(versions) > 2
    assert versions == sorted(versions, reverse=True)
    with pytest.raises(ClientError, match="NextToken"):
        place.sagemaker.list_model_packages(NextToken="made-up")


def test_model_of_a_package_takes_image_data_and_environment(place: Place, group: str) -> None:
    arn = register(place, group, ModelApprovalStatus="Approved")
    place.sagemaker.create_model(
        ModelName="of-package",
        ExecutionRoleArn=place.role,
        PrimaryContainer={"ModelPackageName": arn, "Environment": {"SETTING": arn}},
    )
    place.sagemaker.create_endpoint_config(
        EndpointConfigName="of-package",
        ProductionVariants=[
            {
                "VariantName": "a",
                "ModelName": "of-package",
                "InitialInstanceCount": 1,
                "InstanceType": "ml.m5.large",
            }
        ],
    )
    place.sagemaker.create_endpoint(EndpointName="of-package", EndpointConfigName="of-package")
    assert place.settled("of-package")["EndpointStatus"] == "InService"
    answer = place.ask("of-package")
    assert (answer["model"], answer["variable"]) == ("registered", arn)


def test_image_and_package_together_are_refused_in_awss_words(place: Place, group: str) -> None:
    container = {"ModelPackageName": register(place, group), "Image": place.image}
    with pytest.raises(
        ClientError, match="Specify one of either Image and Model Data URL or ModelPackageName"
    ):
        place.sagemaker.create_model(
            ModelName="both", ExecutionRoleArn=place.role, PrimaryContainer=container
        )


def test_group_that_exists_or_does_not_is_named_as_aws_does(place: Place, group: str) -> None:
    with pytest.raises(ClientError, match="Model Package Group already exists"):
        place.sagemaker.create_model_package_group(ModelPackageGroupName="digits")
    with pytest.raises(ClientError, match=r"ModelPackageGroup .*/ghost does not exist\."):
        place.sagemaker.describe_model_package_group(ModelPackageGroupName="ghost")
    with pytest.raises(ClientError, match="contains model packages") as caught:
        place.sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    assert caught.value.response["Error"]["Code"] == "ConflictException"


def test_accounts_do_not_see_each_others_resources(place: Place, group: str) -> None:
    other = place.twin.client("sagemaker", STAGING)
    groups = other.list_model_package_groups()["ModelPackageGroupSummaryList"]
    assert group not in {each["ModelPackageGroupName"] for each in groups}
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:DescribeModelPackageGroup"):
        other.describe_model_package_group(ModelPackageGroupName=f"{ARN}:model-package-group/digits")


def test_tags_are_added_and_taken_away(place: Place, group: str) -> None:
    arn = place.sagemaker.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
    place.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "vision"}])
    place.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["line"])
    assert place.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "vision"}]


def test_operation_that_the_twin_lacks_says_so(place: Place) -> None:
    with pytest.raises(ClientError, match="sagemaker:ListClusters is not implemented by the local twin"):
        place.sagemaker.list_clusters()


def test_wrong_input_is_refused_with_the_constraint(place: Place) -> None:
    with pytest.raises(ClientError, match="regular expression pattern"):
        place.sagemaker.create_model_package_group(ModelPackageGroupName="no_underscores")


def test_policy_on_one_resource_is_enforced(place: Place, group: str) -> None:
    iam = place.client("iam")
    iam.create_user(UserName="reader")
    statement = {
        "Effect": "Allow",
        "Action": "sagemaker:DescribeModelPackageGroup",
        "Resource": f"{ARN}:model-package-group/digits",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="reader", PolicyName="one", PolicyDocument=document)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    reader = place.twin.client("sagemaker", key)
    assert reader.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupName"] == group
    with pytest.raises(ClientError, match="not authorized"):
        reader.delete_model_package_group(ModelPackageGroupName=group)


def test_update_of_an_endpoint_needs_rights_on_its_configuration(place: Place) -> None:
    iam = place.client("iam")
    iam.create_user(UserName="updater")
    statement = {
        "Effect": "Allow",
        "Action": "sagemaker:UpdateEndpoint",
        "Resource": [f"{ARN}:endpoint/e", f"{ARN}:endpoint-config/mine-*"],
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="updater", PolicyName="one", PolicyDocument=document)
    updater = place.twin.client("sagemaker", iam.create_access_key(UserName="updater")["AccessKey"])
    with pytest.raises(ClientError, match="Could not find endpoint"):  # allowed, and then not there
        updater.update_endpoint(EndpointName="e", EndpointConfigName="mine-1")
    with pytest.raises(ClientError, match="not authorized"):
        updater.update_endpoint(EndpointName="e", EndpointConfigName="theirs-1")


def test_cloudformation_makes_changes_and_deletes_resources(place: Place) -> None:
    stacks = place.client("cloudformation")
    for name in ("stacked-1", "stacked-2"):
        place.put(f"artifacts/{name}.tar.gz", archive({"answer.txt": name}))

    def template(version: str) -> str:
        tags = [{"Key": version, "Value": "v"}]
        model = {
            "ExecutionRoleArn": place.role,
            "PrimaryContainer": {
                "Image": place.image,
                "ModelDataUrl": f"s3://{BUCKET}/artifacts/{version}.tar.gz",
            },
        }
        variant = {
            "VariantName": "a",
            "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
            "InitialVariantWeight": 1,
        }
        resources = {
            "Group": {
                "Type": "AWS::SageMaker::ModelPackageGroup",
                "Properties": {"ModelPackageGroupName": "stacked", "Tags": tags},
            },
            "Model": {"Type": "AWS::SageMaker::Model", "Properties": model},
            "Config": {
                "Type": "AWS::SageMaker::EndpointConfig",
                "Properties": {"ProductionVariants": [variant]},
            },
            "Endpoint": {
                "Type": "AWS::SageMaker::Endpoint",
                "Properties": {
                    "EndpointName": "stacked",
                    "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
                },
            },
        }
        outputs = {"Group": {"Value": {"Ref": "Group"}}, "Endpoint": {"Value": {"Ref": "Endpoint"}}}
        return json.dumps({"Resources": resources, "Outputs": outputs})

    def finished() -> str | None:
        status = stacks.describe_stacks(StackName="served")["Stacks"][0]["StackStatus"]
        return None if status.endswith("_IN_PROGRESS") else status

    stacks.create_stack(StackName="served", TemplateBody=template("stacked-1"))
    assert until(finished) == "CREATE_COMPLETE"
    outputs = {
        o["OutputKey"]: o["OutputValue"]
        for o in stacks.describe_stacks(StackName="served")["Stacks"][0]["Outputs"]
    }
    assert outputs == {"Group": f"{ARN}:model-package-group/stacked", "Endpoint": f"{ARN}:endpoint/stacked"}
    assert place.ask("stacked")["model"] == "stacked-1"

    stacks.update_stack(StackName="served", TemplateBody=template("stacked-2"))
    assert until(finished).startswith("UPDATE_COMPLETE")
    assert place.ask("stacked")["model"] == "stacked-2"
    assert place.sagemaker.list_tags(ResourceArn=outputs["Group"])["Tags"] == [
        {"Key": "stacked-2", "Value": "v"}
    ]

    stacks.delete_stack(StackName="served")
    until(lambda: not place.sagemaker.list_endpoints(NameContains="stacked")["Endpoints"])
    with pytest.raises(ClientError, match="does not exist"):
        until(lambda: place.sagemaker.describe_model_package_group(ModelPackageGroupName="stacked") and None)
