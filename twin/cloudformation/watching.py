"""Keys of log groups and topics: what ministack drops, and what CreateLogGroup refuses."""

from twin import glue, iam
from twin.cloudformation.completion import Properties, api, changed, completes

_LOGS_NEEDS = ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey")


@completes("AWS::Logs::LogGroup")
def complete_log_group(name: str, new: Properties, old: Properties) -> None:
    """Refuse a key that the service may not use for this group."""
    key = new.get("KmsKeyId")
    if not key or key == old.get("KmsKeyId"):
        return
    here = glue.current_scope()
    group = f"arn:aws:logs:{here.region}:{here.account}:log-group:{name}"
    service = f"logs.{here.region}.amazonaws.com"
    try:
        iam.service_may_use_key(key, service, _LOGS_NEEDS, {"kms:EncryptionContext:aws:logs:arn": group})
    except iam.Denied as fault:
        raise ValueError(
            "The specified KMS key does not exist or is not allowed to be used "
            f"with LogGroup '{group}': {fault}"
        ) from fault


@completes("AWS::SNS::Topic")
def complete_topic(arn: str, new: Properties, old: Properties) -> None:
    """Set the key: services that publish must be allowed to use it."""
    if changed("KmsMasterKeyId", new, old):
        api("sns").set_topic_attributes(
            TopicArn=arn, AttributeName="KmsMasterKeyId", AttributeValue=new.get("KmsMasterKeyId") or ""
        )
