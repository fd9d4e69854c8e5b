"""Quotas and connections in the twin: what the services tell, by whom they may be asked, and a restart."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import DEV, REGION, TOOLING, Twin

NAMED = f"arn:aws:codeconnections:{REGION}:{TOOLING}:connection/00000000-0000-0000-0000-000000000000"


def quota(api: Any, name: str) -> dict[str, Any]:
    pages = api.get_paginator("list_service_quotas").paginate(
        ServiceCode="sagemaker", PaginationConfig={"PageSize": 10}
    )
    return next(each for page in pages for each in page["Quotas"] if each["QuotaName"] == name)


def test_quota_can_be_raised_and_not_lowered_and_is_an_accounts_own(twin: Twin) -> None:
    api, name = twin.client("service-quotas", DEV), "ml.c7i.large for endpoint usage"
    found = quota(api, name)
    request = {"ServiceCode": "sagemaker", "QuotaCode": found["QuotaCode"]}
    api.request_service_quota_increase(**request, DesiredValue=found["Value"] + 1)
    assert api.get_service_quota(**request)["Quota"]["Value"] == found["Value"] + 1
    assert api.get_aws_default_service_quota(**request)["Quota"]["Value"] == found["Value"]
    assert quota(twin.client("service-quotas", TOOLING), name)["Value"] == found["Value"]
    with pytest.raises(ClientError, match="would have to be greater"):
        api.request_service_quota_increase(**request, DesiredValue=1)
    with pytest.raises(ClientError, match="knows no quotas of 'braket'"):
        api.list_service_quotas(ServiceCode="braket")


def test_connection_waits_for_its_handshake_and_outlives_a_restart(
    new_twin: Callable[..., Twin],
) -> None:
    running = new_twin()
    api = running.client("codeconnections")
    arn = api.create_connection(ProviderType="GitHub", ConnectionName="mine")["ConnectionArn"]
    assert api.get_connection(ConnectionArn=arn)["Connection"]["ConnectionStatus"] == "PENDING"
    running.post(f"connections?{urlencode({'arn': arn})}")
    running.stop()
    again = new_twin(home=running.home).client("codeconnections")
    assert again.get_connection(ConnectionArn=arn)["Connection"]["ConnectionStatus"] == "AVAILABLE"


def test_connection_that_the_project_names_is_available_in_its_account_only(twin: Twin) -> None:
    found = twin.client("codeconnections").get_connection(ConnectionArn=NAMED)["Connection"]
    assert (found["ConnectionStatus"], found["ConnectionName"]) == ("AVAILABLE", "example-vision-platform")
    with pytest.raises(ClientError, match="not found"):
        twin.client("codeconnections", DEV).get_connection(ConnectionArn=NAMED)


def test_both_services_ask_iam(twin: Twin) -> None:
    iam = twin.client("iam", DEV)
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    with pytest.raises(ClientError, match="servicequotas:ListServiceQuotas"):
        twin.client("service-quotas", key).list_service_quotas(ServiceCode="sagemaker")
    with pytest.raises(ClientError, match="codeconnections:ListConnections"):
        twin.client("codeconnections", key).list_connections()
