"""The model registry: package groups, their versions, approval, and what CreateModel takes from a package."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from twin import glue
from twin.json_service import ServiceError, require_caller_may
from twin.services.sagemaker import events
from twin.services.sagemaker.listing import page
from twin.services.sagemaker.records import MODEL_PACKAGE, MODEL_PACKAGE_GROUP, Record, Records
from twin.services.sagemaker.refusal import refuse, refuse_members
from twin.services.sagemaker.tags import Tags

# Recorded and given back; nothing in the twin acts on them.
_UPDATED = (
    "ModelApprovalStatus",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)


class Registry:
    """Operations on model package groups and model packages."""

    def __init__(self, records: Records, tags: Tags) -> None:
        """Groups and packages lie in `records`."""
        self._records, self._tags = records, tags
        self._groups = records.shelf(MODEL_PACKAGE_GROUP)
        self._packages = records.shelf(MODEL_PACKAGE)

    def CreateModelPackageGroup(self, request: Record) -> Record:
        """Create a group; it is complete at once."""
        refuse_members(request, ["ManagedConfiguration"])
        members = {key: value for key, value in request.items() if key != "Tags"}
        group = self._groups.add(
            request["ModelPackageGroupName"], {**members, "ModelPackageGroupStatus": "Completed"}
        )
        self._tags.set(group["ModelPackageGroupArn"], request.get("Tags"))
        return group

    def DescribeModelPackageGroup(self, request: Record) -> Record:
        """Return a group by name or ARN, another account's by ARN."""
        with _owner(request["ModelPackageGroupName"]):
            return {"CreatedBy": {}, **self._groups.get(request["ModelPackageGroupName"])}

    def ListModelPackageGroups(self, request: Record) -> Record:
        """Return a page of groups."""
        found, token = page(MODEL_PACKAGE_GROUP, self._groups.all(), request)
        return {"ModelPackageGroupSummaryList": found, "NextToken": token}

    def DeleteModelPackageGroup(self, request: Record) -> Record:
        """Delete a group that holds no package any more."""
        group = self._groups.get(request["ModelPackageGroupName"])
        if self._versions(group["ModelPackageGroupName"]):
            raise ServiceError(
                "ConflictException",
                f"Model Package Group {group['ModelPackageGroupArn']} cannot be deleted because it contains "
                "model packages.",
            )
        self._groups.remove(group["ModelPackageGroupName"])
        self._tags.drop(group["ModelPackageGroupArn"])
        self._records.policies.pop(group["ModelPackageGroupName"], None)
        return {}

    def PutModelPackageGroupPolicy(self, request: Record) -> Record:
        """Set who else may use a group and its packages."""
        group = self._groups.get(request["ModelPackageGroupName"])
        _check_policy(request["ResourcePolicy"])
        self._records.policies[group["ModelPackageGroupName"]] = request["ResourcePolicy"]
        return {"ModelPackageGroupArn": group["ModelPackageGroupArn"]}

    def GetModelPackageGroupPolicy(self, request: Record) -> Record:
        """Return a group's resource policy."""
        group = self._groups.get(request["ModelPackageGroupName"])
        policy = self._records.policies.get(group["ModelPackageGroupName"])
        if policy is None:
            raise ServiceError(
                "ValidationException",
                f"Cannot find resource policy for {group['ModelPackageGroupArn']}.",
            )
        return {"ResourcePolicy": policy}

    def DeleteModelPackageGroupPolicy(self, request: Record) -> Record:
        """Forget a group's resource policy."""
        self.GetModelPackageGroupPolicy(request)
        del self._records.policies[
            self._groups.get(request["ModelPackageGroupName"])["ModelPackageGroupName"]
        ]
        return {}

    def CreateModelPackage(self, request: Record) -> Record:
        """Register a package: the next version of a group, or one with a name of its own."""
        refuse_members(request, ["ValidationSpecification", "SourceAlgorithmSpecification", "SecurityConfig"])
        group_name, name = request.get("ModelPackageGroupName"), request.get("ModelPackageName")
        if (group_name is None) == (name is None):
            raise ServiceError(
                "ValidationException",
                "Exactly one of ModelPackageName and ModelPackageGroupName must be given.",
            )
        members = {
            k: v for k, v in request.items() if k not in ("Tags", "ClientToken", "ModelPackageGroupName")
        }
        members["ModelPackageStatus"] = "Completed"
        members["ModelPackageStatusDetails"] = {"ValidationStatuses": [], "ImageScanStatuses": []}
        if group_name is None:
            package = self._packages.add(str(name), members)
        else:
            if "Tags" in request:
                raise ServiceError("ValidationException", "Tags are not allowed on a version: tag its group.")
            package = self._add_version(self._groups.get(group_name)["ModelPackageGroupName"], members)
        self._tags.set(package["ModelPackageArn"], request.get("Tags"))
        events.announce(MODEL_PACKAGE, package, self._tags)
        return {"ModelPackageArn": package["ModelPackageArn"]}

    def _add_version(self, group: str, members: Record) -> Record:
        with self._records.lock:
            # A number is never given twice, even when its package was deleted.
            version = self._records.counters.get(group, 0) + 1
            self._records.counters[group] = version
            return self._packages.add(
                f"{group}/{version}",
                {
                    "ModelApprovalStatus": "PendingManualApproval",
                    **members,
                    "ModelPackageGroupName": group,
                    "ModelPackageVersion": version,
                },
            )

    def _versions(self, group: str) -> list[Record]:
        return [found for found in self._packages.all() if found.get("ModelPackageGroupName") == group]

    def DescribeModelPackage(self, request: Record) -> Record:
        """Return a package by ARN (another account's too), or by name where it has one of its own."""
        with _owner(request["ModelPackageName"]):
            return {"CreatedBy": {}, **self._packages.get(request["ModelPackageName"])}

    def ListModelPackages(self, request: Record) -> Record:
        """Return a page of packages: versions of a group, or by type (not versioned by default)."""
        group = request.get("ModelPackageGroupName", "")
        if _is_foreign(group):  # lists are not judged by what they are of
            require_caller_may("sagemaker:ListModelPackages", group)
        with _owner(group):
            return self._listed(request)

    def _listed(self, request: Record) -> Record:
        found = self._packages.all()
        if "ModelPackageGroupName" in request:
            group = self._groups.get(request["ModelPackageGroupName"])["ModelPackageGroupName"]
            found = self._versions(group)
        elif request.get("ModelPackageType", "Unversioned") != "Both":
            versioned = request.get("ModelPackageType") == "Versioned"
            found = [package for package in found if ("ModelPackageVersion" in package) is versioned]
        if "ModelApprovalStatus" in request:
            wanted = request["ModelApprovalStatus"]
            found = [package for package in found if package.get("ModelApprovalStatus") == wanted]
        name = "ModelPackageGroupName" if "ModelPackageGroupName" in request else "ModelPackageName"
        shown, token = page(MODEL_PACKAGE, found, request, name=name)
        return {"ModelPackageSummaryList": shown, "NextToken": token}

    def UpdateModelPackage(self, request: Record) -> Record:
        """Change approval, metadata or specification of a package, another account's by ARN too."""
        with _owner(request["ModelPackageArn"]):
            return self._updated(request)

    def _updated(self, request: Record) -> Record:
        package = self._packages.get(request["ModelPackageArn"])
        changes: dict[str, Any] = {member: request[member] for member in _UPDATED if member in request}
        metadata = {
            **package.get("CustomerMetadataProperties", {}),
            **request.get("CustomerMetadataProperties", {}),
        }
        for key in request.get("CustomerMetadataPropertiesToRemove", []):
            metadata.pop(key, None)
        added = request.get("AdditionalInferenceSpecificationsToAdd", [])
        self._packages.change(
            package,
            **changes,
            CustomerMetadataProperties=metadata or None,
            AdditionalInferenceSpecifications=[*package.get("AdditionalInferenceSpecifications", []), *added]
            or None,
        )
        events.announce(MODEL_PACKAGE, package, self._tags)
        return {"ModelPackageArn": package["ModelPackageArn"]}

    def DeleteModelPackage(self, request: Record) -> Record:
        """Delete a package; its version number is not given again."""
        package = self._packages.remove(request["ModelPackageName"])
        self._tags.drop(package["ModelPackageArn"])
        return {}

    def container(self, package_name: str, path: str) -> Record:
        """Return the container definition of a package, for a model made of it; raises `ServiceError`.

        Another account's package may be used as its group's policy and the caller's own policies say.
        """
        if _is_foreign(package_name):
            require_caller_may("sagemaker:CreateModel", package_name)
        with _owner(package_name):
            package = self._packages.get(package_name)
        containers = package.get("InferenceSpecification", {}).get("Containers", [])
        if len(containers) != 1:
            raise refuse(f"{path}.ModelPackageName with {len(containers)} containers")
        return containers[0]

    def policy_of(self, arn: str) -> tuple[str, str] | None:
        """Return the policy that judges the use of a group or package, and the account that owns it."""
        parts = arn.split(":", 5)
        if len(parts) != 6 or not parts[5].startswith(("model-package-group/", "model-package/")):
            return None
        account, name = parts[4], parts[5].split("/")[1]
        with glue.scope(account, parts[3]):
            group = self._groups.find(name)
            policy = self._records.policies.get(group["ModelPackageGroupName"]) if group else None
        if policy is None and account == glue.current_scope().account:
            return None
        return policy or "", account


def _is_foreign(name: str) -> bool:
    return name.startswith("arn:") and name.split(":")[4] != glue.current_scope().account


@contextmanager
def _owner(name: str) -> Generator[None]:
    """Work in the account that an ARN names; that the caller may was judged before."""
    if not _is_foreign(name):
        yield
        return
    _, _, _, region, account, *_ = name.split(":")
    with glue.scope(account, region):
        yield


def _check_policy(text: str) -> None:
    """Raise `ServiceError` for a text that is no resource policy."""
    try:
        found = json.loads(text)["Statement"]
        statements = [found] if isinstance(found, dict) else found
        whole = all({"Effect", "Principal", "Action", "Resource"} <= one.keys() for one in statements)
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise ServiceError(
            "ValidationException",
            "ResourcePolicy must be a policy document whose statements have Effect, Principal, Action and "
            "Resource.",
        )
