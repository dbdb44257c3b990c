"""Reads the event source mappings of a resolved template: those whose source is a queue or a stream.

Rule: properties have the limits of Lambda's CreateEventSourceMapping. A value that AWS refuses is an error here, and a
mapping of another source is named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.values import as_text
from lattice_bridge.events.sqs import FIFO
from lattice_bridge.local.plan.event_pattern import BadPattern, Pattern, check_pattern
from lattice_bridge.local.plan.model import LeftOut
from lattice_bridge.local.plan.queues import EventSourceMapping
from lattice_bridge.local.plan.readers.queues import known_properties
from lattice_bridge.local.plan.stream_mappings import DATA, FOREVER, SERVICES, StartingPosition, StreamMapping

TYPE: Final = "AWS::Lambda::EventSourceMapping"

_SERVED: Final = (
    *("BatchSize", "Enabled", "EventSourceArn", "FilterCriteria", "FunctionName", "FunctionResponseTypes"),
    *("MaximumBatchingWindowInSeconds", "Tags"),
)
_OF_QUEUES: Final = ("ScalingConfig",)
_OF_STREAMS: Final = (
    *("BisectBatchOnFunctionError", "DestinationConfig", "MaximumRecordAgeInSeconds", "MaximumRetryAttempts"),
    *("ParallelizationFactor", "StartingPosition", "StartingPositionTimestamp", "TumblingWindowInSeconds"),
)
_SOURCES: Final[Mapping[str, str]] = {
    "AmazonManagedKafkaEventSourceConfig": "a Kafka cluster",
    "DocumentDBEventSourceConfig": "a DocumentDB cluster",
    "SelfManagedEventSource": "a Kafka cluster",
}
"""Property → the source that a mapping without an ARN has."""
_SERVICES: Final[Mapping[str, str]] = {
    "kafka": "a Kafka cluster",
    "mq": "an Amazon MQ broker",
    "rds": "a DocumentDB cluster",
}
"""Service in the ARN of a source → what the source is."""
_MOST: Final = {True: 10, False: 10_000}
"""Messages of a batch, by whether the queue is FIFO."""
_WITHOUT_WINDOW: Final = 10
_STARTS: Final[Mapping[str, Sequence[StartingPosition]]] = {
    "dynamodb": ("LATEST", "TRIM_HORIZON"),
    "kinesis": ("LATEST", "TRIM_HORIZON", "AT_TIMESTAMP"),
}
"""Service of a stream → the starting positions that it has."""
_YOUNGEST: Final = 60
"""The lowest `MaximumRecordAgeInSeconds`."""
_WEEK: Final = 604_800
_STREAM_LIMITS: Final[Mapping[str, tuple[int, int, int]]] = {
    "BatchSize": (100, 1, 10_000),
    "ParallelizationFactor": (1, 1, 10),
    "MaximumRetryAttempts": (FOREVER, FOREVER, 10_000),
    "MaximumRecordAgeInSeconds": (FOREVER, FOREVER, _WEEK),
    "TumblingWindowInSeconds": (0, 0, 900),
}
"""Property of a stream's mapping → its default, its lowest and its highest value."""
_STREAM_ARNS: Final[Mapping[str, re.Pattern[str]]] = {
    "dynamodb": re.compile(r"arn:[^:/]+:dynamodb:[^:/]+:[^:/]+:table/[^:/]+/stream/[^/]+"),
    "kinesis": re.compile(r"arn:[^:/]+:kinesis:[^:/]+:[^:/]+:stream/[^:/]+(/consumer/[^/]+)?"),
}
_FIXES: Final[Mapping[str, str]] = {
    "dynamodb": "write the ARN of the table's stream, as in !GetAtt Table.StreamArn",
    "kinesis": "write it as in !GetAtt Stream.Arn",
}
_CONSUMER: Final = "/consumer/"
"""Begins the part of an ARN that names a consumer of a stream."""
_MOST_PATTERNS: Final = 10
_MOST_CHARACTERS: Final = 4096
"""Of a pattern."""
_BODY: Final = "body"
_REPORTS: Final = "ReportBatchItemFailures"


def read_mappings(template: Template, left_out: LeftOut) -> Iterator[EventSourceMapping | StreamMapping]:
    """Reads the mappings of queues and streams, in the order of the template.

    Args:
        template: resolved; SAM's events of the types SQS, Kinesis and DynamoDB are translated.
        left_out: gets the parts that are not served.

    Raises:
        BadTemplate: AWS would refuse one.
    """
    seen: dict[tuple[str, str], str] = {}
    for resource in template.of_type(TYPE):
        with malformed(f"event source mapping {resource.id}"):
            service, other = _source(resource)
            if other:
                left_out.add(f"{TYPE} of {other}: no record of it invokes the function", resource.id)
                continue
            required = ("EventSourceArn", "FunctionName", *(["StartingPosition"] if service in SERVICES else []))
            properties = known_properties(resource, required, left_out)
            read = _stream_mapping if service in SERVICES else _queue_mapping
            mapping = read(resource.id, properties, left_out)
        pair = (mapping.queue if isinstance(mapping, EventSourceMapping) else mapping.stream, mapping.function)
        if pair in seen:
            what = "stream" if service in SERVICES else "queue"
            raise BadTemplate(f"{resource.id}: {seen[pair]} already maps this {what} to this function. Fix: remove one")
        seen[pair] = resource.id
        yield mapping


def _source(resource: Resource) -> tuple[str, str]:
    """The service of the source, and what the source is if no mapping of it is served."""
    arn = as_text(resource.properties.get("EventSourceArn") or "")
    if not arn:
        return "", next((what for name, what in _SOURCES.items() if name in resource.properties), "an unknown source")
    service = arn.split(":")[2] if arn.count(":") > 1 else ""
    if service in ("sqs", *SERVICES):
        return service, ""
    return service, _SERVICES.get(service, f"{service} ({arn})" if service else "an unknown source")


def _queue_mapping(place: str, properties: Mapping[str, Any], left_out: LeftOut) -> EventSourceMapping:
    queue = as_text(properties["EventSourceArn"])
    is_fifo = queue.endswith(FIFO)
    size = _whole(properties.get("BatchSize", 10), f"{place}.BatchSize", 1, _MOST[is_fifo])
    window = _window(properties, place)
    if is_fifo and window:
        raise BadTemplate(
            f"{place}.MaximumBatchingWindowInSeconds: a FIFO queue has no batching window. Fix: remove the property"
        )
    if size > _WITHOUT_WINDOW and not window:
        raise BadTemplate(
            f"{place}.BatchSize: {size} needs a batching window. "
            "Fix: write MaximumBatchingWindowInSeconds: 1, or a BatchSize up to 10"
        )
    if wrong := [name for name in _OF_STREAMS if name in properties and name != "DestinationConfig"]:
        raise BadTemplate(f"{place}.{wrong[0]}: is for streams, and the source is a queue. Fix: remove the property")
    scaling = properties.get("ScalingConfig") or {}
    concurrency = scaling.get("MaximumConcurrency")
    _name_the_rest(properties, (*_SERVED, *_OF_QUEUES), place, left_out)
    return EventSourceMapping(
        place,
        queue,
        as_text(properties["FunctionName"]),
        size,
        float(window),
        None if concurrency is None else _whole(concurrency, f"{place}.ScalingConfig.MaximumConcurrency", 2, 1000),
        _reports(properties.get("FunctionResponseTypes") or [], place),
        tuple(_body_patterns(properties.get("FilterCriteria") or {}, place, left_out)),
        as_text(properties.get("Enabled", True)) == "true",
    )


def _stream_mapping(place: str, properties: Mapping[str, Any], left_out: LeftOut) -> StreamMapping:
    if wrong := [name for name in _OF_QUEUES if properties.get(name)]:
        raise BadTemplate(f"{place}.{wrong[0]}: is for queues, and the source is a stream. Fix: remove the property")
    stream = _stream(as_text(properties["EventSourceArn"]), place, left_out)
    service = stream.split(":")[2]
    start, start_time = _start(properties, service, place)
    size, lanes, retries, age, tumbling = _limits(properties, place)
    _name_the_rest(properties, (*_SERVED, *_OF_STREAMS), place, left_out)
    failures = (properties.get("DestinationConfig") or {}).get("OnFailure") or {}
    return StreamMapping(
        place,
        stream,
        as_text(properties["FunctionName"]),
        start,
        start_time,
        size,
        float(_window(properties, place)),
        lanes,
        as_text(properties.get("BisectBatchOnFunctionError", False)) == "true",
        retries,
        age,
        as_text(failures.get("Destination") or ""),
        _reports(properties.get("FunctionResponseTypes") or [], place),
        tuple(_record_patterns(service, properties.get("FilterCriteria") or {}, place, left_out)),
        tumbling,
        as_text(properties.get("Enabled", True)) == "true",
    )


def _stream(arn: str, place: str, left_out: LeftOut) -> str:
    """The ARN of a stream, also for one of its consumers."""
    service = arn.split(":")[2]
    if not _STREAM_ARNS[service].fullmatch(arn):
        raise BadTemplate(f"{place}.EventSourceArn: {arn!r} is not the ARN of a stream. Fix: {_FIXES[service]}")
    stream, _, consumer = arn.partition(_CONSUMER)
    if consumer:
        left_out.add("a consumer of a stream: records are read from the stream, and have the stream's ARN", place)
    return stream


def _limits(properties: Mapping[str, Any], place: str) -> tuple[int, ...]:
    """Batch size, lanes, retries, age and seconds of a tumbling window."""
    found = [
        _whole(properties.get(name, default), f"{place}.{name}", low, high)
        for name, (default, low, high) in _STREAM_LIMITS.items()
    ]
    age = found[3]
    if FOREVER < age < _YOUNGEST:
        raise BadTemplate(
            f"{place}.MaximumRecordAgeInSeconds: '{age}' is not -1, and not from {_YOUNGEST} to {_WEEK}. "
            "Fix: write such a whole number"
        )
    return tuple(found)


def _start(properties: Mapping[str, Any], service: str, place: str) -> tuple[StartingPosition, float]:
    found, accepted = as_text(properties.get("StartingPosition") or ""), _STARTS[service]
    start = next((one for one in accepted if one == found), None)
    if start is None:
        raise BadTemplate(f"{place}.StartingPosition: {found[:40]!r} is unknown. Fix: write {' or '.join(accepted)}")
    at = f"{place}.StartingPositionTimestamp"
    if (start == "AT_TIMESTAMP") != ("StartingPositionTimestamp" in properties):
        raise BadTemplate(f"{at}: belongs to AT_TIMESTAMP. Fix: write both, or another StartingPosition alone")
    if start != "AT_TIMESTAMP":
        return start, 0.0
    text = as_text(properties["StartingPositionTimestamp"])
    if not re.fullmatch(r"[0-9]{1,11}(\.[0-9]{1,9})?", text):
        raise BadTemplate(f"{at}: {text[:40]!r} is no time. Fix: write seconds since 1970, as in 1790000000")
    return start, float(text)


def _window(properties: Mapping[str, Any], place: str) -> int:
    name = "MaximumBatchingWindowInSeconds"
    return _whole(properties.get(name, 0), f"{place}.{name}", 0, 300)


def _name_the_rest(properties: Mapping[str, Any], served: Sequence[str], place: str, left_out: LeftOut) -> None:
    for name in sorted(set(properties) - set(served)):
        left_out.add(f"property {name} has no effect", place)


def _whole(value: object, place: str, low: int, high: int) -> int:
    text = as_text(value)
    if not re.fullmatch(r"-?[0-9]{1,6}", text) or not low <= int(text) <= high:
        raise BadTemplate(f"{place}: {text[:40]!r} is not from {low} to {high}. Fix: write such a whole number")
    return int(text)


def _reports(types: Sequence[object], place: str) -> bool:
    if unknown := [one for one in types if one != _REPORTS]:
        raise BadTemplate(f"{place}.FunctionResponseTypes: {unknown[0]!r} is unknown. Fix: write {_REPORTS}")
    return bool(types)


def _body_patterns(criteria: Mapping[str, Any], place: str, left_out: LeftOut) -> Iterator[Pattern]:
    for _, pattern in _patterns(criteria, place):
        yield _only(_BODY, pattern, "a message's body", place, left_out)


def _record_patterns(service: str, criteria: Mapping[str, Any], place: str, left_out: LeftOut) -> Iterator[Pattern]:
    for here, pattern in _patterns(criteria, place):
        if service != "kinesis":
            yield pattern
            continue
        if not isinstance(pattern.get(DATA, {}), dict):
            raise BadTemplate(
                f"{here}.{DATA}: a list, and only data that is JSON can be filtered. "
                "Fix: write an object of fields, as in {'data': {'kind': ['order']}}"
            )
        yield _only(DATA, pattern, "a record's data", place, left_out)


def _only(key: str, pattern: Pattern, what: str, place: str, left_out: LeftOut) -> Pattern:
    """The part of a pattern that AWS documents for a source."""
    for name in sorted(set(pattern) - {key}):
        left_out.add(f"a filter's {name} is not evaluated: AWS documents filters of {what} only", place)
    return {key: pattern[key]} if key in pattern else {}


def _patterns(criteria: Mapping[str, Any], place: str) -> Iterator[tuple[str, Pattern]]:
    """The patterns, each with its place in the template."""
    filters = criteria.get("Filters") or []
    if len(filters) > _MOST_PATTERNS:
        raise BadTemplate(f"{place}.FilterCriteria: {len(filters)} filters. Fix: write up to {_MOST_PATTERNS}")
    for index, one in enumerate(filters):
        here, text = f"{place}.FilterCriteria.Filters[{index}].Pattern", one["Pattern"]
        if not isinstance(text, str) or len(text) > _MOST_CHARACTERS:
            raise BadTemplate(f"{here}: not a text of up to {_MOST_CHARACTERS} characters. Fix: write JSON in a text")
        try:
            yield here, check_pattern(json.loads(text), here)
        except BadPattern as error:
            raise BadTemplate(str(error)) from error
        except ValueError as error:
            raise BadTemplate(f"{here}: not JSON ({error}). Fix: write it as in '{{\"body\": …}}'") from error
