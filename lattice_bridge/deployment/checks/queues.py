"""The queues in front of the bridge: event source mappings, queues, their policies, and the rights on them.

Rule: each queue that the template sends to the bridge has its `[[event_source]]`, and the other way round. A queue that
is not in the template belongs to another stack, and only its mapping is checked. `queues.judge` judges the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from lattice_bridge.config.options import EventSource
from lattice_bridge.deployment.checks.rights import policies_of, read_statements, role_name
from lattice_bridge.deployment.checks.stack import (
    NOT_KNOWN,
    ONLY_LATTICE,
    Bridge,
    Stack,
    TemplateFinding,
    finding,
    items_of,
    may_be,
    name_of,
    resources_of,
    seconds_of,
    warning,
    without_placeholder,
)
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.deployment.cloudformation.values import MARKER, as_text, marker, unresolved
from lattice_bridge.deployment.iam.access import Grant, grant_of
from lattice_bridge.deployment.iam.policy import Statement
from lattice_bridge.deployment.queues.facts import (
    DEFAULT_BATCH,
    DEFAULT_RETENTION,
    DEFAULT_VISIBILITY,
    Line,
    Queue,
    Redrive,
    SourceMapping,
)
from lattice_bridge.deployment.queues.judge import (
    POLL,
    REPORT,
    SEND,
    Fault,
    is_queue,
    kind_fault,
    line_faults,
    rights_of,
    sender_faults,
    unconfigured_fault,
    unmapped_fault,
)

_MAPPING: Final = "AWS::Lambda::EventSourceMapping"
_QUEUE: Final = "AWS::SQS::Queue"
_POLICIES: Final = ("AWS::SQS::QueuePolicy", "AWS::SQS::QueueInlinePolicy")
_KEY: Final = "AWS::KMS::Key"
_MANAGED: Final = {"AWSLambdaSQSQueueExecutionRole": POLL, "AmazonSQSFullAccess": (*POLL, SEND)}
"""Managed policy of AWS → the actions that it allows on every queue."""


def queue_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults of event source mappings of the bridges, and of the queues of `[[event_source]]`."""
    if stack.bridges:
        yield from _kind_findings(stack.template)
    for bridge in stack.bridges:
        mappings = resources_of(bridge.function, stack.template, _MAPPING)
        yield from _other_sources(bridge, mappings)
        if stack.compared:
            yield from _of_bridge(bridge, mappings, stack)


def _other_sources(bridge: Bridge, mappings: list[Resource]) -> Iterator[TemplateFinding]:
    """Mappings whose source is no queue, or is not known."""
    for one in mappings:
        source = _source_of(one)
        if unresolved(source) and not is_queue(source):
            fix = "write !GetAtt of a queue in this template, or its ARN"
            yield warning(one.id, f"EventSourceArn is {source}", NOT_KNOWN, fix)
        elif not is_queue(source):
            actual = f"it sends other events to the bridge, {name_of(bridge.function)}"
            fix = "map the source to another function: the bridge takes the records of queues only"
            yield finding(one.id, actual, ONLY_LATTICE, fix)


def _of_bridge(bridge: Bridge, mappings: list[Resource], stack: Stack) -> Iterator[TemplateFinding]:
    configured: set[str] = set()
    unknown = any(unresolved(_source_of(one)) and not is_queue(_source_of(one)) for one in mappings)
    queued = [one for one in mappings if is_queue(_source_of(one))]
    for source in bridge.sources:
        own = [one for one in queued if is_source(source.arn, _source_of(one), stack.template)]
        configured |= {one.id for one in own}
        if not own and _is_of_another(source, bridge, stack):
            continue
        if source.pipe is not None:
            yield from (_twice(one, source) for one in own)
            own = []
        line = _line(source, bridge, own, queued, stack)
        yield from _name_findings(source, stack)
        if not own and not unknown and source.pipe is None:
            label = bridge.function.id if line.queue is None else line.queue.label
            yield _finding(unmapped_fault(source, label))
        yield from _unknown_findings(own, line, stack.template)
        yield from _judged(line, stack)
        yield from _right_findings(bridge, line, stack.template)
    quarantines = [one.quarantine for one in bridge.sources if one.quarantine is not None]
    for one in queued:
        is_quarantine = any(is_source(arn, _source_of(one), stack.template) for arn in quarantines)
        if one.id not in configured and not is_quarantine:
            yield _finding(unconfigured_fault(_mapping(one), bridge.sources))


def _twice(mapping: Resource, source: EventSource) -> TemplateFinding:
    """The fault of a mapping beside a pipe: each record would go to one of the two."""
    name = source.arn.rpartition(":")[2]
    actual = f'it sends {name} to the bridge, and bridge.toml has pipe = "{source.pipe}" for it'
    expected = "The bridge refuses records of a mapping where it expects a pipe"
    return finding(mapping.id, actual, expected, "remove the mapping, or pipe from bridge.toml")


def _is_of_another(source: EventSource, bridge: Bridge, stack: Stack) -> bool:
    """Whether another bridge of the template, or an earlier one if none has a mapping, is for an event source."""
    mapped = [
        one
        for one in stack.bridges
        for mapping in resources_of(one.function, stack.template, _MAPPING)
        if is_source(source.arn, _source_of(mapping), stack.template)
    ]
    return bridge is not (mapped or stack.bridges)[0]


_DECISIVE: Final = {
    _MAPPING: ("BatchSize", "Enabled", "FunctionResponseTypes", "MaximumBatchingWindowInSeconds"),
    _QUEUE: ("RedrivePolicy", "VisibilityTimeout"),
}
"""Type → the properties that are judged."""


def _unknown_findings(mappings: list[Resource], line: Line, template: Template) -> Iterator[TemplateFinding]:
    """A warning for each value that was not judged."""
    queues = [] if line.queue is None else [template.resources[line.queue.label]]
    for one in (*mappings, *queues):
        for key in _DECISIVE[one.type]:
            value = one.properties.get(key)
            is_read = isinstance(value, dict) or _redrive(value) is not None or REPORT in items_of(value)
            if unresolved(value) and not is_read:
                shown = ", ".join(map(as_text, items_of(value)))
                yield warning(one.id, f"{key} is {shown}", NOT_KNOWN, "write the value, or use a parameter")


def _judged(line: Line, stack: Stack) -> Iterator[TemplateFinding]:
    for fault in line_faults(line):
        yield _finding(fault)
    quarantine = line.source.quarantine
    if quarantine is not None and line.quarantine is None:
        actual = f"the quarantine {quarantine.rpartition(':')[2]} of {line.name} is not in this template"
        expected = "If no other stack has it either, the bridge reports each record with a permanent fault as failed"
        yield warning(line.bridge, actual, expected, "write the queue into this template, or check that it exists")
    rules = [rule for arn, rule in stack.needs.trusted_queues if arn == line.source.arn]
    if line.queue is not None and rules:
        accounts = {stack.template.account, line.source.arn.split(":")[4]}
        yield from map(_finding, sender_faults(line.queue, accounts, rules))
        yield from _unread_policies(stack.template.resources[line.queue.label], stack.template)


def _finding(fault: Fault) -> TemplateFinding:
    return finding(fault.label, fault.actual, fault.expected, fault.fix, fault.level)


def _kind_findings(template: Template) -> Iterator[TemplateFinding]:
    """Queues whose name and `FifoQueue` do not agree."""
    for queue in template.of_type(_QUEUE):
        name, given = queue.properties.get("QueueName"), queue.properties.get("FifoQueue", False)
        if name is None or unresolved(name) or unresolved(given):
            continue
        fault = kind_fault(queue.id, as_text(name), is_fifo=as_text(given).lower() == "true")
        if fault is not None:
            yield _finding(fault)


# ---- names of queues ------------------------------------------------------------------------------------------------


def is_source(arn: str, text: str, template: Template) -> bool:
    """Whether a text in the template may be the ARN of the event source that bridge.toml names."""
    own = _queue_of(arn, template)
    return text == own.arn if own is not None and _is_here(text, template) else _may_be_arn(text, arn, template)


def _is_here(text: str, template: Template) -> bool:
    return any(one.arn == text for one in template.of_type(_QUEUE))


def _may_be_arn(text: str, arn: str, template: Template) -> bool:
    """Whether a text with markers and placeholders, or with wildcards, may be an ARN."""
    found, wanted = text.split(":", 5), arn.split(":", 5)
    if len(found) < 6:
        return may_be(text, arn)
    given = template.given
    region = None if found[3] == template.region and "AWS::Region" not in given else found[3]
    account = without_placeholder(found[4], template)
    both = zip((found[2], region, account, found[5]), (wanted[2], wanted[3], wanted[4], wanted[5]), strict=True)
    return all(one is None or may_be(one, other) for one, other in both)


def _queue_of(arn: str, template: Template) -> Resource | None:
    """The queue of the template that bridge.toml names. CloudFormation chooses a name if the template has none: then
    bridge.toml has the logical id, or the name that was chosen."""
    name = arn.rpartition(":")[2]
    for one in template.of_type(_QUEUE):
        if "QueueName" in one.properties:
            if not _is_unnamed(one) and _may_be_arn(one.arn, arn, template):
                return one
        elif name.removesuffix(".fifo") == one.id or f"-{one.id}-" in name:
            return one
    return None


def _is_unnamed(queue: Resource) -> bool:
    """Whether nothing of a queue's name is known."""
    return MARKER.sub("", as_text(queue.properties["QueueName"])) == ""


def _name_findings(source: EventSource, stack: Stack) -> Iterator[TemplateFinding]:
    """A fault if bridge.toml has a name that no deployment gives to the queue."""
    queue, name = _queue_of(source.arn, stack.template), source.arn.rpartition(":")[2]
    if queue is not None and "QueueName" not in queue.properties and f"-{queue.id}-" not in name:
        actual = f'bridge.toml has "{name}", which is the logical id of a queue without QueueName'
        expected = "CloudFormation chooses another name, so every record is reported as failed (source_not_configured)"
        yield finding(queue.id, actual, expected, f"write QueueName: {name}")


# ---- facts ----------------------------------------------------------------------------------------------------------


def _line(source: EventSource, bridge: Bridge, own: list[Resource], queued: list[Resource], stack: Stack) -> Line:
    template = stack.template
    queue, quarantine = _queue_of(source.arn, template), None
    if source.quarantine is not None:
        quarantine = _queue_of(source.quarantine, template)
    loops = [
        one.id
        for one in queued
        if source.quarantine is not None and is_source(source.quarantine, _source_of(one), template)
    ]
    read = None if queue is None else _queue(queue, template)
    target = read.redrive.target if read is not None and read.redrive is not None else None
    dead_letters = next((one for one in template.of_type(_QUEUE) if one.arn == target), None)
    return Line(
        source,
        tuple(map(_mapping, own)),
        bridge.function.id,
        seconds_of(bridge.function, "Timeout", 3.0),
        read,
        None if dead_letters is None else _queue(dead_letters, template),
        None if quarantine is None else _queue(quarantine, template),
        next(iter(loops), None),
    )


def _source_of(mapping: Resource) -> str:
    """The ARN of a mapping's source; empty if it has none."""
    return as_text(mapping.properties.get("EventSourceArn", ""))


def _mapping(resource: Resource) -> SourceMapping:
    properties = resource.properties
    types = list(map(as_text, items_of(properties.get("FunctionResponseTypes"))))
    reports = None if any(map(unresolved, types)) else False
    size = _number(resource, "BatchSize", DEFAULT_BATCH)
    return SourceMapping(
        resource.id,
        _source_of(resource),
        None if size is None else int(size),
        _number(resource, "MaximumBatchingWindowInSeconds", 0.0),
        True if REPORT in types else reports,
        bool(properties.get("FilterCriteria")),
        _enabled(properties.get("Enabled", True)),
    )


def _enabled(value: object) -> bool | None:
    return None if unresolved(value) else as_text(value).lower() != "false"


def _number(resource: Resource, key: str, default: float) -> float | None:
    """A number that is not negative; None if it is unresolved.

    Raises:
        BadTemplate: it is no such number.
    """
    value = resource.properties.get(key, default)
    if unresolved(value):
        return None
    with suppress(ValueError):
        if 0 <= (found := float(as_text(value))) < float("inf"):
            return found
    raise BadTemplate(f"{resource.id}.{key}: {value!r} is not a number of 0 or more")


def _queue(resource: Resource, template: Template) -> Queue:
    written = resource.properties.get("RedrivePolicy")
    redrive = _redrive(written)
    return Queue(
        resource.id,
        resource.arn,
        _number(resource, "VisibilityTimeout", DEFAULT_VISIBILITY),
        _number(resource, "MessageRetentionPeriod", DEFAULT_RETENTION),
        redrive,
        _key(resource, template),
        tuple(_queue_policy(resource, template)),
        is_redrive_known=redrive is not None or not written,
    )


def _redrive(written: object) -> Redrive | None:
    """A redrive policy, which is a map or JSON text; None if there is none, or if it is not known."""
    found: Any = written
    if isinstance(found, str):
        with suppress(ValueError, RecursionError):
            found = json.loads(found)
    if not isinstance(found, dict) or not found:
        return None
    target, receives = found.get("deadLetterTargetArn"), as_text(found.get("maxReceiveCount", ""))
    return Redrive(None if target is None else as_text(target), int(receives) if receives.isdecimal() else None)


def _key(queue: Resource, template: Template) -> str | None:
    """The ARN of the queue's own key. An alias may lead to any key, so it is not known."""
    written = as_text(queue.properties.get("KmsMasterKeyId", ""))
    for key in template.of_type(_KEY):
        if written in (key.ref, key.arn) and written:
            return key.arn
    return written if ":key/" in written else None


def _queue_policy(queue: Resource, template: Template) -> Iterator[Statement]:
    for policy in template.of_type(*_POLICIES):
        if any(_is_url_of(text, queue, template) for text in _queues_of(policy)):
            yield from read_statements(policy.properties.get("PolicyDocument"))[0]


def _unread_policies(queue: Resource, template: Template) -> Iterator[TemplateFinding]:
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
    if any(text in _urls_of(one) for one in template.of_type(_QUEUE)):
        return text in _urls_of(queue)
    return None if unresolved(text) else text.rpartition("/")[2] == queue.arn.rpartition(":")[2]


def _urls_of(queue: Resource) -> tuple[str, ...]:
    """`!Ref` and `!GetAtt` of a queue, which both give its URL."""
    return queue.ref, marker(f"{queue.id}.QueueUrl")


# ---- rights ---------------------------------------------------------------------------------------------------------


def _right_findings(bridge: Bridge, line: Line, template: Template) -> Iterator[TemplateFinding]:
    """Faults in the rights of the bridge's role on the queues. A role outside of the template is another finding."""
    name = role_name(bridge.function.properties.get("Role"))
    role = next((one for one in template.of_type("AWS::IAM::Role") if role_name(one.arn) == name), None)
    if role is None:
        return
    managed = {
        action
        for arn in items_of(role.properties.get("ManagedPolicyArns"))
        for action in _MANAGED.get(role_name(arn), ())
    }
    policies = [one for one in policies_of(template) if name in one.roles]
    is_unsure = any(not part.is_malformed for one in policies for part in one.unread)
    statements = [each for one in policies for each in one.statements]
    missing: dict[tuple[str, bool], list[str]] = {}
    for action, arn in rights_of(line):
        grant, is_certain = _grant(statements, action, arn, template)
        if grant != "denied" and (action in managed or (is_certain and grant != "absent")):
            continue  # a condition is not evaluated
        missing.setdefault((arn, grant != "denied" and (is_unsure or not is_certain)), []).append(action)
    for (arn, unsure), actions in missing.items():
        key = next((one.id for one in template.of_type(_KEY) if one.arn == arn), None)
        what = f"{' and '.join(actions)} on {key or arn.rpartition(':')[2]}"
        if unsure:
            actual = f"whether its policies allow {what} is not known"
            yield warning(role.id, actual, NOT_KNOWN, "write the statement in the template")
        else:
            yield finding(role.id, f"its policies do not allow {what}", _outcome(actions), f"allow {what}")


def _outcome(actions: list[str]) -> str:
    if SEND in actions:
        return "Without it the bridge stores no record in the quarantine, and reports it as failed"
    if set(actions) & set(POLL):
        return "Lambda receives and deletes the messages with the bridge's role"
    return "The bridge's role needs it to use a queue that this key encrypts"


def _grant(statements: list[Statement], action: str, arn: str, template: Template) -> tuple[Grant, bool]:
    """What the statements grant, and whether no unresolved ARN decides it."""
    about = [(one, _is_about(one, action, arn, template)) for one in statements]
    return grant_of(about), all(known is not None for _, known in about)


def _is_about(statement: Statement, action: str, arn: str, template: Template) -> bool | None:
    """Whether a statement is about an action on a resource; None if only a deployed stack knows."""
    if not statement.names_action(action):
        return False
    negated = statement.not_resources
    patterns = statement.resources if negated is None else negated
    found = [one for one in patterns if _may_be_arn(one, arn, template)]
    if found and all(unresolved(one) and one != arn for one in found):
        return None
    return bool(found) is (negated is None)
