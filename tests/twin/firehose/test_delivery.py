"""Records put to a delivery stream become files in S3, Parquet by a table's columns where asked for (R39)."""

import base64
import json
import subprocess
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.twin.conftest import ROOT, SERVER_PYTHON
from tests.twin.stacks import ACCOUNT, create

COLUMNS = {"id": "string", "count": "bigint", "share": "double", "good": "boolean", "at": "timestamp"}
READ = """
import json, sys, pyarrow.parquet
print(json.dumps(pyarrow.parquet.read_table(sys.argv[1]).to_pylist(), default=str))
"""


def trusted_by(service: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


class Delivery:
    """A stack with a delivery stream, its bucket, table and role."""

    def __init__(
        self, twin: Any, *, glue: bool = True, writes: bool = True, seconds: int = 1, **more: Any
    ) -> None:
        self.twin, self.name = twin, f"d-{uuid.uuid4().hex[:8]}"
        self.s3, self.firehose = self.client("s3"), self.client("firehose")
        statements = [{"Effect": "Allow", "Action": ["logs:PutLogEvents"], "Resource": "*"}]
        if writes:
            arn = f"arn:aws:s3:::{self.name}/*"
            statements.append({"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": arn})
        if glue:
            statements.append({"Effect": "Allow", "Action": ["glue:GetTableVersions"], "Resource": "*"})
        document = {"Version": "2012-10-17", "Statement": statements}
        destination = {
            "BucketARN": f"arn:aws:s3:::{self.name}",
            "RoleARN": {"Fn::GetAtt": ["Role", "Arn"]},
            "Prefix": "good/day=!{timestamp:yyyy-MM-dd}/",
            "ErrorOutputPrefix": "bad/!{firehose:error-output-type}/!{timestamp:yyyy}/",
            "BufferingHints": {"IntervalInSeconds": seconds, "SizeInMBs": 64},
            "CloudWatchLoggingOptions": {"Enabled": True, "LogGroupName": self.name, "LogStreamName": "s"},
            **more,
        }
        columns = [{"Name": name, "Type": kind} for name, kind in COLUMNS.items()]
        table = {"Name": "results", "StorageDescriptor": {"Columns": columns}}
        named = {"CatalogId": ACCOUNT, "DatabaseName": {"Ref": "Database"}}
        self.made = create(
            twin,
            self.name,
            Bucket={"Type": "AWS::S3::Bucket", "Properties": {"BucketName": self.name}},
            Logs={"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": self.name}},
            Role={
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": trusted_by("firehose.amazonaws.com"),
                    "Policies": [{"PolicyName": "p", "PolicyDocument": document}],
                },
            },
            Database={
                "Type": "AWS::Glue::Database",
                "Properties": {
                    "CatalogId": ACCOUNT,
                    "DatabaseInput": {"Name": self.name.replace("-", "_")},
                },
            },
            Table={"Type": "AWS::Glue::Table", "Properties": {**named, "TableInput": table}},
            Stream={
                "Type": "AWS::KinesisFirehose::DeliveryStream",
                "Properties": {
                    "DeliveryStreamName": self.name,
                    "ExtendedS3DestinationConfiguration": destination,
                },
                "DependsOn": ["Bucket", "Table"],
            },
        )

    def client(self, service: str) -> Any:
        return self.twin.client(service, ACCOUNT)

    def put(self, *records: bytes) -> None:
        answer = self.firehose.put_record_batch(
            DeliveryStreamName=self.name, Records=[{"Data": record} for record in records]
        )
        assert answer["FailedPutCount"] == 0

    def shorten(self, seconds: int) -> None:
        """Change the time that the stream gathers for."""
        stream = self.firehose.describe_delivery_stream(DeliveryStreamName=self.name)
        found = stream["DeliveryStreamDescription"]
        self.firehose.update_destination(
            DeliveryStreamName=self.name,
            CurrentDeliveryStreamVersionId=found["VersionId"],
            DestinationId=found["Destinations"][0]["DestinationId"],
            ExtendedS3DestinationUpdate={"BufferingHints": {"IntervalInSeconds": seconds, "SizeInMBs": 64}},
        )

    def logged(self) -> str:
        """The first line of the stream's log, which is written after what it is about."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for event in self.client("logs").filter_log_events(logGroupName=self.name)["events"]:
                return event["message"]
            time.sleep(0.1)
        raise AssertionError("nothing was logged")

    def keys(self, prefix: str, count: int = 1, seconds: float = 30) -> list[str]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.s3.list_objects_v2(Bucket=self.name, Prefix=prefix).get("Contents", [])
            if len(found) >= count:
                return [each["Key"] for each in found]
            time.sleep(0.1)
        raise AssertionError(f"nothing under {prefix}: {self.made['why']}")

    def read(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()


def parquet(name: str, **more: Any) -> dict[str, Any]:
    return {
        "DataFormatConversionConfiguration": {
            "Enabled": True,
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {"Compression": "SNAPPY"}}},
            "SchemaConfiguration": {
                "CatalogId": ACCOUNT,
                "DatabaseName": {"Ref": "Database"},
                "TableName": {"Ref": "Table"},
                "RoleARN": {"Fn::GetAtt": ["Role", "Arn"]},
                **more,
            },
        }
    }


@pytest.fixture
def rows(tmp_path: Any) -> Callable[[bytes], list[dict[str, Any]]]:
    """Rows of a Parquet file, read by the twin's own environment."""

    def read(content: bytes) -> list[dict[str, Any]]:
        path = tmp_path / "file.parquet"
        path.write_bytes(content)
        done = subprocess.run(
            [str(SERVER_PYTHON), "-c", READ, str(path)], capture_output=True, check=True, cwd=ROOT
        )
        return json.loads(done.stdout)

    return read


def test_documents_become_one_parquet_file_with_the_tables_columns(twin: Any, rows: Any) -> None:
    made = Delivery(twin, **parquet("x"))
    first = {"ID": "a", "count": 3, "share": 0.5, "good": True, "at": "2026-11-30 07:00:00.250", "other": 1}
    made.put(json.dumps(first).encode() + b"\n", b'{"id": "b"} {"id": "c", "count": null}')
    (key,) = made.keys("good/day=20")
    assert key.endswith(".parquet")
    assert rows(made.read(key)) == [
        {"id": "a", "count": 3, "share": 0.5, "good": True, "at": "2026-11-30 07:00:00.250000"},
        {"id": "b", "count": None, "share": None, "good": None, "at": None},
        {"id": "c", "count": None, "share": None, "good": None, "at": None},
    ]


def test_record_that_does_not_fit_goes_to_the_error_prefix_and_the_others_do_not(
    twin: Any, rows: Any
) -> None:
    made = Delivery(twin, **parquet("x"))
    bad = [b'{"id": "x", "count": "many"}', b"not json", b'{"at": "2026-11-30T07:00:00Z"}']
    made.put(b'{"id": "good"}', *bad)
    (key,) = made.keys("bad/format-conversion-failed/")
    lines = [json.loads(line) for line in made.read(key).splitlines()]
    assert [base64.b64decode(line["rawData"]) for line in lines] == bad
    assert all(line["dataCatalogTable"]["tableName"] == "results" for line in lines)
    assert [row["id"] for row in rows(made.read(made.keys("good/")[0]))] == ["good"]
    assert "count (bigint)" in made.logged()


def test_plain_records_are_joined_when_the_buffers_time_is_over(twin: Any) -> None:
    made = Delivery(twin, seconds=900)
    made.put(b"one\n", b"two\n")
    made.put(b"three\n")
    # Only now: two puts may take longer than an interval that a test can wait for.
    made.shorten(seconds=1)
    (key,) = made.keys("good/")
    assert made.read(key) == b"one\ntwo\nthree\n"


def test_full_buffer_does_not_wait(twin: Any) -> None:
    made = Delivery(twin, seconds=900, BufferingHints={"IntervalInSeconds": 900, "SizeInMBs": 1})
    made.put(*[b"x" * 300_000] * 4)
    assert len(made.read(made.keys("good/")[0])) == 1_200_000


def test_role_that_may_not_write_loses_nothing_and_the_log_says_so(twin: Any) -> None:
    made = Delivery(twin, writes=False)
    made.put(b"kept\n")
    assert "AccessDenied" in made.logged()
    iam = made.client("iam")
    (role,) = [r["RoleName"] for r in iam.list_roles()["Roles"] if r["RoleName"].startswith(made.name)]
    statement = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{made.name}/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=role, PolicyName="more", PolicyDocument=document)
    assert made.read(made.keys("good/")[0]) == b"kept\n"


def test_role_that_may_not_read_the_table_delivers_nothing(twin: Any) -> None:
    made = Delivery(twin, glue=False, **parquet("x"))
    made.put(b'{"id": "a"}')
    with pytest.raises(AssertionError, match="nothing under"):
        made.keys("good/", seconds=3)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"BufferingHints": {"IntervalInSeconds": 60, "SizeInMBs": 5}, **parquet("x")}, "at least 64"),
        ({"CompressionFormat": "GZIP", **parquet("x")}, "CompressionFormat"),
        ({"BufferingHints": {"IntervalInSeconds": 901, "SizeInMBs": 64}}, "IntervalInSeconds"),
    ],
)
def test_what_firehose_does_not_take_fails_the_stack(twin: Any, settings: dict[str, Any], says: str) -> None:
    assert says in Delivery(twin, **settings).made["why"]


def test_gathered_records_outlive_a_restart(new_twin: Callable[..., Any]) -> None:
    twin = new_twin()
    made = Delivery(twin, seconds=4)
    made.put(b"before the stop\n")
    assert twin.stop() == 0
    new_twin(home=twin.home, port=twin.port)
    assert made.read(made.keys("good/")[0]) == b"before the stop\n"
