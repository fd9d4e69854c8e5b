"""Why a role holds an action that an ordinary run does not use; the table shows it beside the grant.

A reason is for the roles whose name contains its first part, and for its actions only. What has none, and is
not used, is to be taken out of the role's policy.
"""

from __future__ import annotations

# Part of the roles' names, the actions, and why.
REASONS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "",
        ("sqs:SendMessage",),
        "a call that failed thrice is kept in the function's queue; good runs have none",
    ),
    ("", ("xray:PutTelemetryRecords", "xray:PutTraceSegments"), "traces are sent of calls that are sampled"),
    (
        "Job",
        ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
        "SageMaker writes the job's log with the job's role, inside its instances",
    ),
    (
        "Hosting",
        ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
        "SageMaker writes the endpoint's log with the model's role, inside its instances",
    ),
    (
        "",
        ("cloudwatch:PutMetricData",),
        "SageMaker writes instances' metrics with the role of what runs there",
    ),
    (
        "",
        (
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetAuthorizationToken",
            "ecr:GetDownloadUrlForLayer",
        ),
        "SageMaker pulls the image with this role, layer by layer",
    ),
    (
        "",
        ("kms:CreateGrant", "kms:DescribeKey"),
        "SageMaker grants itself the key for instances' volumes",
    ),
    (
        "",
        ("kms:Decrypt", "kms:GenerateDataKey"),
        "what this role reads and writes is encrypted; services that keep data keys at hand ask seldom",
    ),
    (
        "",
        (
            "ec2:CreateNetworkInterface",
            "ec2:CreateNetworkInterfacePermission",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteNetworkInterfacePermission",
            "ec2:DescribeDhcpOptions",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
        ),
        "Lambda and SageMaker place network interfaces in the VPC with this role",
    ),
    (
        "Workflow",
        (
            "sagemaker:StopHyperParameterTuningJob",
            "sagemaker:StopProcessingJob",
            "sagemaker:StopTrainingJob",
            "states:StopExecution",
        ),
        "Step Functions stops what it waits for when the execution is stopped",
    ),
    (
        "Workflow",
        ("sagemaker:AddTags", "sagemaker:ListTags"),
        "Step Functions tags the jobs it waits for",
    ),
    (
        "Workflow",
        ("sagemaker:DescribeHyperParameterTuningJob", "sagemaker:CreateHyperParameterTuningJob"),
        "a run that tunes",
    ),
    (
        "SelectModel",
        (
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "sagemaker:DescribeTrainingJob",
            "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
        ),
        "only runs that tune call this function",
    ),
    (
        "Feedback",
        (
            "cloudwatch:GetMetricData",
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        ),
        "labels come days after the predictions, and the sweep every quarter of an hour",
    ),
    (
        "Predict",
        ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:UpdateItem"),
        "answers are remembered for callers that send an Idempotency-Key, and forgotten when they failed",
    ),
    (
        "Requests",
        (
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "kinesis:PutRecord",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        ),
        "callers that submit an image for later, or ask about one; what could not be queued is taken back",
    ),
    (
        "Requests",
        ("s3:AbortMultipartUpload", "s3:PutObject"),
        "callers upload by a form that this role has signed; submissions are written by it",
    ),
    (
        "Consume",
        (
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "firehose:PutRecordBatch",
            "kinesis:DescribeStream",
            "kinesis:DescribeStreamSummary",
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:ListShards",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "s3:GetObject",
            "s3:ListBucket",
            "sagemaker:InvokeEndpoint",
        ),
        "images of the burst path come from callers; Lambda reads the stream with this role",
    ),
    (
        "ResultsDelivery",
        (
            "glue:GetTable",
            "glue:GetTableVersion",
            "glue:GetTableVersions",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "s3:AbortMultipartUpload",
            "s3:GetBucketLocation",
            "s3:ListBucketMultipartUploads",
            "s3:PutObject",
        ),
        "Firehose writes when a buffer is full; the rest is for the schema, files in parts, and errors",
    ),
    (
        "Uploads",
        ("kinesis:PutRecord", "kinesis:PutRecords"),
        "EventBridge queues images that callers have uploaded",
    ),
    ("Workflow", ("states:RedriveExecution",), "batches that failed are begun again"),
    ("Promotion", ("sagemaker:DeleteEndpoint",), "an endpoint that could not be made is removed"),
    (
        "Promotion",
        (
            "application-autoscaling:PutScalingPolicy",
            "application-autoscaling:RegisterScalableTarget",
            "sagemaker:DescribeEndpointConfig",
            "sagemaker:UpdateEndpointWeightsAndCapacities",
        ),
        "endpoints that scale (hosting.max_instance_count)",
    ),
    (
        "Promotion",
        ("lambda:InvokeFunction",),
        "another account's package is judged by own thresholds",
    ),
    (
        "Promotion",
        ("cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"),
        "target tracking has its own alarms, and an endpoint that scales to zero one more",
    ),
    (
        "Aftermath",
        (
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
            "events:PutEvents",
            "sagemaker:StopHyperParameterTuningJob",
            "sagemaker:StopProcessingJob",
            "sagemaker:StopTrainingJob",
        ),
        "clears up after an execution that was stopped or timed out; good runs need none of it",
    ),
    (
        "ApiLogging",
        (
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogGroups",
            "logs:DescribeLogStreams",
            "logs:FilterLogEvents",
            "logs:GetLogEvents",
            "logs:PutLogEvents",
        ),
        "API Gateway refuses an account's logging role that may do less",
    ),
)


def reason_for(role: str, action: str) -> str:
    """Why the role may hold an action that it does not use; empty where nobody has said so."""
    return next((why for part, actions, why in REASONS if part in role and action in actions), "")
