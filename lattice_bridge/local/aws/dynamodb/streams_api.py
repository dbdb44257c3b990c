"""The operations of DynamoDB Streams.

Rule: an iterator is a position, written as text. The service keeps none, so a client that makes many fills no memory.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from lattice_bridge.local.aws.dynamodb.errors import DynamoDbError, invalid, not_found
from lattice_bridge.local.aws.dynamodb.stream import TableStream
from lattice_bridge.local.aws.dynamodb.tables import Tables
from lattice_bridge.local.aws.stream import StreamRecord

_MOST_RECORDS: Final = 1000
_MOST_BYTES: Final = 1024 * 1024
"""Of the records of one answer."""
_MOST_STREAMS: Final = 100
_ITERATOR_SECONDS: Final = 15 * 60

Result = Mapping[str, Any]


def operations(tables: Tables) -> Mapping[str, Callable[[Mapping[str, Any]], Result]]:
    """The operations by their names."""
    found = _Operations(tables)
    return {
        "DescribeStream": found.describe,
        "GetRecords": found.records,
        "GetShardIterator": found.iterator,
        "ListStreams": found.list,
    }


class _Operations:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def list(self, given: Mapping[str, Any]) -> Result:
        self._tables.refresh()
        name, after, limit = (
            given.get("TableName"),
            given.get("ExclusiveStartStreamArn", ""),
            _limit(given, _MOST_STREAMS),
        )
        every = sorted(self._tables.streams, key=lambda stream: stream.arn)
        found = [one for one in every if one.arn > after and name in (None, one.table_name, one.table_arn)]
        shown = found[:limit]
        return {
            "Streams": [{"StreamArn": one.arn, "TableName": one.table_name, "StreamLabel": one.label} for one in shown],
            **({"LastEvaluatedStreamArn": shown[-1].arn} if len(found) > len(shown) else {}),
        }

    def describe(self, given: Mapping[str, Any]) -> Result:
        stream = self._stream(given["StreamArn"])
        numbers = {"StartingSequenceNumber": str(stream.first_number)}
        if stream.is_closed:
            numbers["EndingSequenceNumber"] = str(stream.last_number or stream.first_number)
        after, kind = given.get("ExclusiveStartShardId", ""), given.get("ShardFilter")
        shards = [{"ShardId": stream.id, "SequenceNumberRange": numbers}]
        return {
            "StreamDescription": {
                "StreamArn": stream.arn,
                "StreamLabel": stream.label,
                "StreamStatus": "DISABLED" if stream.is_closed else "ENABLED",
                "StreamViewType": stream.view_type,
                "CreationRequestDateTime": stream.created,
                "TableName": stream.table_name,
                "KeySchema": stream.key_schema,
                "Shards": shards if after < stream.id and kind is None else [],  # the one shard has no children
            }
        }

    def iterator(self, given: Mapping[str, Any]) -> Result:
        stream = self._stream(given["StreamArn"])
        if given["ShardId"] != stream.id:
            raise not_found(f"Shard: {given['ShardId']}")
        return {"ShardIterator": self._written(stream, _position(stream, given))}

    def records(self, given: Mapping[str, Any]) -> Result:
        arn, position, issued = _read(given["ShardIterator"])
        stream = self._stream(arn)
        if not 0 <= self._tables.now() - issued <= _ITERATOR_SECONDS:
            raise DynamoDbError("ExpiredIteratorException", "The iterator is older than 15 minutes")
        if 0 < position < stream.first_number - 1:
            raise _trimmed()
        shown: list[StreamRecord] = []
        size = 0
        for record in stream.after(position, _limit(given, _MOST_RECORDS)):
            size += record.size
            if shown and size > _MOST_BYTES:
                break
            shown.append(record)
        position = shown[-1].number if shown else position
        is_at_end = stream.is_closed and position >= stream.last_number
        following = {} if is_at_end else {"NextShardIterator": self._written(stream, position)}
        return {"Records": [_record(one) for one in shown], **following}

    def _stream(self, arn: str) -> TableStream:
        self._tables.refresh()
        stream = self._tables.stream(arn)
        if stream is None:
            raise not_found(f"Stream: {arn}")
        return stream

    def _written(self, stream: TableStream, position: int) -> str:
        found = json.dumps([stream.arn, position, int(self._tables.now())])
        return base64.urlsafe_b64encode(found.encode()).decode()


def _limit(given: Mapping[str, Any], most: int) -> int:
    limit = given.get("Limit", most)
    if not 1 <= limit <= most:
        raise invalid(f"Limit {str(limit)[:20]} is not from 1 to {most}")
    return int(limit)


def _position(stream: TableStream, given: Mapping[str, Any]) -> int:
    """The sequence number after which an iterator reads; 0 for all records."""
    kind, text = given["ShardIteratorType"], given.get("SequenceNumber", "")
    if kind == "TRIM_HORIZON":
        return 0
    if kind == "LATEST":
        return stream.last_number
    if kind not in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        known = "TRIM_HORIZON, LATEST, AT_SEQUENCE_NUMBER and AFTER_SEQUENCE_NUMBER"
        raise invalid(f"ShardIteratorType {kind[:40]!r} is unknown. There are {known}")
    if not (text.isascii() and text.isdigit() and 21 <= len(text) <= 40):
        raise invalid("SequenceNumber is not a sequence number of 21 to 40 digits")
    number = int(text)
    if number < stream.first_number - (kind == "AFTER_SEQUENCE_NUMBER"):
        raise _trimmed()
    return number - 1 if kind == "AT_SEQUENCE_NUMBER" else number


def _trimmed() -> DynamoDbError:
    return DynamoDbError("TrimmedDataAccessException", "The records after this sequence number are older than 24 hours")


def _read(text: str) -> tuple[str, int, int]:
    try:
        arn, position, issued = json.loads(base64.urlsafe_b64decode(text[:4096]))
    except (ValueError, TypeError, RecursionError):
        raise invalid("Invalid ShardIterator") from None
    if not isinstance(arn, str) or type(position) is not int or type(issued) is not int:
        raise invalid("Invalid ShardIterator")
    return arn, position, issued


def _record(record: StreamRecord) -> Result:
    """A record as GetRecords answers it: it has no ARN, and writes the service's identity in another case."""
    content = {name: value for name, value in record.content.items() if name != "eventSourceARN"}
    if "userIdentity" in content:
        identity = content["userIdentity"]
        content["userIdentity"] = {"PrincipalId": identity["principalId"], "Type": identity["type"]}
    return content
