"""Forms for uploads to S3 are good for what their policy says, signed by who may write, and for no more."""

import json
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

pytestmark = pytest.mark.twin
ACCOUNT = "777777777777"
IMAGE = b"\x89PNG image"


class Forms:
    """A bucket with a KMS key, and a role that may write below `in/`."""

    def __init__(self, twin: Any) -> None:
        self.twin = twin
        self.s3, iam = twin.client("s3", ACCOUNT), twin.client("iam", ACCOUNT)
        self.bucket = "forms-of-a-test"
        kms = twin.client("kms", ACCOUNT)
        self.key = kms.create_key()["KeyMetadata"]["Arn"]
        self.s3.create_bucket(Bucket=self.bucket)
        rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key}
        self.s3.put_bucket_encryption(
            Bucket=self.bucket,
            ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
        )
        trust = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "sts:AssumeRole",
        }
        self.role = iam.create_role(
            RoleName="writer",
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )["Role"]["Arn"]
        self.iam = iam

    def may(self, *statements: tuple[str, str]) -> None:
        document = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": action, "Resource": where} for action, where in statements
            ],
        }
        self.iam.put_role_policy(RoleName="writer", PolicyName="p", PolicyDocument=json.dumps(document))

    def form(self, seconds: int = 60) -> dict[str, Any]:
        keys = self.twin.client("sts", ACCOUNT).assume_role(RoleArn=self.role, RoleSessionName="test")[
            "Credentials"
        ]
        s3 = boto3.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.twin.endpoint,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            config=Config(signature_version="s3v4"),
        )
        return s3.generate_presigned_post(
            self.bucket,
            "in/one",
            Fields={"Content-Type": "image/png"},
            Conditions=[{"Content-Type": "image/png"}, ["content-length-range", 1, 100]],
            ExpiresIn=seconds,
        )

    def send(self, form: dict[str, Any], data: bytes = IMAGE, **changed: str | None) -> tuple[int, str]:
        fields = {**form["fields"], **{name.replace("_", "-"): value for name, value in changed.items()}}
        fields = {name: value for name, value in fields.items() if value is not None}
        answer = requests.post(form["url"], data=fields, files={"file": data}, timeout=20)
        return answer.status_code, answer.text

    def keys(self) -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]


@pytest.fixture(scope="module")
def forms(twin: Any) -> Forms:
    return Forms(twin)


@pytest.fixture(autouse=True)
def allowed(forms: Forms) -> None:
    forms.may(("s3:PutObject", f"arn:aws:s3:::{forms.bucket}/in/*"), ("kms:GenerateDataKey", forms.key))
    forms.s3.delete_object(Bucket=forms.bucket, Key="in/one")


def test_form_uploads_the_object_it_was_signed_for(forms: Forms) -> None:
    assert forms.send(forms.form())[0] == 204
    found = forms.s3.get_object(Bucket=forms.bucket, Key="in/one")
    assert (found["Body"].read(), found["ContentType"]) == (IMAGE, "image/png")


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"key": "in/other"}, 403, "Policy Condition failed"),
        ({"key": "elsewhere/one"}, 403, "Policy Condition failed"),
        ({"Content_Type": "text/html"}, 403, "Policy Condition failed"),
        ({"Content_Type": None}, 403, "Policy Condition failed"),
        ({"acl": "public-read"}, 403, "Extra input fields"),
        ({"x_amz_signature": "0" * 64}, 403, "SignatureDoesNotMatch"),
        ({"x_amz_security_token": None}, 400, "InvalidToken"),
    ],
)
def test_form_that_was_changed_is_refused(
    forms: Forms, changed: dict[str, str | None], status: int, said: str
) -> None:
    answer = forms.send(forms.form(), **changed)
    assert answer[0] == status
    assert said in answer[1]
    assert forms.keys() == []


@pytest.mark.parametrize(("size", "said"), [(0, "EntityTooSmall"), (101, "EntityTooLarge")])
def test_body_of_another_size_is_refused(forms: Forms, size: int, said: str) -> None:
    answer = forms.send(forms.form(), b"x" * size)
    assert (answer[0], forms.keys()) == (400, [])
    assert said in answer[1]


def test_form_that_has_expired_is_refused(forms: Forms) -> None:
    answer = forms.send(forms.form(seconds=-1))
    assert (answer[0], forms.keys()) == (403, [])
    assert "expired" in answer[1].lower()


def test_form_without_a_signature_is_refused(forms: Forms) -> None:
    form = {"url": forms.form()["url"], "fields": {"key": "in/one", "Content-Type": "image/png"}}
    assert (forms.send(form)[0], forms.keys()) == (403, [])


@pytest.mark.parametrize("missing", ["s3:PutObject", "kms:GenerateDataKey"])
def test_signer_must_be_allowed_to_write_and_to_use_the_key(forms: Forms, missing: str) -> None:
    rights = [("s3:PutObject", f"arn:aws:s3:::{forms.bucket}/in/*"), ("kms:GenerateDataKey", forms.key)]
    forms.may(*[right for right in rights if right[0] != missing])
    assert (forms.send(forms.form())[0], forms.keys()) == (403, [])
