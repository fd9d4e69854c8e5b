"""Firehose's way to S3: records are gathered, made into Parquet where asked for, and written by its role."""

from twin import glue
from twin.firehose.buffers import Buffers
from twin.glue import firehose

buffers = Buffers()


def install() -> None:
    """Gather records in ministack's stead; what is gathered outlives a restart."""
    firehose.install(buffers.take)
    glue.register_state("firehose_buffers", buffers)
    buffers.start()
