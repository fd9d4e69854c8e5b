"""Whether each account is bootstrapped for the CDK: version, trust, execution policy, asset bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from ops.access import Access
from ops.deployment import Place
from ops.doctor.findings import Finding, fault, unanswered, well
from ops.faults import is_absent, is_denied

# The newest that any part of the assembly asks for: it came with the role for lookups.
NEEDED_VERSION = 8
POLICY = "arn:aws:iam::aws:policy/AdministratorAccess"
_QUALIFIER = "cdk-hnb659fds"
_VERSION = "/cdk-bootstrap/hnb659fds/version"
# Roles that the tooling account assumes: to deploy, to publish assets, to look things up.
_TRUSTING = ("deploy-role", "file-publishing-role", "image-publishing-role", "lookup-role")


def command(place: Place, tooling: Place, profile: list[str], policy: str = POLICY) -> list[str]:
    """The CDK CLI's arguments that bootstrap a place."""
    trust = ["--trust", tooling.account] if place.account != tooling.account else []
    policies = ["--cloudformation-execution-policies", policy]
    return ["bootstrap", f"aws://{place.account}/{place.region}", *trust, *policies, *profile]


def check(place: Place, tooling: Place, access: Access) -> Iterator[Finding]:
    """Findings of one place. Raises NoAccess."""
    cure = "node_modules/.bin/cdk " + " ".join(command(place, tooling, access.arguments(place.account)))
    try:
        version = int(access.client(place, "ssm").get_parameter(Name=_VERSION)["Parameter"]["Value"])
    except ClientError as error:
        if is_absent(error):
            yield fault("bootstrap-missing", place, "is not bootstrapped for the CDK", cure)
        else:
            yield unanswered("bootstrap", place, "ssm", error)
        return
    if version < NEEDED_VERSION:
        what = f"the bootstrap stack has version {version}; {NEEDED_VERSION} or newer is needed"
        yield fault("bootstrap-outdated", place, what, cure)
    else:
        yield well("bootstrap", place, f"bootstrapped, version {version}")
    yield from _trust(place, tooling, access, cure)
    yield from _execution_policy(place, access, cure)
    yield from _bucket(place, access, cure)


def _trust(place: Place, tooling: Place, access: Access, cure: str) -> Iterator[Finding]:
    iam, without = access.client(place, "iam"), list[str]()
    for kind in _TRUSTING:
        name = f"{_QUALIFIER}-{kind}-{place.account}-{place.region}"
        try:
            role = iam.get_role(RoleName=name)["Role"]
        except ClientError as error:
            if not is_absent(error):
                yield unanswered("bootstrap-trust", place, "iam", error)
                return
            without.append(f"{kind} (missing)")
            continue
        if not _trusts(role["AssumeRolePolicyDocument"], tooling.account):
            without.append(kind)
    if without:
        what = f"does not trust the tooling account {tooling.account}: {', '.join(without)}"
        yield fault("bootstrap-trust-missing", place, what, cure)
    else:
        yield well("bootstrap-trust", place, f"trusts {tooling.account}")


def _trusts(document: Any, account: str) -> bool:
    told = json.loads(unquote(document)) if isinstance(document, str) else document
    for statement in told["Statement"]:
        principals = statement.get("Principal", {}).get("AWS", [])
        for each in [principals] if isinstance(principals, str) else principals:
            if statement["Effect"] == "Allow" and each in (account, f"arn:aws:iam::{account}:root"):
                return True
    return False


def _execution_policy(place: Place, access: Access, cure: str) -> Iterator[Finding]:
    role = f"{_QUALIFIER}-cfn-exec-role-{place.account}-{place.region}"
    iam = access.client(place, "iam")
    try:
        attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    except ClientError as error:
        if is_absent(error):
            yield fault("bootstrap-policy-missing", place, f"the role {role} is missing", cure)
        else:
            yield unanswered("bootstrap-policy", place, "iam", error)
        return
    if attached:
        names = ", ".join(each["PolicyName"] for each in attached)
        yield well("bootstrap-policy", place, f"CloudFormation may deploy with {names}")
    else:
        what = f"{role} has no policy: CloudFormation may create nothing"
        yield fault("bootstrap-policy-missing", place, what, cure)


def _bucket(place: Place, access: Access, cure: str) -> Iterator[Finding]:
    name = f"{_QUALIFIER}-assets-{place.account}-{place.region}"
    try:
        access.client(place, "s3").head_bucket(Bucket=name)
    except ClientError as error:
        # A head request's answer has no words: its status is all there is.
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if is_absent(error):
            what = f"the asset bucket {name} is gone, though the bootstrap stack is there"
            cure = f"aws cloudformation delete-stack --stack-name CDKToolkit --region {place.region}; {cure}"
            yield fault("bootstrap-bucket-missing", place, what, cure)
        elif status == 403 or is_denied(error):
            yield fault(
                "bootstrap-bucket-not-allowed",
                place,
                f"may not look at {name}, or it is another account's",
                "attach docs/deployer-policy.json to whoever runs this",
            )
        else:
            yield unanswered("bootstrap-bucket", place, "s3", error)
        return
    yield well("bootstrap-bucket", place, f"assets go to {name}")
