"""The same calls by the direct clients and by boto3's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.lambda_src.vision_runtime.aws_over_http import Asked, Service
from vision_runtime.client_limits import bounded
from vision_runtime.direct_clients import CLIENTS

USUAL = bounded(connect_seconds=1, read_seconds=6, tries=2)
JSON = {"Content-Type": "application/json"}
Call = Callable[[Any], Any]


def invoke(client: Any) -> Any:
    return client.invoke_endpoint(
        EndpointName="vision-dev-champion",
        ContentType="application/octet-stream",
        Accept="application/json",
        Body=bytes(range(256)),
    )["Body"].read()


def invoke_one_of_many(client: Any) -> Any:
    return client.invoke_endpoint(
        EndpointName="vision-dev-champion",
        ContentType="application/octet-stream",
        Accept="application/json",
        Body=b"pixels",
        TargetModel="run-a/model.tar.gz",
        CustomAttributes='{"model_version":"arn:3"}',
    )["Body"].read()


def put(client: Any) -> Any:
    item = {"pk": {"S": "PREDICTION#ä"}, "confidence": {"N": "0.91"}}
    return client.put_item(TableName="lineage", Item=item, ConditionExpression="attribute_not_exists(pk)")


def get(client: Any) -> Any:
    return client.get_item(TableName="lineage", Key={"pk": {"S": "LINE#smoke"}}, ConsistentRead=True)


def update(client: Any) -> Any:
    return client.update_item(
        TableName="keys",
        Key={"pk": {"S": "k"}},
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "COMPLETED"}},
    )


def delete(client: Any) -> Any:
    return client.delete_item(TableName="keys", Key={"pk": {"S": "k"}})


def direct(service: str, settings: Config = USUAL) -> Any:
    return CLIENTS[service](settings, {})


def usual(service: Any, settings: Config = USUAL) -> Any:
    # A session of its own: the default one remembers the keys of whoever used it first.
    return boto3.session.Session().client(service, config=settings)


def ask_both(aws: Service, service: str, call: Call) -> tuple[list[Any], list[list[Asked]]]:
    """What the direct client and boto3's gave or raised, and what each of them sent."""
    told, sent, answers = list[Any](), list[list[Asked]](), list(aws.answers)
    for client in (direct(service), usual(service)):
        aws.answers, before = list(answers), len(aws.asked)
        try:
            told.append(call(client))
        except ClientError as error:
            told.append(error)
        sent.append(aws.asked[before:])
    return told, sent


def raised(client: Any, call: Call) -> type[Exception]:
    with pytest.raises(BotoCoreError) as found:
        call(client)
    return found.type
