"""EventBridge Pipes before the bridge: the bridge as the target of a pipe, or as its enrichment.

Rule: a pipe sends the records of one `[[event_source]]` as its source wrote them, and reads the bridge's answer. What
Pipes does not read is lost, and what it rewrites is no evidence.

Sources: the EventBridge user guide, "Amazon EventBridge Pipes batching and concurrency" and "Amazon EventBridge Pipes
input transformation"; the reference of AWS::Pipes::Pipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from lattice_bridge.config.options import EventSource, PipeRole
from lattice_bridge.deployment.checks.named_sources import as_source, is_source
from lattice_bridge.deployment.checks.stack import (
    NOT_KNOWN,
    PIPE,
    Bridge,
    Stack,
    TemplateFinding,
    finding,
    part_of,
    refers_to,
    warning,
)
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved

_BATCHES: Final[Mapping[str, tuple[str, int]]] = {
    "sqs": ("SqsQueueParameters", 10),
    "kinesis": ("KinesisStreamParameters", 100),
    "dynamodb": ("DynamoDBStreamParameters", 100),
}
"""Service of a source → the parameters with its batch size, and the default of that."""
_ROLES: Final[Mapping[PipeRole, tuple[str, str]]] = {
    "enrichment": ("Enrichment", "EnrichmentParameters"),
    "target": ("Target", "TargetParameters"),
}
_OWN_WORDS: Final = "The bridge trusts what the source wrote about a record, such as its sender"


def pipe_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults of pipes that invoke a bridge, and of the event sources that expect a pipe."""
    for bridge in stack.bridges:
        sent: list[tuple[str, PipeRole]] = []
        for pipe in stack.template.of_type(PIPE):
            for role, (key, parameters) in _ROLES.items():
                if refers_to(pipe.properties.get(key), bridge.function):
                    source_arn = _source_of(pipe, stack.template)
                    sent.append((source_arn, role))
                    yield from _rewritten(pipe, parameters)
                    yield from _enriches(pipe, source_arn) if role == "enrichment" else _targets(pipe)
                    yield from _configured(pipe, source_arn, role, bridge, stack)
        for source in bridge.sources if stack.compared else ():
            if source.pipe is not None and not any(is_source(source.arn, text, stack.template) for text, _ in sent):
                actual = f'bridge.toml has pipe = "{source.pipe}" for {_name(source.arn)}, and no pipe here sends it'
                expected = "No other event of this source is accepted"
                fix = f"write an AWS::Pipes::Pipe with the bridge as its {source.pipe}, or remove pipe from bridge.toml"
                yield warning(bridge.function.id, actual, expected, fix)


def _source_of(pipe: Resource, template: Template) -> str:
    """The ARN of a pipe's source; of a stream of DynamoDB, its table's."""
    return as_source(as_text(pipe.properties.get("Source", "")), template)


def _service(arn: str) -> str:
    return [*arn.split(":"), "", "", ""][2]


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]


def _rewritten(pipe: Resource, parameters: str) -> Iterator[TemplateFinding]:
    if part_of(pipe, parameters).get("InputTemplate") not in (None, ""):
        actual = f"{parameters}.InputTemplate rewrites the records before the bridge"
        yield finding(pipe.id, actual, _OWN_WORDS, "remove InputTemplate")


def _enriches(pipe: Resource, arn: str) -> Iterator[TemplateFinding]:
    """Pipes reads no partial failure of an enrichment: what is missing in its answer is dropped."""
    name, default = _BATCHES.get(_service(arn), ("", 0))
    written = as_text(part_of(pipe, "SourceParameters", name).get("BatchSize", "")) if name else "1"
    fix = f"write SourceParameters: {{{name}: {{BatchSize: 1}}}}, or make the bridge the pipe's target"
    if unresolved(written):
        yield warning(pipe.id, f"the bridge is its enrichment, and BatchSize is {written}", NOT_KNOWN, fix)
    elif written != "1":
        size = written or f"not set, which means {default}"
        actual = f"the bridge is its enrichment, and BatchSize is {size}"
        expected = "An enrichment cannot report one record of a batch: the pipe tries all again, also those that ran"
        yield finding(pipe.id, actual, expected, fix)


def _targets(pipe: Resource) -> Iterator[TemplateFinding]:
    kind = part_of(pipe, "TargetParameters", "LambdaFunctionParameters").get("InvocationType", "REQUEST_RESPONSE")
    if unresolved(kind):
        yield warning(pipe.id, f"InvocationType is {kind}", NOT_KNOWN, "write InvocationType: REQUEST_RESPONSE")
    elif kind != "REQUEST_RESPONSE":
        expected = "The pipe does not wait for the bridge's answer, so a record that the bridge reports is lost"
        yield finding(pipe.id, f"InvocationType is {kind}", expected, "write InvocationType: REQUEST_RESPONSE")
    if pipe.properties.get("Enrichment"):
        actual = "its enrichment writes the records that the bridge receives as its target"
        fix = "remove Enrichment, or let the function behind the bridge do its work"
        yield warning(pipe.id, actual, _OWN_WORDS, fix)


# ---- bridge.toml ----------------------------------------------------------------------------------------------------


def _configured(pipe: Resource, arn: str, role: PipeRole, bridge: Bridge, stack: Stack) -> Iterator[TemplateFinding]:
    """Differences between a pipe and the `[[event_source]]` of its source."""
    if unresolved(arn) and _service(arn) not in _BATCHES:
        yield warning(pipe.id, f"Source is {arn}", NOT_KNOWN, "write !GetAtt of a resource in this template, or an ARN")
    elif _service(arn) not in _BATCHES:
        fix = "send them to another function, or to a queue, a Kinesis stream or a table of the bridge first"
        expected = "The bridge takes the records of SQS, Kinesis and DynamoDB Streams only"
        yield finding(pipe.id, f"its source is {arn or 'not written'}", expected, fix)
    elif stack.compared:
        own = next((one for one in bridge.sources if is_source(one.arn, arn, stack.template)), None)
        yield from _expected(pipe, role, arn, own)


def _expected(pipe: Resource, role: PipeRole, arn: str, source: EventSource | None) -> Iterator[TemplateFinding]:
    if source is None:
        actual = f"it sends {_name(arn)} to the bridge, and bridge.toml has no [[event_source]] for it"
        expected = "The bridge refuses the records of a source that it does not have (source_not_configured)"
        fix = f'write an [[event_source]] with the ARN of its source and pipe = "{role}", or remove the pipe'
        yield finding(pipe.id, actual, expected, fix)
    elif source.pipe != role:
        has = "no pipe" if source.pipe is None else f'pipe = "{source.pipe}"'
        actual = f"the bridge is its {role}, and the [[event_source]] of {_name(source.arn)} has {has}"
        expected = "The bridge accepts the list of a pipe only if bridge.toml names it, and answers the two differently"
        yield finding(pipe.id, actual, expected, f'write pipe = "{role}" in this [[event_source]]')
