"""Packages across accounts: their group's policy and the caller's decide; data and images by policies too."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import DEV, PROD, REGION
from tests.twin.sagemaker.conftest import REPOSITORY, Place, archive, push
from tests.twin.sagemaker.programs import DOCKERFILE, EVALUATE, SERVER

OTHER = PROD
BUCKET = "packages-of-prod"
GROUP = f"arn:aws:sagemaker:{REGION}:{OTHER}:model-package-group/shared"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **s} for s in statements]})


@dataclass
class Shared:
    """A package of prod with its encrypted data, and somebody in dev who may use foreign packages."""

    place: Place
    package: str
    data: str
    key: str
    reader: Any

    def owner(self, service: str) -> Any:
        return self.place.twin.client(service, OTHER)

    def share_group(self, *actions: str, account: str = DEV) -> None:
        statement = {
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": list(actions),
            "Resource": [GROUP, f"{GROUP.replace('model-package-group', 'model-package')}/*"],
        }
        self.owner("sagemaker").put_model_package_group_policy(
            ModelPackageGroupName="shared", ResourcePolicy=document(statement)
        )

    def share_data(self, *, bucket: bool, key: bool) -> None:
        own = {"Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"}, "Action": "kms:*", "Resource": "*"}
        role = {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{DEV}:role/jobs"}}
        principal = {"AWS": f"arn:aws:iam::{DEV}:root"}
        other = {"Principal": principal, "Action": "kms:Decrypt", "Resource": "*", "Condition": role}
        self.owner("kms").put_key_policy(
            KeyId=self.key, PolicyName="default", Policy=document(own, *([other] if key else []))
        )
        read = {
            "Principal": principal,
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{BUCKET}/*",
            "Condition": role,
        }
        nobody = {**read, "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"}}
        self.owner("s3").put_bucket_policy(Bucket=BUCKET, Policy=document(read if bucket else nobody))

    def create_model(self, name: str) -> None:
        self.place.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=self.place.role,
            PrimaryContainer={"Image": self.place.image, "ModelDataUrl": self.data},
        )

    def register(self, image: str) -> str:
        """Makes another package, with this image; answers its ARN."""
        return register(self.owner("sagemaker"), image, self.data)

    def serve(self, name: str) -> dict[str, Any]:
        """Makes an endpoint of the model of that name; answers what became of it."""
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }
        sagemaker = self.place.sagemaker
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        return self.place.settled(name)

    def share_image(self, *actions: str) -> None:
        statement = {
            "Principal": {"AWS": f"arn:aws:iam::{DEV}:root"},
            "Action": [f"ecr:{a}" for a in actions],
        }
        self.owner("ecr").set_repository_policy(repositoryName=REPOSITORY, policyText=document(statement))


def register(sagemaker: Any, image: str, data: str) -> str:
    return sagemaker.create_model_package(
        ModelPackageGroupName="shared",
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": image, "ModelDataUrl": data}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]


@pytest.fixture(scope="module")
def shared(place: Place) -> Iterator[Shared]:
    s3, sagemaker = place.twin.client("s3", OTHER), place.twin.client("sagemaker", OTHER)
    key = place.twin.client("kms", OTHER).create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket=BUCKET)
    body = archive({"answer.txt": "from prod"})
    s3.put_object(
        Bucket=BUCKET, Key="model.tar.gz", Body=body, ServerSideEncryption="aws:kms", SSEKMSKeyId=key
    )
    sagemaker.create_model_package_group(ModelPackageGroupName="shared")
    package = register(sagemaker, place.image, f"s3://{BUCKET}/model.tar.gz")
    iam = place.client("iam")
    iam.create_user(UserName="package-reader")
    named = [GROUP, f"{GROUP.replace('model-package-group', 'model-package')}/*"]
    iam.put_user_policy(
        UserName="package-reader",
        PolicyName="one",
        PolicyDocument=document(
            {"Action": "sagemaker:*", "Resource": named},
            {"Action": "sagemaker:ListModelPackages", "Resource": "*"},  # lists have no resource
        ),
    )
    iam.put_role_policy(
        RoleName="jobs",
        PolicyName="foreign",
        PolicyDocument=document(
            {"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"},
            {"Action": "kms:Decrypt", "Resource": key},
        ),
    )
    access = iam.create_access_key(UserName="package-reader")["AccessKey"]
    reader = place.twin.client("sagemaker", access)
    yield Shared(place, package, f"s3://{BUCKET}/model.tar.gz", key, reader)
    iam.delete_role_policy(RoleName="jobs", PolicyName="foreign")


def test_package_of_another_account_is_seen_as_its_groups_policy_says(shared: Shared) -> None:
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:DescribeModelPackage"):
        shared.reader.describe_model_package(ModelPackageName=shared.package)
    shared.share_group(
        "sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages", account="555555555555"
    )
    with pytest.raises(ClientError, match="not authorized"):
        shared.reader.describe_model_package(ModelPackageName=shared.package)
    shared.share_group("sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages")
    found = shared.reader.describe_model_package(ModelPackageName=shared.package)
    assert found["ModelPackageArn"] == shared.package
    listed = shared.reader.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    assert [one["ModelPackageArn"] for one in listed] == [shared.package]
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:UpdateModelPackage"):
        shared.reader.update_model_package(ModelPackageArn=shared.package, ModelApprovalStatus="Rejected")


def test_callers_own_policy_must_allow_it_too(shared: Shared) -> None:
    shared.share_group("sagemaker:DescribeModelPackage")
    iam = shared.place.client("iam")
    iam.create_user(UserName="package-stranger")
    access = iam.create_access_key(UserName="package-stranger")["AccessKey"]
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:DescribeModelPackage"):
        shared.place.twin.client("sagemaker", access).describe_model_package(ModelPackageName=shared.package)


def test_model_data_of_another_account_needs_bucket_policy_and_key_policy(shared: Shared) -> None:
    for bucket, key in ((False, True), (True, False)):
        shared.share_data(bucket=bucket, key=key)
        with pytest.raises(ClientError, match=r"Could not access model data.*AccessDenied"):
            shared.create_model("from-prod")
    shared.share_data(bucket=True, key=True)
    shared.create_model("from-prod")
    assert shared.serve("from-prod")["EndpointStatus"] == "InService"
    assert shared.place.ask("from-prod")["model"] == "from prod"


def test_policy_of_a_group_is_given_back_and_can_be_taken_away(shared: Shared) -> None:
    shared.share_group("sagemaker:DescribeModelPackage")
    sagemaker = shared.owner("sagemaker")
    kept = sagemaker.get_model_package_group_policy(ModelPackageGroupName="shared")["ResourcePolicy"]
    assert json.loads(kept)["Statement"][0]["Action"] == ["sagemaker:DescribeModelPackage"]
    sagemaker.delete_model_package_group_policy(ModelPackageGroupName="shared")
    with pytest.raises(ClientError, match="not authorized"):
        shared.reader.describe_model_package(ModelPackageName=shared.package)
    with pytest.raises(ClientError, match="ResourcePolicy must be a policy document"):
        sagemaker.put_model_package_group_policy(ModelPackageGroupName="shared", ResourcePolicy='{"a": 1}')


@pytest.fixture
def image(tmp_path: Path) -> Path:
    for name, text in (("Dockerfile", DOCKERFILE), ("serve.py", SERVER), ("evaluate.py", EVALUATE)):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_image_of_another_account_is_pulled_as_its_repositorys_policy_says(
    shared: Shared, image: Path
) -> None:
    shared.share_data(bucket=True, key=True)
    shared.owner("ecr").create_repository(repositoryName=REPOSITORY)
    uri = push(shared.place.twin, OTHER, image, "v1")
    assert uri.startswith(f"{OTHER}.dkr.ecr.")
    package = shared.register(uri)
    shared.share_group("sagemaker:DescribeModelPackage", "sagemaker:CreateModel")
    shared.place.sagemaker.create_model(
        ModelName="foreign-image",
        ExecutionRoleArn=shared.place.role,
        PrimaryContainer={"ModelPackageName": package},
    )
    found = shared.serve("foreign-image")
    assert found["EndpointStatus"] == "Failed"
    assert "AccessDenied" in found["FailureReason"] and "ecr:BatchGetImage" in found["FailureReason"]
    shared.place.sagemaker.delete_endpoint(EndpointName="foreign-image")
    deleted = shared.place.sagemaker.get_waiter("endpoint_deleted")
    deleted.wait(EndpointName="foreign-image", WaiterConfig={"Delay": 1})
    shared.place.sagemaker.delete_endpoint_config(EndpointConfigName="foreign-image")

    shared.share_image("BatchGetImage", "GetDownloadUrlForLayer")
    assert shared.serve("foreign-image")["EndpointStatus"] == "InService"
    assert shared.place.ask("foreign-image")["model"] == "from prod"
    # The policy gives no more than it says.
    with pytest.raises(ClientError, match="not authorized to perform: ecr:PutImage"):
        shared.place.client("ecr").put_image(
            registryId=OTHER, repositoryName=REPOSITORY, imageManifest="{}", imageTag="v2"
        )
