"""Reads the event source mappings of a resolved template: those whose source is a queue.

Rule: properties have the limits of Lambda's CreateEventSourceMapping. A value that AWS refuses is an error here, and a
mapping of a stream or another source is named.
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

TYPE: Final = "AWS::Lambda::EventSourceMapping"

_SERVED: Final = (
    *("BatchSize", "Enabled", "EventSourceArn", "FilterCriteria", "FunctionName", "FunctionResponseTypes"),
    *("MaximumBatchingWindowInSeconds", "ScalingConfig", "Tags"),
)
_SOURCES: Final[Mapping[str, str]] = {
    "AmazonManagedKafkaEventSourceConfig": "a Kafka cluster",
    "DocumentDBEventSourceConfig": "a DocumentDB cluster",
    "SelfManagedEventSource": "a Kafka cluster",
}
"""Property → the source that a mapping without an ARN of a queue has."""
_SERVICES: Final[Mapping[str, str]] = {
    "dynamodb": "a DynamoDB stream",
    "kafka": "a Kafka cluster",
    "kinesis": "a Kinesis stream",
    "mq": "an Amazon MQ broker",
    "rds": "a DocumentDB cluster",
}
"""Service in the ARN of a source → what the source is."""
_MOST: Final = {True: 10, False: 10_000}
"""Messages of a batch, by whether the queue is FIFO."""
_WITHOUT_WINDOW: Final = 10
_MOST_PATTERNS: Final = 10
_MOST_CHARACTERS: Final = 4096
"""Of a pattern."""
_BODY: Final = "body"
_REPORTS: Final = "ReportBatchItemFailures"


def read_mappings(template: Template, left_out: LeftOut) -> Iterator[EventSourceMapping]:
    """Reads the mappings of queues, in the order of the template.

    Args:
        template: resolved; SAM's events of the type SQS are translated.
        left_out: gets the parts that are not served.

    Raises:
        BadTemplate: AWS would refuse one.
    """
    seen: dict[tuple[str, str], str] = {}
    for resource in template.of_type(TYPE):
        with malformed(f"event source mapping {resource.id}"):
            if (source := _other_source(resource)) is not None:
                left_out.add(f"{TYPE} of {source}: no record of it invokes the function", resource.id)
                continue
            mapping = _mapping(resource, left_out)
        pair = (mapping.queue, mapping.function)
        if pair in seen:
            raise BadTemplate(f"{resource.id}: {seen[pair]} already maps this queue to this function. Fix: remove one")
        seen[pair] = resource.id
        yield mapping


def _other_source(resource: Resource) -> str | None:
    """What the source is, if it is not a queue."""
    arn = as_text(resource.properties.get("EventSourceArn") or "")
    if not arn:
        return next((what for name, what in _SOURCES.items() if name in resource.properties), "an unknown source")
    service = arn.split(":")[2] if arn.count(":") > 1 else ""
    if service == "sqs":
        return None
    return _SERVICES.get(service, f"{service} ({arn})" if service else "an unknown source")


def _mapping(resource: Resource, left_out: LeftOut) -> EventSourceMapping:
    place, properties = resource.id, known_properties(resource, ("EventSourceArn", "FunctionName"), left_out)
    queue = as_text(properties["EventSourceArn"])
    is_fifo = queue.endswith(FIFO)
    size = _whole(properties.get("BatchSize", 10), f"{place}.BatchSize", 1, _MOST[is_fifo])
    window = _whole(
        properties.get("MaximumBatchingWindowInSeconds", 0), f"{place}.MaximumBatchingWindowInSeconds", 0, 300
    )
    if is_fifo and window:
        raise BadTemplate(
            f"{place}.MaximumBatchingWindowInSeconds: a FIFO queue has no batching window. Fix: remove the property"
        )
    if size > _WITHOUT_WINDOW and not window:
        raise BadTemplate(
            f"{place}.BatchSize: {size} needs a batching window. "
            "Fix: write MaximumBatchingWindowInSeconds: 1, or a BatchSize up to 10"
        )
    scaling = properties.get("ScalingConfig") or {}
    concurrency = scaling.get("MaximumConcurrency")
    for name in sorted(set(properties) - set(_SERVED)):
        left_out.add(f"property {name} has no effect", place)
    return EventSourceMapping(
        place,
        queue,
        as_text(properties["FunctionName"]),
        size,
        float(window),
        None if concurrency is None else _whole(concurrency, f"{place}.ScalingConfig.MaximumConcurrency", 2, 1000),
        _reports(properties.get("FunctionResponseTypes") or [], place),
        tuple(_patterns(properties.get("FilterCriteria") or {}, place, left_out)),
        as_text(properties.get("Enabled", True)) == "true",
    )


def _whole(value: object, place: str, low: int, high: int) -> int:
    text = as_text(value)
    if not re.fullmatch(r"[0-9]{1,6}", text) or not low <= int(text) <= high:
        raise BadTemplate(f"{place}: {text[:40]!r} is not from {low} to {high}. Fix: write such a whole number")
    return int(text)


def _reports(types: Sequence[object], place: str) -> bool:
    if unknown := [one for one in types if one != _REPORTS]:
        raise BadTemplate(f"{place}.FunctionResponseTypes: {unknown[0]!r} is unknown. Fix: write {_REPORTS}")
    return bool(types)


def _patterns(criteria: Mapping[str, Any], place: str, left_out: LeftOut) -> Iterator[Pattern]:
    filters = criteria.get("Filters") or []
    if len(filters) > _MOST_PATTERNS:
        raise BadTemplate(f"{place}.FilterCriteria: {len(filters)} filters. Fix: write up to {_MOST_PATTERNS}")
    for index, one in enumerate(filters):
        here, text = f"{place}.FilterCriteria.Filters[{index}].Pattern", one["Pattern"]
        if not isinstance(text, str) or len(text) > _MOST_CHARACTERS:
            raise BadTemplate(f"{here}: not a text of up to {_MOST_CHARACTERS} characters. Fix: write JSON in a text")
        try:
            pattern = check_pattern(json.loads(text), here)
        except BadPattern as error:
            raise BadTemplate(str(error)) from error
        except ValueError as error:
            raise BadTemplate(f"{here}: not JSON ({error}). Fix: write it as in '{{\"body\": …}}'") from error
        for name in sorted(set(pattern) - {_BODY}):
            left_out.add(f"a filter's {name} is not evaluated: AWS documents filters of a message's body only", place)
        yield {_BODY: pattern[_BODY]} if _BODY in pattern else {}
