"""Clients of the quick session are those that botocore makes; bounded ones wait and try as they are told."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.lambda_src.vision_runtime.aws_over_http import serving
from vision_runtime.client_limits import bounded
from vision_runtime.quick_session import quick_session

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-north-1"])
@pytest.mark.parametrize("service", ["sagemaker-runtime", "dynamodb", "s3", "lambda"])
def test_quick_session_makes_the_clients_that_botocore_makes(service: str, region: str) -> None:
    quick, usual = (
        session.create_client(service, region_name=region, **KEYS)
        for session in (quick_session(), botocore.session.Session())
    )
    assert quick.meta.endpoint_url == usual.meta.endpoint_url
    assert quick.meta.service_model.signature_version == usual.meta.service_model.signature_version
    for name in usual.meta.service_model.operation_names:
        ours, theirs = (client.meta.service_model.operation_model(name) for client in (quick, usual))
        # In their order too: some protocols write members in it.
        assert _members(ours.input_shape) == _members(theirs.input_shape)
        assert _members(ours.output_shape) == _members(theirs.output_shape)


def _members(shape: Any) -> list[str]:
    return list(shape.members) if shape else []


def test_service_that_is_none_is_refused() -> None:
    with pytest.raises(BotoCoreError, match="sagemaker-rutime"):
        quick_session().create_client("sagemaker-rutime", region_name="us-east-1")


def test_bounded_client_tries_as_often_as_it_is_told() -> None:
    with serving() as aws:
        aws.answers = [(500, {}, b"")]
        client: Any = quick_session().create_client(
            "dynamodb",
            region_name="us-east-1",
            endpoint_url=aws.url,
            config=bounded(connect_seconds=1, read_seconds=1, tries=2),
            **KEYS,
        )
        with pytest.raises(ClientError):
            client.put_item(TableName="t", Item={"pk": {"S": "x"}})
    assert len(aws.asked) == 2
    assert all(each.headers["user-agent"].startswith("vision-platform") for each in aws.asked)
