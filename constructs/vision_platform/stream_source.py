"""How records of a stream reach a function, and what becomes of those that it cannot do."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from vision_platform.claim_stream import ClaimStream
from vision_platform.functions import PlatformFunction


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How much a function gets at once, and how long a record is tried."""

    batch_size: int
    batching_window_seconds: int
    parallelization_factor: int
    max_attempts: int
    max_age_seconds: int


class StreamSource(Construct):
    """Lambda reads `stream` for `function`, in order of each key, from the oldest record on.

    The function answers which record it did not get to; a batch that fails is halved, so that one record
    holds up few others. What is not done after all attempts, or in time, is told to the function's queue
    `failures`: shard and sequence numbers, by which the records are found in the stream again.
    """

    def __init__(
        self, scope: Construct, id: str, *, stream: ClaimStream, function: PlatformFunction, reading: Reading
    ) -> None:
        super().__init__(scope, id)
        stream.allow_reading(function.role)
        failures = function.failures.queue_arn
        mapping = lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            event_source_arn=stream.arn,
            function_name=function.function.function_name,
            starting_position="TRIM_HORIZON",
            batch_size=reading.batch_size,
            maximum_batching_window_in_seconds=reading.batching_window_seconds,
            parallelization_factor=reading.parallelization_factor,
            maximum_retry_attempts=reading.max_attempts,
            maximum_record_age_in_seconds=reading.max_age_seconds,
            bisect_batch_on_function_error=True,
            function_response_types=["ReportBatchItemFailures"],
            destination_config=lambda_.CfnEventSourceMapping.DestinationConfigProperty(
                on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(destination=failures)
            ),
        )
        # Lambda looks at the role's permissions when the mapping is made.
        mapping.node.add_dependency(function.role.permissions)
