"""The direct clients go where boto3's go, by the same way, and trust the same."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, SSLError

from tests.lambda_src.vision_runtime.aws_over_http import Certificate, Service, serving
from tests.lambda_src.vision_runtime.direct_clients.both import JSON, ask_both, direct, put, raised, usual


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"])
@pytest.mark.parametrize("service", ["sagemaker-runtime", "dynamodb"])
def test_asks_where_boto3_asks(monkeypatch: pytest.MonkeyPatch, service: str, region: str) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    client: Any = boto3.session.Session().client(service, region_name=region)  # pyright: ignore
    assert direct(service).url == client.meta.endpoint_url


def test_an_endpoint_of_one_service_comes_before_that_of_all(
    aws: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://127.0.0.1:1/")
    assert direct("sagemaker-runtime").url == "http://127.0.0.1:1"
    assert direct("dynamodb").url == aws.url


def test_goes_by_the_proxy_that_boto3_goes_by(aws: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.answers = [(200, JSON, b"{}")]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://aws.invalid")
    monkeypatch.setenv("HTTP_PROXY", aws.url)
    monkeypatch.delenv("http_proxy", raising=False)
    _, ((ours,), (theirs,)) = ask_both(aws, "dynamodb", put)
    assert ours.path == theirs.path == "http://aws.invalid/"
    monkeypatch.setenv("NO_PROXY", "aws.invalid")
    monkeypatch.delenv("no_proxy", raising=False)
    assert raised(direct("dynamodb"), put) is raised(usual("dynamodb"), put) is EndpointConnectionError


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_trusts_whom_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, certificate: Certificate, name: str
) -> None:
    for each in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(each, raising=False)
    with serving(certificate) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
        aws.answers = [(200, JSON, b"{}")]
        assert raised(direct("dynamodb"), put) is raised(usual("dynamodb"), put) is SSLError
        assert not aws.asked
        monkeypatch.setenv(name, certificate.chain)
        ask_both(aws, "dynamodb", put)
        assert len(aws.asked) == 2
