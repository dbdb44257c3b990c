"""The Kinesis streams and the tables in front of the bridge, as a template has them.

Rule: a stream that is not in the template belongs to another stack, and is not judged. `sources.judge` judges the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.deployment.checks.named_sources import STREAM, TABLES, as_arn
from lattice_bridge.deployment.checks.queues import key_of
from lattice_bridge.deployment.checks.rights import UncheckedPart, read_statements
from lattice_bridge.deployment.checks.stack import NOT_KNOWN, TemplateFinding, part_of, warning, whole_number_of
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved
from lattice_bridge.deployment.iam.policy import Statement
from lattice_bridge.deployment.sources.facts import DEFAULT_RECORD, Stream
from lattice_bridge.deployment.sources.streams import BOTH_IMAGES

_POLICY: Final = "AWS::Kinesis::ResourcePolicy"


def stream_fact(resource: Resource, template: Template) -> Stream:
    """A Kinesis stream or a table of the template."""
    policy = tuple(one for statements, _ in _policies(resource, template) for one in statements)
    if resource.type not in TABLES:
        encryption = resource.properties.get("StreamEncryption")
        key = key_of(encryption.get("KeyId"), template) if isinstance(encryption, dict) else None
        largest = whole_number_of(resource, "MaxRecordSizeInKiB", DEFAULT_RECORD)
        return Stream(resource.id, resource.arn, resource.arn, key=key, policy=policy, largest=largest)
    has_stream = bool(resource.properties.get("StreamSpecification"))
    view = _view(resource)
    records = f"{resource.arn}/stream/any" if has_stream else None
    return Stream(resource.id, resource.arn, records, None if unresolved(view) else view, policy=policy)


def _view(table: Resource) -> str:
    written = table.properties.get("StreamSpecification")
    if isinstance(written, str):
        return written
    return as_text(part_of(table, "StreamSpecification").get("StreamViewType", ""))


def unknown_findings(resource: Resource, source: EventSource) -> Iterator[TemplateFinding]:
    """A warning for each part of a stream or a table that was not judged."""
    view = _view(resource) if resource.type in TABLES else ""
    if unresolved(view) and source.claim is not None and source.claim.kind == "image":
        yield warning(resource.id, f"StreamViewType is {view}", NOT_KNOWN, f"write StreamViewType: {BOTH_IMAGES}")


def unread_policies(resource: Resource, template: Template) -> Iterator[TemplateFinding]:
    """The parts of policies by which others may write to a stream or a table, and that were not read."""
    for _, parts in _policies(resource, template):
        for part in parts:
            yield part.finding(resource.id)


def _policies(resource: Resource, template: Template) -> Iterator[tuple[list[Statement], list[UncheckedPart]]]:
    if resource.type in TABLES:
        written = resource.properties.get("ResourcePolicy")
        yield read_statements(written.get("PolicyDocument") if isinstance(written, dict) else written)
    elif resource.type == STREAM:
        for policy in template.of_type(_POLICY):
            if as_arn(as_text(policy.properties.get("ResourceArn", "")), template) == resource.arn:
                yield read_statements(policy.properties.get("ResourcePolicy"))
