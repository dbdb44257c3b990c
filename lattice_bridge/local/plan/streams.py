"""Streams of Amazon Kinesis, as values.

Rule: values only. `readers.streams` makes them from a template.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of the template.

    Attributes:
        id: its logical id.
        name: that Kinesis has for it.
        arn: as in events.
        shard_count: of a provisioned stream; None for one on demand.
        retention_hours: how long a record can be read.
        max_record_size: KiB of a record, with its partition key.
    """

    id: str
    name: str
    arn: str
    shard_count: int | None = 1
    retention_hours: int = 24
    max_record_size: int = 1024
