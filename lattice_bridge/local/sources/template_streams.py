"""The streams of the template, in the stack's Kinesis.

Rule: a change of the template keeps every stream with its records, also a stream that the template no longer has.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from lattice_bridge.local.aws.kinesis.errors import KinesisError
from lattice_bridge.local.aws.kinesis.stream import ON_DEMAND, PROVISIONED
from lattice_bridge.local.aws.kinesis.streams import KinesisStreams, Wanted
from lattice_bridge.local.plan.streams import Stream

_logger: Final = logging.getLogger(__name__)


class TemplateStreams:
    """Makes the streams of the template, and changes them with it.

    Args:
        streams: of the stack.
    """

    def __init__(self, streams: KinesisStreams) -> None:
        self._streams = streams
        self._made: dict[str, Stream] = {}

    def replace(self, wanted: Iterable[Stream]) -> None:
        """Makes the streams that are not there yet, and changes the others as the template has changed.

        What a client has set stays until the template changes the stream.
        """
        for one in wanted:
            try:
                self._make(one)
            except KinesisError as error:  # a stream that a client has made does not fit
                _logger.warning("stream %s is not as in the template: %s", one.name, error)
            self._made[one.arn] = one

    def _make(self, one: Stream) -> None:
        stream, mode = self._streams.by_arn(one.arn), ON_DEMAND if one.shard_count is None else PROVISIONED
        if stream is None:
            self._streams.create(
                Wanted(one.name, one.shard_count, mode, one.retention_hours, one.max_record_size, one.arn)
            )
        elif self._made.get(one.arn) != one:
            stream.mode, stream.max_record_size = mode, one.max_record_size
            stream.set_retention(one.retention_hours)
            if one.shard_count is not None:
                stream.resize(one.shard_count)
