"""The queues, streams, tables and buses of a template that bridge.toml names.

Rule: bridge.toml has ARNs, and a template has markers and placeholders in place of some of their parts. Whether the two
may be the same is decided here alone. A source that is not in the template belongs to another stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.deployment.checks.stack import Stack, TemplateFinding, finding, may_be, without_placeholder
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import MARKER, as_text, marker
from lattice_bridge.deployment.sources.facts import name_of_source, noun_of, source_of
from lattice_bridge.events.record import BUS, service_of

QUEUE: Final = "AWS::SQS::Queue"
STREAM: Final = "AWS::Kinesis::Stream"
TABLES: Final = ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")
EVENT_BUS: Final = "AWS::Events::EventBus"
_TYPES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "sqs": ("QueueName", (QUEUE,)),
    "kinesis": ("Name", (STREAM,)),
    "dynamodb": ("TableName", TABLES),
    BUS: ("Name", (EVENT_BUS,)),
}
"""The service in a source's ARN → the property with its name, and its types."""


def is_source(arn: str, text: str, template: Template) -> bool:
    """Whether a text in the template may be the ARN of the event source that bridge.toml names.

    A table's stream counts as the table, and a consumer of a stream as the stream.
    """
    own, text = resource_of(arn, template), as_source(text, template)
    return text == own.arn if own is not None and _is_here(text, template) else may_be_arn(text, arn, template)


def as_source(text: str, template: Template) -> str:
    """The ARN of a queue, stream or table in place of that of a table's stream, or of a stream's consumer."""
    return source_of(as_arn(text, template))


def as_arn(text: str, template: Template) -> str:
    """A text with an ARN in place of what the template has for a table's stream, and for a stream's consumer."""
    for table in template.of_type(*TABLES):
        text = text.replace(marker(f"{table.id}.StreamArn"), f"{table.arn}/stream/any")
    for consumer in template.of_type("AWS::Kinesis::StreamConsumer"):
        if text in (consumer.ref, marker(f"{consumer.id}.ConsumerARN")):
            return f"{as_text(consumer.properties.get('StreamARN', ''))}/consumer/any"
    return text


def _is_here(text: str, template: Template) -> bool:
    return any(one.arn == text for _, types in _TYPES.values() for one in template.of_type(*types))


def may_be_arn(text: str, arn: str, template: Template) -> bool:
    """Whether a text with markers and placeholders, or with wildcards, may be an ARN."""
    found, wanted = text.split(":", 5), arn.split(":", 5)
    if len(found) < 6:
        return may_be(text, arn)
    given = template.given
    region = None if found[3] == template.region and "AWS::Region" not in given else found[3]
    account = without_placeholder(found[4], template)
    both = zip((found[2], region, account, found[5]), (wanted[2], wanted[3], wanted[4], wanted[5]), strict=True)
    return all(one is None or may_be(one, other) for one, other in both)


def resource_of(arn: str, template: Template) -> Resource | None:
    """The source of the template that bridge.toml names. CloudFormation chooses a name if the template has none: then
    bridge.toml has the logical id, or the name that was chosen."""
    key, types = _TYPES.get(service_of(arn), ("", ()))
    name = name_of_source(arn)
    for one in template.of_type(*types):
        if key in one.properties:
            if not _is_unnamed(one, key) and may_be_arn(one.arn, arn, template):
                return one
        elif name.removesuffix(".fifo") == one.id or f"-{one.id}-" in name:
            return one
    return None


def _is_unnamed(resource: Resource, key: str) -> bool:
    """Whether nothing of a source's name is known."""
    return MARKER.sub("", as_text(resource.properties[key])) == ""


def name_findings(source: EventSource, stack: Stack) -> Iterator[TemplateFinding]:
    """A fault if bridge.toml has a name that no deployment gives to the source."""
    found, name = resource_of(source.arn, stack.template), name_of_source(source.arn)
    key, _ = _TYPES.get(service_of(source.arn), ("", ()))
    if found is not None and key not in found.properties and f"-{found.id}-" not in name:
        actual = f'bridge.toml has "{name}", which is the logical id of a {noun_of(source.arn)} without {key}'
        expected = "CloudFormation chooses another name, so every record is reported as failed (source_not_configured)"
        yield finding(found.id, actual, expected, f"write {key}: {name}")
