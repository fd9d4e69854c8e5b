"""What a role of the pipeline may do with the artifacts: by its own policies, and by the bucket's."""

from __future__ import annotations

import json

from tests.assembly import Assembly, allowed


def actions_on_artifacts(assembly: Assembly, role: str) -> set[str]:
    """All actions on the artifact bucket and its objects of roles whose logical id contains `role`."""
    (bucket,) = [
        each
        for each in assembly.resources("AWS::S3::Bucket", stack="vision-delivery")
        if each.logical_id.startswith("StorageArtifacts")
    ]
    own = {
        action
        for statement in assembly.statements(role=role, stack="vision-delivery")
        if any(f"<{bucket.logical_id}.Arn>" in each for each in statement.resources)
        for action in statement.actions
    }
    (policy,) = [
        each
        for each in assembly.resources("AWS::S3::BucketPolicy", stack="vision-delivery")
        if each.properties["Bucket"] == {"Ref": bucket.logical_id}
    ]
    document = policy.properties["PolicyDocument"]
    naming = [each for each in document["Statement"] if role in json.dumps(each.get("Principal"))]
    theirs = {action for statement in allowed(policy, {"Statement": naming}) for action in statement.actions}
    return own | theirs
