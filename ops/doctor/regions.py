"""Whether each region is enabled for its account and offers every service that the platform uses."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from ops.access import Access, new_session
from ops.deployment import Deployment, Place
from ops.doctor.findings import Finding, fault, not_checked, unanswered, well

_EVERYWHERE = ("cloudformation", "ecr", "events", "kms", "logs", "s3", "sns", "ssm", "sts")
_OF_ENVIRONMENTS = ("apigateway", "cloudwatch", "dynamodb", "lambda", "sagemaker", "stepfunctions")
_OF_THE_PIPELINE = ("codebuild", "codepipeline")


def check(deployment: Deployment, place: Place, access: Access) -> Iterator[Finding]:
    """Findings of one place. Raises NoAccess."""
    enabled = _enabled(place, access)
    yield enabled
    if enabled.name != "region-unknown":
        yield _services(deployment, place)


def _enabled(place: Place, access: Access) -> Finding:
    # Asked where every account may ask: a region that is not enabled answers nobody.
    home = Place(place.name, place.account, "us-east-1")
    try:
        pages = access.client(home, "account").get_paginator("list_regions").paginate()
        found = [region for page in pages for region in page["Regions"]]
    except ClientError as error:
        return unanswered("region", place, "account", error)
    for region in found:
        if region["RegionName"] != place.region:
            continue
        if not region["RegionOptStatus"].startswith("ENABLED"):
            return fault(
                "region-not-enabled",
                place,
                f"{place.region} is {region['RegionOptStatus'].lower()} for the account",
                f"aws account enable-region --region-name {place.region} "
                + " ".join(access.arguments(place.account)),
            )
        return well("region", place, f"{place.region} is enabled")
    return fault(
        "region-unknown",
        place,
        f"AWS has no region {place.region}",
        f"correct the region of {place.name} in cdk.json",
    )


def _services(deployment: Deployment, place: Place) -> Finding:
    session = new_session()
    if place.region not in session.get_available_regions("ec2"):
        return not_checked(
            "region-services", place, f"this version of boto3 does not know what {place.region} offers"
        )
    wanted = [*_EVERYWHERE, *(_OF_ENVIRONMENTS if place.name != deployment.tooling.name else ())]
    if place == deployment.tooling:
        wanted += _OF_THE_PIPELINE
    missing = [name for name in wanted if place.region not in session.get_available_regions(name)]
    if missing:
        return fault(
            "region-service-missing",
            place,
            f"{place.region} does not offer {', '.join(missing)}",
            f"choose another region for {place.name} in cdk.json",
        )
    return well("region-services", place, f"{place.region} offers all {len(wanted)} services in use")
