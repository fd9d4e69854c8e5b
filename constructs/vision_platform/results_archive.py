"""The lake's copy of all results: Firehose gathers them into Parquet files of a table in Glue's catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Stack, aws_logs
from aws_cdk import aws_glue as glue
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_s3 as s3
from constructs import Construct

from vision_platform import data_lake, logs
from vision_platform.encryption import PlatformKey
from vision_platform.permissions import PlatformRole, allow

RESULTS, FAILED_RESULTS = "predictions/", "predictions-failed/"
_TABLE = "predictions"
_COLUMNS = (
    ("id", "string", "The prediction's id; a line may stand here twice, with one id"),
    ("status", "string", "DONE or REJECTED"),
    ("line", "string", "The model line that answered: champion or smoke"),
    ("label", "string", "The answer"),
    ("confidence", "double", "The label's probability"),
    ("model_version", "string", "The model package that answered"),
    ("run_id", "string", "The training run that made the model"),
    ("dataset", "string", "The dataset that the model was trained on, as name#version"),
    ("problem", "string", "Why it was rejected: a stable word"),
    ("detail", "string", "Why it was rejected, for people"),
    ("submitted_at", "timestamp", "When it was handed in, UTC"),
    ("answered_at", "timestamp", "When it was answered, UTC"),
)
_SERDE = "org.apache.hadoop.hive.ql.io.parquet"


@dataclass(frozen=True, kw_only=True)
class Buffering:
    """How many results become one file: so many MB of them, or those of so many seconds."""

    megabytes: int
    seconds: int


class ResultsArchive(Construct):
    """A delivery stream that takes one JSON document a result, and the table that its files belong to.

    `role` is Firehose's. Files lie in `bucket` under `predictions/day=YYYY-MM-DD/`; what does not fit the
    table lies under `predictions-failed/`.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        bucket: s3.IBucket,
        role: PlatformRole,
        key: PlatformKey,
        buffering: Buffering,
        log_retention_days: int,
    ) -> None:
        super().__init__(scope, id)
        self._stack = Stack.of(self)
        role.grant_from(self)
        database = name.replace("-", "_")
        table = self._table(database, bucket)
        group = logs.log_group(self, "Logs", key=key.key, retention_days=log_retention_days)
        stream = aws_logs.LogStream(self, "LogStream", log_group=group, log_stream_name="delivery")
        self._allow(role, database, bucket, group)
        key.allow_use(role)
        destination = firehose.CfnDeliveryStream.ExtendedS3DestinationConfigurationProperty(
            bucket_arn=bucket.bucket_arn,
            role_arn=role.role_arn,
            prefix=f"{RESULTS}day=!{{timestamp:yyyy-MM-dd}}/",
            error_output_prefix=f"{FAILED_RESULTS}!{{firehose:error-output-type}}/day=!{{timestamp:yyyy-MM-dd}}/",
            buffering_hints=firehose.CfnDeliveryStream.BufferingHintsProperty(
                interval_in_seconds=buffering.seconds, size_in_m_bs=buffering.megabytes
            ),
            # Parquet compresses within its files.
            compression_format="UNCOMPRESSED",
            cloud_watch_logging_options=firehose.CfnDeliveryStream.CloudWatchLoggingOptionsProperty(
                enabled=True, log_group_name=group.log_group_name, log_stream_name=stream.log_stream_name
            ),
            data_format_conversion_configuration=self._conversion(table, role),
            encryption_configuration=firehose.CfnDeliveryStream.EncryptionConfigurationProperty(
                kms_encryption_config=firehose.CfnDeliveryStream.KMSEncryptionConfigProperty(
                    awskms_key_arn=key.arn
                )
            ),
        )
        self._stream = firehose.CfnDeliveryStream(
            self,
            "Delivery",
            delivery_stream_type="DirectPut",
            delivery_stream_encryption_configuration_input=(
                firehose.CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty(
                    key_type="CUSTOMER_MANAGED_CMK", key_arn=key.arn
                )
            ),
            extended_s3_destination_configuration=destination,
        )
        self._stream.node.add_dependency(role.permissions)

    @property
    def name(self) -> str:
        """The delivery stream's name."""
        return self._stream.ref

    def allow_delivering(self, role: PlatformRole) -> None:
        """Let `role` hand results over."""
        allow(role, ["firehose:PutRecordBatch"], [self._stream.attr_arn])

    def _table(self, database: str, bucket: s3.IBucket) -> glue.CfnTable:
        catalogue = self._stack.account
        made = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=catalogue,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=database, description="What the vision platform has predicted"
            ),
        )
        location = f"s3://{bucket.bucket_name}/{RESULTS}"
        return glue.CfnTable(
            self,
            "Table",
            catalog_id=catalogue,
            database_name=made.ref,
            table_input=glue.CfnTable.TableInputProperty(
                name=_TABLE,
                description="Results of the burst path",
                table_type="EXTERNAL_TABLE",
                # Athena computes the days instead of asking the catalogue: nobody has to add partitions.
                parameters={
                    "classification": "parquet",
                    "projection.enabled": "true",
                    "projection.day.type": "date",
                    "projection.day.format": "yyyy-MM-dd",
                    "projection.day.range": "2026-01-01,NOW",
                    "storage.location.template": f"{location}day=${{day}}/",
                },
                partition_keys=[glue.CfnTable.ColumnProperty(name="day", type="string")],
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    location=location,
                    input_format=f"{_SERDE}.MapredParquetInputFormat",
                    output_format=f"{_SERDE}.MapredParquetOutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(
                        serialization_library=f"{_SERDE}.serde.ParquetHiveSerDe"
                    ),
                    columns=[
                        glue.CfnTable.ColumnProperty(name=column, type=kind, comment=comment)
                        for column, kind, comment in _COLUMNS
                    ],
                ),
            ),
        )

    def _conversion(
        self, table: glue.CfnTable, role: PlatformRole
    ) -> firehose.CfnDeliveryStream.DataFormatConversionConfigurationProperty:
        part = firehose.CfnDeliveryStream
        return part.DataFormatConversionConfigurationProperty(
            enabled=True,
            input_format_configuration=part.InputFormatConfigurationProperty(
                deserializer=part.DeserializerProperty(open_x_json_ser_de=part.OpenXJsonSerDeProperty())
            ),
            output_format_configuration=part.OutputFormatConfigurationProperty(
                serializer=part.SerializerProperty(
                    parquet_ser_de=part.ParquetSerDeProperty(compression="SNAPPY")
                )
            ),
            schema_configuration=part.SchemaConfigurationProperty(
                catalog_id=self._stack.account,
                region=self._stack.region,
                database_name=table.database_name,
                table_name=table.ref,
                version_id="LATEST",
                role_arn=role.role_arn,
            ),
        )

    def _allow(self, role: PlatformRole, database: str, bucket: s3.IBucket, group: aws_logs.LogGroup) -> None:
        data_lake.allow_writing(
            role,
            bucket,
            [RESULTS, FAILED_RESULTS],
            because="Firehose names its files by the time and by itself; the prefix says what is in them",
        )
        data_lake.allow_delivery(role, bucket)
        arn = self._stack.format_arn
        allow(
            role,
            ["glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"],
            [
                arn(service="glue", resource="catalog"),
                arn(service="glue", resource="database", resource_name=database),
                arn(service="glue", resource="table", resource_name=f"{database}/{_TABLE}"),
            ],
        )
        logs.allow_writing(role, group)
