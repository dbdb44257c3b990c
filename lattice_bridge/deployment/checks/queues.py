"""The queues in front of the bridge, as a template has them: their settings, their policies, and who else reads them.

Rule: a queue that is not in the template belongs to another stack, and is not judged. `sources.judge` judges the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from lattice_bridge.deployment.checks.named_sources import QUEUE, is_source
from lattice_bridge.deployment.checks.rights import read_statements
from lattice_bridge.deployment.checks.stack import (
    NOT_KNOWN,
    PIPE,
    Stack,
    TemplateFinding,
    finding,
    items_of,
    number_of,
    refers_to,
    warning,
)
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import as_text, marker, unresolved
from lattice_bridge.deployment.iam.policy import Statement
from lattice_bridge.deployment.sources.facts import DEFAULT_RETENTION, DEFAULT_VISIBILITY, Queue, Redrive
from lattice_bridge.deployment.sources.queues import kind_fault

KEY: Final = "AWS::KMS::Key"
_POLICIES: Final = ("AWS::SQS::QueuePolicy", "AWS::SQS::QueueInlinePolicy")


def kind_findings(template: Template) -> Iterator[TemplateFinding]:
    """Queues whose name and `FifoQueue` do not agree."""
    for queue in template.of_type(QUEUE):
        name, given = queue.properties.get("QueueName"), queue.properties.get("FifoQueue", False)
        if name is None or unresolved(name) or unresolved(given):
            continue
        fault = kind_fault(queue.id, as_text(name), is_fifo=as_text(given).lower() == "true")
        if fault is not None:
            yield finding(fault.label, fault.actual, fault.expected, fault.fix)


def rivals_of(arn: str, stack: Stack) -> Iterator[str]:
    """The mappings and pipes that send messages of a queue to another function than a bridge."""
    template, bridges = stack.template, [one.function for one in stack.bridges]

    def is_other(text: object) -> bool:
        """Whether a text certainly names no bridge."""
        is_named = any(refers_to(text, one) for one in bridges) or stack.may_be_bridge(text) is not None
        return not unresolved(text) and not is_named

    for mapping in template.of_type("AWS::Lambda::EventSourceMapping"):
        source = as_text(mapping.properties.get("EventSourceArn", ""))
        if is_source(arn, source, template) and is_other(mapping.properties.get("FunctionName")):
            yield mapping.id
    for pipe in template.of_type(PIPE):
        source = as_text(pipe.properties.get("Source", ""))
        if is_source(arn, source, template) and all(is_other(pipe.properties.get(one)) for one in _PIPE_ENDS):
            yield pipe.id


_PIPE_ENDS: Final = ("Enrichment", "Target")


# ---- facts ----------------------------------------------------------------------------------------------------------


def queue_fact(resource: Resource, template: Template) -> Queue:
    written = resource.properties.get("RedrivePolicy")
    redrive = redrive_of(written)
    return Queue(
        resource.id,
        resource.arn,
        number_of(resource, "VisibilityTimeout", DEFAULT_VISIBILITY),
        number_of(resource, "MessageRetentionPeriod", DEFAULT_RETENTION),
        redrive,
        key_of(resource.properties.get("KmsMasterKeyId"), template),
        tuple(_queue_policy(resource, template)),
        is_redrive_known=redrive is not None or not written,
    )


def redrive_of(written: object) -> Redrive | None:
    """A redrive policy, which is a map or JSON text; None if there is none, or if it is not known."""
    found: Any = written
    if isinstance(found, str):
        with suppress(ValueError, RecursionError):
            found = json.loads(found)
    if not isinstance(found, dict) or not found:
        return None
    target, receives = found.get("deadLetterTargetArn"), as_text(found.get("maxReceiveCount", ""))
    return Redrive(None if target is None else as_text(target), int(receives) if receives.isdecimal() else None)


def key_of(written: object, template: Template) -> str | None:
    """The ARN of a source's own key, as a property names it. An alias may lead to any key, so it is not known."""
    written = as_text(written or "")
    for key in template.of_type(KEY):
        if written in (key.ref, key.arn) and written:
            return key.arn
    return written if ":key/" in written else None


def _queue_policy(queue: Resource, template: Template) -> Iterator[Statement]:
    for policy in template.of_type(*_POLICIES):
        if any(_is_url_of(text, queue, template) for text in _queues_of(policy)):
            yield from read_statements(policy.properties.get("PolicyDocument"))[0]


def unread_policies(queue: Resource, template: Template) -> Iterator[TemplateFinding]:
    """The policies, and the parts of them, by which others may send to a queue and that were not read."""
    for policy in template.of_type(*_POLICIES):
        named = {text: _is_url_of(text, queue, template) for text in _queues_of(policy)}
        for text in (text for text, is_named in named.items() if is_named is None):
            yield warning(policy.id, f"its queue is {text}", NOT_KNOWN, f"write !Ref {queue.id} if it is this queue")
        if any(named.values()):
            for part in read_statements(policy.properties.get("PolicyDocument"))[1]:
                yield part.finding(policy.id)


def _queues_of(policy: Resource) -> list[str]:
    """The URLs of the queues that have a policy."""
    return [as_text(one) for key in ("Queues", "Queue") for one in items_of(policy.properties.get(key))]


def _is_url_of(text: str, queue: Resource, template: Template) -> bool | None:
    """Whether a text is the URL of a queue, of which the account may be written out; None if that is not known."""
    if any(text in _urls_of(one) for one in template.of_type(QUEUE)):
        return text in _urls_of(queue)
    return None if unresolved(text) else text.rpartition("/")[2] == queue.arn.rpartition(":")[2]


def _urls_of(queue: Resource) -> tuple[str, ...]:
    """`!Ref` and `!GetAtt` of a queue, which both give its URL."""
    return queue.ref, marker(f"{queue.id}.QueueUrl")
