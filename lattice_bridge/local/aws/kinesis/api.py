"""The API of Kinesis Data Streams, as a service of the AWS endpoint.

Rule: this module knows the protocol only; `streams`, `stream` and `shard` decide. It speaks AWS's JSON protocol, and
the same in CBOR, which the Java SDK chooses for Kinesis. A response has the form of its request.
Source: botocore's service model of Kinesis 2013-12-02.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from lattice_bridge.local.aws import cbor
from lattice_bridge.local.aws.cbor import Timestamp
from lattice_bridge.local.aws.endpoint import AwsService
from lattice_bridge.local.aws.kinesis.errors import NOT_FOUND, KinesisError, invalid, missing
from lattice_bridge.local.aws.kinesis.parameters import MOST_DATA, KinesisParameters
from lattice_bridge.local.aws.kinesis.reading import MOST_RECORDS, Start
from lattice_bridge.local.aws.kinesis.shard import HashKeys, KinesisShard, Record
from lattice_bridge.local.aws.kinesis.stream import (
    LEAST_RECORD,
    MOST_RECORD,
    MOST_SHARDS,
    ON_DEMAND,
    PROVISIONED,
    KinesisStream,
)
from lattice_bridge.local.aws.kinesis.streams import KinesisStreams, Wanted
from lattice_bridge.local.aws.protocol import AwsError, AwsRequest, AwsResponse

SERVICE: Final = "kinesis"
TARGET: Final = "Kinesis_20131202"

_BODY_LIMIT: Final = 16 * 1024 * 1024
"""Bytes. 10 MiB of data are 14 MiB of base64, and in JSON a character of four bytes can have twelve."""
_JSON: Final = "application/x-amz-json-1.1"
_MOST_TAGS: Final = 50
_PAGE: Final = 10_000
_KINDS: Final = ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
_MODES: Final = (PROVISIONED, ON_DEMAND)
_FILTERS: Final = (
    *("AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"),
)
_FAN_OUT: Final = "enhanced fan-out is not emulated. Fix: read with GetShardIterator and GetRecords"
_REFUSED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            *("DeregisterStreamConsumer", "DescribeStreamConsumer", "ListStreamConsumers"),
            *("RegisterStreamConsumer", "SubscribeToShard"),
        ),
        _FAN_OUT,
    ),
    **dict.fromkeys(
        ("DeleteResourcePolicy", "GetResourcePolicy", "PutResourcePolicy"),
        "policies are not evaluated. Fix: leave it out; every key may call every operation here",
    ),
    **dict.fromkeys(
        ("StartStreamEncryption", "StopStreamEncryption"), "records are not encrypted here. Fix: leave it out"
    ),
    **dict.fromkeys(
        ("DisableEnhancedMonitoring", "EnableEnhancedMonitoring"), "there are no metrics here. Fix: leave it out"
    ),
}
"""Operation → why it is not here, and what to do."""

Result = Mapping[str, Any]


def kinesis_api(streams: KinesisStreams) -> AwsService:
    """Makes the API.

    Args:
        streams: of the stack.
    """
    operations = _Operations(streams)
    return AwsService(operations.answer, _BODY_LIMIT, for_identities=True)


class _Operations:
    """The operations by their names."""

    def __init__(self, streams: KinesisStreams) -> None:
        self._streams = streams
        self._operations: Mapping[str, Callable[[KinesisParameters], Result | None]] = {
            "AddTagsToStream": self._add_tags,
            "CreateStream": self._create,
            "DecreaseStreamRetentionPeriod": self._decrease_retention,
            "DeleteStream": self._delete,
            "DescribeLimits": self._limits,
            "DescribeStream": self._describe,
            "DescribeStreamSummary": self._summarize,
            "GetRecords": self._get_records,
            "GetShardIterator": self._get_iterator,
            "IncreaseStreamRetentionPeriod": self._increase_retention,
            "ListShards": self._list_shards,
            "ListStreams": self._list,
            "ListTagsForResource": self._resource_tags,
            "ListTagsForStream": self._list_tags,
            "MergeShards": self._merge,
            "PutRecord": self._put,
            "PutRecords": self._put_all,
            "RemoveTagsFromStream": self._remove_tags,
            "SplitShard": self._split,
            "TagResource": self._tag_resource,
            "UntagResource": self._untag_resource,
            "UpdateMaxRecordSize": self._update_record_size,
            "UpdateShardCount": self._update_count,
            "UpdateStreamMode": self._update_mode,
        }

    async def answer(self, request: AwsRequest) -> AwsResponse:
        """Answers a request."""
        is_cbor = request.header("content-type") == cbor.MEDIA_TYPE
        operation = self._operation(request)
        try:
            given = _parameters(request, is_cbor=is_cbor)
            if given.has("DryRun"):
                raise invalid("DryRun is not emulated. Fix: leave it out")
            return _response(200, operation(given), is_cbor=is_cbor)
        except KinesisError as error:
            return _response(400, {"__type": error.name, "message": str(error)}, is_cbor=is_cbor)

    def _operation(self, request: AwsRequest) -> Callable[[KinesisParameters], Result | None]:
        target, _, name = (request.header("x-amz-target") or "").partition(".")
        operation = self._operations.get(name)
        if target == TARGET and operation is not None:
            return operation
        known = f"this local stack has {', '.join(self._operations)}. Fix: call one of them"
        is_name = target == TARGET and name.isalnum() and name.isascii() and len(name) < 80
        what = f"Kinesis {name if is_name else 'this operation'}: {_REFUSED.get(name, known)}"
        raise AwsError(400, "UnknownOperationException", what)

    # ---- streams ----------------------------------------------------------------------------------------------------

    def _create(self, given: KinesisParameters) -> None:
        tags = given.tags()
        _check_tags(tags)
        if given.choice("RecordDistributionStrategy", ("AUTO", "USER_PARTITION_KEY")) == "AUTO":
            what = "RecordDistributionStrategy AUTO is not emulated, since it keeps no order of a partition key"
            raise invalid(f"{what}. Fix: USER_PARTITION_KEY")
        details = given.inner("StreamModeDetails")
        stream = self._streams.create(
            Wanted(
                given.text("StreamName"),
                given.whole("ShardCount", 1, MOST_SHARDS),
                PROVISIONED if details is None else _mode(details),
                max_record_size=given.whole("MaxRecordSizeInKiB", LEAST_RECORD, MOST_RECORD) or LEAST_RECORD,
            )
        )
        stream.tags = tags

    def _delete(self, given: KinesisParameters) -> None:
        self._streams.delete(self._stream(given).name)

    def _list(self, given: KinesisParameters) -> Result:
        size = given.whole("Limit", 1, _PAGE) or 100
        after = given.optional_text("NextToken") or given.optional_text("ExclusiveStartStreamName") or ""
        rest = [stream for stream in self._streams if stream.name > after]
        shown = rest[:size]
        more = len(rest) > size
        return {
            "StreamNames": [stream.name for stream in shown],
            "StreamSummaries": [_summary(stream) for stream in shown],
            "HasMoreStreams": more,
            **({"NextToken": shown[-1].name} if more else {}),
        }

    def _describe(self, given: KinesisParameters) -> Result:
        stream, size = self._stream(given), min(given.whole("Limit", 1, _PAGE) or 100, 100)
        after = given.optional_text("ExclusiveStartShardId") or ""
        rest = [shard for shard in stream.listed() if shard.id > after]
        shards = [_shard(shard) for shard in rest[:size]]
        found = {**_description(stream), "Shards": shards, "HasMoreShards": len(rest) > size}
        return {"StreamDescription": found}

    def _summarize(self, given: KinesisParameters) -> Result:
        stream = self._stream(given)
        found = {
            **_description(stream),
            "OpenShardCount": len(stream.open_shards()),
            "ConsumerCount": 0,
            "MaxRecordSizeInKiB": stream.max_record_size,
        }
        return {"StreamDescriptionSummary": found}

    def _limits(self, _given: KinesisParameters) -> Result:
        streams = list(self._streams)
        return {
            "ShardLimit": MOST_SHARDS,
            "OpenShardCount": sum(len(stream.open_shards()) for stream in streams),
            "OnDemandStreamCount": sum(stream.mode == ON_DEMAND for stream in streams),
            "OnDemandStreamCountLimit": MOST_SHARDS,
        }

    def _increase_retention(self, given: KinesisParameters) -> None:
        self._stream(given).increase_retention(_hours(given))

    def _decrease_retention(self, given: KinesisParameters) -> None:
        self._stream(given).decrease_retention(_hours(given))

    def _update_mode(self, given: KinesisParameters) -> None:
        stream, details = self._stream(given), given.inner("StreamModeDetails")
        if details is None:
            raise missing("StreamModeDetails")
        stream.mode = _mode(details)

    def _update_record_size(self, given: KinesisParameters) -> None:
        stream, size = self._stream(given), given.whole("MaxRecordSizeInKiB", LEAST_RECORD, MOST_RECORD)
        if size is None:
            raise missing("MaxRecordSizeInKiB")
        stream.max_record_size = size

    def _stream(self, given: KinesisParameters, arn: str = "StreamARN") -> KinesisStream:
        name = given.stream_name(arn)
        stream = self._streams.get(name)
        if given.optional_text(arn) not in (None, stream.arn):
            what = f"Stream {given.text(arn)} not found; the one with this name here is {stream.arn}."
            raise KinesisError(NOT_FOUND, f"{what} Fix: use its ARN, or StreamName")
        return stream

    # ---- tags -------------------------------------------------------------------------------------------------------

    def _add_tags(self, given: KinesisParameters) -> None:
        _tag(self._stream(given), given)

    def _tag_resource(self, given: KinesisParameters) -> None:
        _tag(self._stream(given, "ResourceARN"), given)

    def _remove_tags(self, given: KinesisParameters) -> None:
        _untag(self._stream(given), given)

    def _untag_resource(self, given: KinesisParameters) -> None:
        _untag(self._stream(given, "ResourceARN"), given)

    def _list_tags(self, given: KinesisParameters) -> Result:
        tags, size = self._stream(given).tags, given.whole("Limit", 1, _MOST_TAGS) or _MOST_TAGS
        after = given.optional_text("ExclusiveStartTagKey") or ""
        rest = [key for key in sorted(tags) if key > after]
        return {"Tags": _tags({key: tags[key] for key in rest[:size]}), "HasMoreTags": len(rest) > size}

    def _resource_tags(self, given: KinesisParameters) -> Result:
        return {"Tags": _tags(self._stream(given, "ResourceARN").tags)}

    # ---- shards -----------------------------------------------------------------------------------------------------

    def _list_shards(self, given: KinesisParameters) -> Result:
        size, token = given.whole("MaxResults", 1, _PAGE) or 1000, given.optional_text("NextToken")
        if token is not None:
            for other in ("StreamName", "StreamARN", "StreamCreationTimestamp", "ExclusiveStartShardId"):
                if given.has(other):
                    raise invalid(f"NextToken and {other} cannot be provided together.")
            stream, after, written = self._streams.page(token)
            chosen = _Filter(**written)
        else:
            stream, after = self._stream(given), given.optional_text("ExclusiveStartShardId") or ""
            chosen = _Filter.of(given.inner("ShardFilter"))
        rest = [shard for shard in chosen.of_stream(stream, self._streams.now()) if shard.id > after]
        shown = [_shard(shard) for shard in rest[:size]]
        if len(rest) <= size:
            return {"Shards": shown}
        return {"Shards": shown, "NextToken": self._streams.page_token(stream, rest[size - 1].id, chosen.written())}

    def _split(self, given: KinesisParameters) -> None:
        stream, shard_id, key = self._stream(given), given.text("ShardToSplit"), given.hash_key("NewStartingHashKey")
        if key is None:
            raise missing("NewStartingHashKey")
        stream.split(shard_id, key)

    def _merge(self, given: KinesisParameters) -> None:
        self._stream(given).merge(given.text("ShardToMerge"), given.text("AdjacentShardToMerge"))

    def _update_count(self, given: KinesisParameters) -> Result:
        stream, count = self._stream(given), given.whole("TargetShardCount", 1, MOST_SHARDS)
        scaling = given.choice("ScalingType", ("UNIFORM_SCALING",))
        if count is None or scaling is None:
            raise missing("TargetShardCount" if count is None else "ScalingType")
        before = len(stream.open_shards())
        stream.update_shard_count(count)
        return {
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "CurrentShardCount": before,
            "TargetShardCount": count,
        }

    # ---- records ----------------------------------------------------------------------------------------------------

    def _put(self, given: KinesisParameters) -> Result:
        stream = self._stream(given)
        given.sequence_number("SequenceNumberForOrdering")  # the order is strict here without it
        key, data, hash_key = given.partition_key(), given.data(), given.hash_key("ExplicitHashKey")
        stream.check_size(key, data)
        stored = stream.put(key, data, hash_key)
        return {"ShardId": stored.shard_id, "SequenceNumber": str(stored.record.number)}

    def _put_all(self, given: KinesisParameters) -> Result:
        """All records are checked before the first one is stored, as on AWS."""
        stream = self._stream(given)
        records = [(each.partition_key(), each.data(), each.hash_key("ExplicitHashKey")) for each in given.entries()]
        for key, data, _ in records:
            stream.check_size(key, data)
        size = sum(len(data) + len(key.encode()) for key, data, _ in records)
        if size > MOST_DATA:
            what = f"Records size exceeds 10 MiB limit: {size} bytes with the partition keys."
            raise invalid(f"{what} Fix: send fewer records in a request")
        results = []
        failed = 0
        for key, data, hash_key in records:
            try:
                stored = stream.put(key, data, hash_key)
                results.append({"ShardId": stored.shard_id, "SequenceNumber": str(stored.record.number)})
            except KinesisError as error:
                failed += 1
                results.append({"ErrorCode": error.name, "ErrorMessage": str(error)})
        return {"FailedRecordCount": failed, "Records": results}

    def _get_iterator(self, given: KinesisParameters) -> Result:
        stream = self._stream(given)
        shard, kind = stream.shard(given.text("ShardId")), given.choice("ShardIteratorType", _KINDS)
        if kind is None:
            raise missing("ShardIteratorType")
        start = Start(kind, given.sequence_number("StartingSequenceNumber"), given.moment("Timestamp"))
        return {"ShardIterator": self._streams.iterator(stream, shard, start)}

    def _get_records(self, given: KinesisParameters) -> Result:
        limit = given.whole("Limit", 1, MOST_RECORDS) or MOST_RECORDS
        stream, shard, page, iterator = self._streams.read(given.text("ShardIterator"), limit)
        found: dict[str, Any] = {
            "Records": [_record(record) for record in page.records],
            "MillisBehindLatest": page.behind,
            "NextShardIterator": iterator,
        }
        if iterator is None:
            found["ChildShards"] = [_child(each) for each in stream.children(shard)]
        return found


# ---- requests -------------------------------------------------------------------------------------------------------


def _parameters(request: AwsRequest, *, is_cbor: bool) -> KinesisParameters:
    if len(request.body) > _BODY_LIMIT:
        raise invalid(f"the request has more than {_BODY_LIMIT} bytes. Fix: send fewer records in a request")
    try:
        found = cbor.read(request.body) if is_cbor else json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        form = "a CBOR map" if is_cbor else "a JSON object"
        raise KinesisError("SerializationException", f"The body of the request is not {form}.")
    return KinesisParameters(found)


def _mode(details: KinesisParameters) -> str:
    mode = details.choice("StreamMode", _MODES)
    if mode is None:
        raise missing("StreamModeDetails.StreamMode")
    return mode


def _hours(given: KinesisParameters) -> int:
    hours = given.whole("RetentionPeriodHours", 0, 1_000_000)
    if hours is None:
        raise missing("RetentionPeriodHours")
    return hours


def _tag(stream: KinesisStream, given: KinesisParameters) -> None:
    tags = given.tags()
    if not tags:
        raise missing("Tags")
    _check_tags({**stream.tags, **tags})
    stream.tags |= tags


def _untag(stream: KinesisStream, given: KinesisParameters) -> None:
    keys = given.texts("TagKeys")
    if not keys:
        raise missing("TagKeys")
    for key in keys:
        stream.tags.pop(key, None)


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > _MOST_TAGS:
        raise invalid(f"a given stream cannot have more than {_MOST_TAGS} tags associated with it.")


class _Filter:
    """Which shards ListShards gives.

    Source: ShardFilter in the API reference.
    """

    def __init__(self, kind: str = "FROM_TRIM_HORIZON", shard_id: str = "", moment: float = 0.0) -> None:
        self._kind, self._shard_id, self._moment = kind, shard_id, moment

    @classmethod
    def of(cls, given: KinesisParameters | None) -> _Filter:
        """The filter of a request."""
        if given is None:
            return cls()
        kind, shard_id, moment = (
            given.choice("Type", _FILTERS),
            given.optional_text("ShardId"),
            given.moment("Timestamp"),
        )
        if kind is None:
            raise missing("ShardFilter.Type")
        for name, value, is_needed in (
            ("ShardId", shard_id, kind == "AFTER_SHARD_ID"),
            ("Timestamp", moment, kind.endswith("_TIMESTAMP")),
        ):
            if (value is not None) != is_needed:
                fix = "set it" if is_needed else "leave it out"
                raise invalid(f"{name} of a ShardFilter of the type {kind}. Fix: {fix}")
        return cls(kind, shard_id or "", moment or 0.0)

    def written(self) -> dict[str, Any]:
        """The filter as JSON."""
        return {"kind": self._kind, "shard_id": self._shard_id, "moment": self._moment}

    def of_stream(self, stream: KinesisStream, now: float) -> Iterator[KinesisShard]:
        """The shards of a stream."""
        since = max(stream.trim_horizon, stream.created)
        moment = max(self._moment if self._kind.endswith("_TIMESTAMP") else since, since)
        if self._kind == "AT_LATEST":
            moment = now
        for shard in stream.listed():
            ended = shard.closed is not None and (shard.closed < moment or self._kind == "AT_LATEST")
            begun = shard.opened <= moment
            if self._kind == "AFTER_SHARD_ID":
                chosen = shard.id > self._shard_id
            else:
                chosen = not ended and (begun or self._kind.startswith("FROM_"))
            if chosen:
                yield shard


# ---- responses ------------------------------------------------------------------------------------------------------


def _response(status: int, result: Result | None, *, is_cbor: bool) -> AwsResponse:
    if is_cbor:
        return AwsResponse(status, [("content-type", cbor.MEDIA_TYPE)], b"" if result is None else cbor.written(result))
    text = "" if result is None else json.dumps(result, separators=(",", ":"), default=_as_json)
    return AwsResponse(status, [("content-type", _JSON)], text.encode())


def _as_json(value: object) -> object:
    if isinstance(value, Timestamp):
        return value.seconds
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode("ascii")


def _description(stream: KinesisStream) -> dict[str, Any]:
    return {
        **_summary(stream),
        "RetentionPeriodHours": stream.retention_hours,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
    }


def _summary(stream: KinesisStream) -> dict[str, Any]:
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": stream.mode},
        "StreamCreationTimestamp": Timestamp(int(stream.created)),
    }


def _shard(shard: KinesisShard) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": str(shard.first_sequence_number)}
    if (last := shard.last_sequence_number) is not None:
        numbers["EndingSequenceNumber"] = str(last)
    parents = dict(zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False))
    keys = _hash_keys(shard.hash_keys)
    return {"ShardId": shard.id, **parents, "HashKeyRange": keys, "SequenceNumberRange": numbers}


def _child(shard: KinesisShard) -> dict[str, Any]:
    return {
        "ShardId": shard.id,
        "ParentShards": list(shard.parents),
        "HashKeyRange": _hash_keys(shard.hash_keys),
    }


def _hash_keys(keys: HashKeys) -> dict[str, str]:
    return {"StartingHashKey": str(keys.first), "EndingHashKey": str(keys.last)}


def _record(record: Record) -> dict[str, Any]:
    return {
        "SequenceNumber": str(record.number),
        "ApproximateArrivalTimestamp": Timestamp(record.arrived),
        "Data": record.data,
        "PartitionKey": record.partition_key,
    }


def _tags(tags: Mapping[str, str]) -> Sequence[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
