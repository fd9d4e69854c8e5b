"""Training jobs: real scripts with SageMaker's contract, and every way a job ends."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import DEV, REGION
from tests.twin.sagemaker.conftest import (
    BUCKET,
    PATIENCE_SECONDS,
    TRAINING_IMAGE,
    Place,
    unpack,
    until,
)


@pytest.fixture(scope="module")
def job(place: Place) -> dict[str, object]:
    place.train("Digits-1", Environment={"SETTING": "/opt/ml/model"}, Tags=[{"Key": "run", "Value": "1"}])
    waiter = place.sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName="Digits-1", WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE_SECONDS})
    return place.sagemaker.describe_training_job(TrainingJobName="Digits-1")


def test_script_sees_channels_hyperparameters_and_paths_of_the_toolkit(place: Place, job: dict) -> None:
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    files = unpack(place.get(job["ModelArtifacts"]["S3ModelArtifacts"]))
    seen = json.loads(files["model.json"])
    assert seen["data"] == ["a.txt", "deep/b.txt"]
    assert seen["rate"] == 0.5
    assert seen["hps"] == {"epochs": 2, "learning-rate": 0.5}
    assert seen["hyperparameters"]["sagemaker_program"] == "train.py"
    assert seen["resources"]["instance_groups"][0]["hosts"] == ["algo-1"]
    assert seen["channels"]["train"]["TrainingInputMode"] == "File"
    assert seen["job"] == "Digits-1"
    assert seen["directory"].endswith("/opt/ml/code")
    assert seen["setting"].endswith("/opt/ml/model") and seen["setting"] != "/opt/ml/model"


def test_script_gets_a_clean_environment(place: Place, job: dict) -> None:
    seen = json.loads(unpack(place.get(job["ModelArtifacts"]["S3ModelArtifacts"]))["model.json"])
    assert "PYTEST_CURRENT_TEST" not in seen["environment"]
    assert {"AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION"} <= set(seen["environment"])


def test_output_is_uploaded_beside_the_model(place: Place, job: dict) -> None:
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/models/Digits-1/output/model.tar.gz"
    assert unpack(place.get(f"s3://{BUCKET}/models/Digits-1/output/output.tar.gz")) == {"curve.csv": b"1,2"}


def test_statuses_follow_each_other(job: dict) -> None:
    transitions = job["SecondaryStatusTransitions"]
    statuses = [one["Status"] for one in transitions]
    assert statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all("EndTime" in one for one in transitions)
    assert job["TrainingStartTime"] <= job["TrainingEndTime"]
    assert job["BillableTimeInSeconds"] >= 1


def test_metrics_are_read_from_the_log(place: Place, job: dict) -> None:
    found = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    assert found == {"train:loss": 0.5}
    listed = place.client("cloudwatch").list_metrics(Namespace="/aws/sagemaker/TrainingJobs")["Metrics"]
    assert [{"Name": "TrainingJobName", "Value": "Digits-1"}] in [metric["Dimensions"] for metric in listed]


def test_output_goes_to_the_log_stream_of_the_host(place: Place, job: dict) -> None:
    lines = place.logs("/aws/sagemaker/TrainingJobs", "Digits-1/algo-1-")
    assert lines == ["epoch=0 train_loss=1.0000", "epoch=1 train_loss=0.5000"]


def test_name_in_the_arn_is_lower_case_and_taken(place: Place, job: dict) -> None:
    assert job["TrainingJobArn"] == f"arn:aws:sagemaker:{REGION}:{DEV}:training-job/digits-1"
    with pytest.raises(ClientError, match="already exists") as caught:
        place.train("digits-1")
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"


def test_job_is_listed_and_tagged(place: Place, job: dict) -> None:
    listed = place.sagemaker.list_training_jobs(NameContains="digits", StatusEquals="Completed")
    assert [one["TrainingJobName"] for one in listed["TrainingJobSummaries"]] == ["Digits-1"]
    tags = place.sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert tags == [{"Key": "run", "Value": "1"}]


def test_failing_script_is_reported_as_the_toolkit_does(place: Place) -> None:
    place.train("fails", hyperparameters={"mode": '"fail"'})
    job = place.trained("fails")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    reason = job["FailureReason"]
    assert reason.startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage ")
    assert "ValueError: the learning rate is absurd" in reason
    assert "train.py --epochs 2" in reason
    assert reason.endswith("exit code: 1")


def test_failure_file_of_the_container_is_the_reason(place: Place) -> None:
    place.train("reports", hyperparameters={"mode": "report"})
    assert place.trained("reports")["FailureReason"] == "AlgorithmError: no labels in shard 3, exit code: 7"


def test_denied_data_fails_the_job_with_access_denied(place: Place) -> None:
    place.put("secret/x.txt", "x")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/secret/"}}
    place.train("denied", InputDataConfig=[{"ChannelName": "train", "DataSource": source}])
    job = place.trained("denied")
    assert job["TrainingJobStatus"] == "Failed"
    assert "ClientError: Data download failed" in job["FailureReason"]
    assert "AccessDenied" in job["FailureReason"]


def test_missing_data_names_the_prefix(place: Place) -> None:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/nothing/"}}
    place.train("empty", InputDataConfig=[{"ChannelName": "train", "DataSource": source}])
    assert (
        f'No S3 objects found under S3 URL "s3://{BUCKET}/nothing/"'
        in place.trained("empty")["FailureReason"]
    )


def test_unknown_image_fails_the_job_by_name(place: Place) -> None:
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.16"
    place.train("unknown", AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"})
    reason = place.trained("unknown")["FailureReason"]
    assert "Cannot pull algorithm container" in reason
    assert image in reason and "[[images]]" in reason


def test_stopped_job_keeps_what_it_had_saved(place: Place) -> None:
    place.train("stops", hyperparameters={"mode": "wait"})
    until(lambda: place.sagemaker.describe_training_job(TrainingJobName="stops").get("FinalMetricDataList"))
    place.sagemaker.stop_training_job(TrainingJobName="stops")
    job = place.trained("stops")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"
    assert unpack(place.get(job["ModelArtifacts"]["S3ModelArtifacts"])) == {"partial.txt": b"partial"}
    with pytest.raises(ClientError, match="is in status Stopped"):
        place.sagemaker.stop_training_job(TrainingJobName="stops")


def test_job_ends_when_its_time_is_over(place: Place) -> None:
    place.train("long", hyperparameters={"mode": "wait"}, StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = place.trained("long")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_entry_point_of_the_request_runs_with_rewritten_paths(place: Place) -> None:
    drivers = place.put("drivers/train.sh", "cp -r /opt/ml/input/data/train/. /opt/ml/model/\n").rpartition(
        "/"
    )[0]
    channels = [
        {
            "ChannelName": name,
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{uri}/"}},
        }
        for name, uri in (("train", f"s3://{BUCKET}/data/train"), ("sm_drivers", drivers))
    ]
    script = "/opt/ml/input/data/sm_drivers/train.sh"
    place.train(
        "driver",
        InputDataConfig=channels,
        AlgorithmSpecification={
            "TrainingImage": TRAINING_IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": ["-c", f"chmod +x {script} && /bin/sh {script}"],
        },
    )
    job = place.trained("driver")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert unpack(place.get(job["ModelArtifacts"]["S3ModelArtifacts"])) == {"a.txt": b"a", "deep/b.txt": b"b"}


def test_checkpoints_are_restored_and_kept(place: Place) -> None:
    place.put("checkpoints/last.txt", "7")
    place.train(
        "resumes",
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
        CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints"},
        AlgorithmSpecification={
            "TrainingImage": TRAINING_IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c"],
            "ContainerArguments": [
                "echo 8 > /opt/ml/checkpoints/next.txt; cp /opt/ml/checkpoints/last.txt /opt/ml/model"
            ],
        },
    )
    job = place.trained("resumes")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert unpack(place.get(job["ModelArtifacts"]["S3ModelArtifacts"])) == {"last.txt": b"7"}
    assert place.get(f"s3://{BUCKET}/checkpoints/next.txt") == b"8\n"


def test_role_that_does_not_trust_sagemaker_is_refused(place: Place) -> None:
    document = {"Version": "2012-10-17", "Statement": []}
    role = place.client("iam").create_role(RoleName="other", AssumeRolePolicyDocument=json.dumps(document))
    with pytest.raises(ClientError, match=r"Could not assume role .*/other.*sagemaker.amazonaws.com"):
        place.train("untrusted", RoleArn=role["Role"]["Arn"])


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"hyperparameters": {"sagemaker_mpi_enabled": "true"}}, "sagemaker_mpi_enabled"),
        (
            {"AlgorithmSpecification": {"TrainingImage": TRAINING_IMAGE, "TrainingInputMode": "Pipe"}},
            "TrainingInputMode Pipe",
        ),
        ({"RetryStrategy": {"MaximumRetryAttempts": 1}}, "RetryStrategy"),
    ],
)
def test_what_the_twin_does_not_do_is_refused_by_name(place: Place, change: dict, member: str) -> None:
    with pytest.raises(ClientError, match=f"ValidationException.*{member}"):
        place.train("refused", **change)


def test_job_that_is_not_there_is_named_as_aws_does(place: Place) -> None:
    with pytest.raises(ClientError, match="Requested resource not found") as caught:
        place.sagemaker.describe_training_job(TrainingJobName="nobody")
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_state_changes_reach_event_rules(place: Place) -> None:
    events, queue = place.client("events"), place.client("sqs").create_queue(QueueName="training-events")
    pattern = {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Training Job State Change"]}
    pattern["detail"] = {"TrainingJobName": ["announced"], "TrainingJobStatus": ["Completed"]}
    events.put_rule(Name="training", EventPattern=json.dumps(pattern))
    target = f"arn:aws:sqs:{REGION}:{DEV}:training-events"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
    }
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": target}]}
    sqs = place.client("sqs")
    sqs.set_queue_attributes(QueueUrl=queue["QueueUrl"], Attributes={"Policy": json.dumps(policy)})
    events.put_targets(Rule="training", Targets=[{"Id": "queue", "Arn": target}])
    place.train("announced")
    place.trained("announced")
    message = until(
        lambda: sqs.receive_message(QueueUrl=queue["QueueUrl"], WaitTimeSeconds=1).get("Messages")
    )
    event = json.loads(message[0]["Body"])
    assert event["resources"] == [f"arn:aws:sagemaker:{REGION}:{DEV}:training-job/announced"]
    assert event["detail"]["SecondaryStatus"] == "Completed"
    assert event["detail"]["CreationTime"] > 1e12  # milliseconds


def test_model_is_encrypted_with_the_key_that_the_role_may_use(place: Place) -> None:
    key = place.client("kms").create_key()["KeyMetadata"]["Arn"]
    output = {"S3OutputPath": f"s3://{BUCKET}/models/", "KmsKeyId": key}
    place.train("locked", OutputDataConfig=output)
    job = place.trained("locked")
    assert "AccessDenied" in job["FailureReason"]
    assert "kms:GenerateDataKey" in job["FailureReason"]
    statement = {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": key}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    place.client("iam").put_role_policy(RoleName="jobs", PolicyName="key", PolicyDocument=document)
    place.train("unlocked", OutputDataConfig=output)
    job = place.trained("unlocked")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    found = place.client("s3").head_object(Bucket=BUCKET, Key="models/unlocked/output/model.tar.gz")
    assert found["SSEKMSKeyId"] == key
