"""Reads the Kinesis streams of a resolved template.

Rule: properties mean what the CloudFormation reference of AWS::Kinesis::Stream says, and have the limits of Kinesis. A
value that AWS refuses is an error here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved
from lattice_bridge.local.plan.model import LeftOut
from lattice_bridge.local.plan.readers.queues import known_properties
from lattice_bridge.local.plan.streams import Stream

TYPE: Final = "AWS::Kinesis::Stream"

_LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "MaxRecordSizeInKiB": (1024, 10_240),
    "RetentionPeriodHours": (24, 8760),
    "ShardCount": (1, 1000),
}
"""Property → its lowest and highest value, as in the API reference; of shards, what the local Kinesis has."""
_MODES: Final = ("ON_DEMAND", "PROVISIONED")
_NAME: Final = re.compile("[a-zA-Z0-9_.-]{1,128}")
_OTHER: Final = ("DesiredShardLevelMetrics", "Name", "StreamEncryption", "StreamModeDetails", "Tags")


def read_streams(template: Template, left_out: LeftOut) -> Iterator[Stream]:
    """Reads the streams, in the order of the template.

    Args:
        template: resolved.
        left_out: gets the parts that are not served.

    Raises:
        BadTemplate: AWS would refuse one.
    """
    seen: dict[str, str] = {}
    for resource in template.of_type(TYPE):
        if unresolved(resource.arn):
            left_out.add(f"{TYPE}: its name is not known here, so it is not served", resource.id)
            continue
        with malformed(f"stream {resource.id}"):
            stream = _stream(resource, left_out)
        if stream.name in seen:
            what = f"the stream {seen[stream.name]} has the name {stream.name} too"
            raise BadTemplate(f"stream {resource.id}: {what}. Fix: rename one")
        seen[stream.name] = resource.id
        yield stream


def _stream(resource: Resource, left_out: LeftOut) -> Stream:
    properties = known_properties(resource, ("Name",), left_out)
    numbers = {name: _number(resource.id, name, properties[name]) for name in _LIMITS if name in properties}
    name = resource.arn.rpartition("/")[2]
    if not _NAME.fullmatch(name):
        raise BadTemplate(
            f"{resource.id}.Name: {name[:140]!r} is not a stream's name. "
            "Fix: write up to 128 letters, digits, _, . and -"
        )
    shard_count = numbers.get("ShardCount")
    if _mode(resource.id, properties.get("StreamModeDetails")) == "ON_DEMAND":
        if shard_count is not None:
            raise BadTemplate(
                f"{resource.id}.ShardCount: a stream with StreamMode: ON_DEMAND has none. "
                "Fix: remove it, or write StreamMode: PROVISIONED"
            )
    elif shard_count is None:
        left_out.add("ShardCount is missing, so it has one shard", resource.id)
        shard_count = 1
    _name_the_rest(resource, left_out)
    return Stream(
        resource.id,
        name,
        resource.arn,
        shard_count,
        numbers.get("RetentionPeriodHours", 24),
        numbers.get("MaxRecordSizeInKiB", 1024),
    )


def _mode(place: str, details: Any) -> str:
    mode = as_text(dict(details or {}).get("StreamMode", "PROVISIONED"))
    if mode not in _MODES:
        raise BadTemplate(
            f"{place}.StreamModeDetails.StreamMode: {mode[:40]!r} is unknown. Fix: write {' or '.join(_MODES)}"
        )
    return mode


def _number(place: str, name: str, value: object) -> int:
    low, high = _LIMITS[name]
    text = as_text(value)
    if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
        raise BadTemplate(f"{place}.{name}: {text[:40]!r} is not from {low} to {high}. Fix: write such a whole number")
    return int(text)


def _name_the_rest(resource: Resource, left_out: LeftOut) -> None:
    if resource.properties.get("StreamEncryption"):
        left_out.add("records are not encrypted", resource.id)
    for name in sorted(set(resource.properties) - {*_LIMITS, *_OTHER}):
        left_out.add(f"property {name} has no effect", resource.id)
