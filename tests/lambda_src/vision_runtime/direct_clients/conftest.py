"""What Lambda gives to a function, and AWS on 127.0.0.1."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.lambda_src.vision_runtime.aws_over_http import Certificate, Service, make_certificate, serving

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Lambda gives to a function, and retries without pauses."""
    for name, value in {**KEYS, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "predict")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-581cf771-a006649127e371903a2de979;Sampled=0")
    monkeypatch.setattr(random, "random", lambda: 0.0)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with serving() as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL", service.url)
        yield service


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))
