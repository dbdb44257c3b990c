"""Services that can send a tenant id to a function by themselves: EventBridge's custom event buses, Step Functions and
EventBridge Scheduler.

Rule: an isolated function receives the tenant id of one event, and a function that failed has failed. Nothing in these
services ensures either, and AWS accepts both mistakes. None of them invokes the bridge, whose events are evidence.

Sources: the EventBridge user guide, "Transforming events with JSONata" and "Controlling access to a Custom Event Bus";
the reference of AWS::EventsV2::Subscriber and botocore's model `eventbridgev2`; the EventBridge Scheduler guide, "Using
universal targets".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.config.words import quoted
from lattice_bridge.deployment.checks.stack import (
    NO_TENANT,
    NOT_KNOWN,
    ONLY_LATTICE,
    Stack,
    TemplateFinding,
    finding,
    mentions,
    name_of,
    part_of,
    refers_to,
    warning,
)
from lattice_bridge.deployment.checks.state_machines import STATE_MACHINE, Task, definition_of, tasks_of
from lattice_bridge.deployment.cloudformation.template import Resource
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved

SUBSCRIBER: Final = "AWS::EventsV2::Subscriber"
"""A subscriber of an EventBridge custom event bus."""
SCHEDULE: Final = "AWS::Scheduler::Schedule"
_UNIVERSAL: Final = re.compile(r"arn:[^:]*:[^:]*:[^:]*:[^:]*:aws-sdk:lambda:invoke(?:Async)?")
"""The target that calls Lambda's API itself."""
_EXPRESSION: Final = "{%"
"""The beginning of a JSONata expression. A value without one is the same each time."""
_LITERAL: Final = re.compile(r"""["']([^"'\\]*)["']""")


@dataclass(frozen=True, slots=True)
class Call:
    """One place of a resource that invokes a function.

    Attributes:
        what: the place, as the beginning of a sentence.
        function: the text that names the function.
        tenant: the tenant id, or the expression that gives it; empty if it sends none.
        fix: what to write if it is empty.
        expected: why it has to be sent.
    """

    what: str
    function: str
    tenant: str
    fix: str
    expected: str = NO_TENANT

    def invokes(self, function: Resource) -> bool:
        """Whether it names a function. In an expression, a literal is the name."""
        literals = _LITERAL.findall(self.function) if _EXPRESSION in self.function else ()
        return any(refers_to(one, function) for one in (self.function, *literals)) or mentions(self.function, function)


def native_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults of what invokes a function and could send a tenant id without the bridge."""
    isolated = stack.isolated
    for resource in stack.template.of_type(SUBSCRIBER, SCHEDULE, STATE_MACHINE):
        for call in calls_of(resource):
            for function in isolated:
                if not call.tenant and call.invokes(function):
                    actual = f"{call.what} invokes {name_of(function)} without a tenant id"
                    yield finding(resource.id, actual, call.expected, call.fix)
            yield from _to_bridge(resource, call, stack)
        if resource.type == SUBSCRIBER:
            yield from _subscriber(resource)
        elif resource.type == SCHEDULE:
            yield from _schedule(resource, isolated)
        else:
            yield from _machine(resource, stack)


def calls_of(resource: Resource) -> list[Call]:
    """The places of a resource that invoke a function; none for a type that cannot send a tenant id by itself."""
    if resource.type == SUBSCRIBER:
        return [_subscriber_call(resource)]
    if resource.type == SCHEDULE:
        return [_schedule_call(resource)]
    if resource.type == STATE_MACHINE:
        return [_task_call(task) for task in tasks_of(definition_of(resource) or {})]
    return []


def _to_bridge(resource: Resource, call: Call, stack: Stack) -> Iterator[TemplateFinding]:
    for bridge in stack.bridges:
        if call.invokes(bridge.function):
            actual = f"{call.what} invokes the bridge, {name_of(bridge.function)}"
            fix = "let it send a message to a queue of the bridge, or call the API in front of the bridge"
            yield finding(resource.id, actual, ONLY_LATTICE, fix)


# ---- subscribers of a custom event bus ------------------------------------------------------------------------------

_CONSTANT: Final = re.compile(r"""\{%\s*(?:"[^"\\]*"|'[^'\\]*')\s*%\}""")
_ONE_TENANT: Final = re.compile(
    r"\{%\$count\(\$distinct\((?P<path>\$events\.(?P<member>(?:System)?Metadata\.[\w\"`:]+))\)\)=1"
    r"(?P<all> and \$count\((?P=path)\)=\$count\(\$events\))?"
    r"\?(?:\$events(?:\[0\])?\.(?P=member)|\$distinct\((?P=path)\))(?:\[0\])?"
    r":\$error\((?:\"[^\"]*\"|'[^']*')?\)%\}"
)
"""An expression, without needless spaces, that fails unless a batch has one tenant only."""
_SPACE: Final = re.compile(r"\s*([^\w\s\"'`$])\s*")
_DATA: Final = re.compile(r"(?<![\w$])(?<!Metadata\.)(?<!Metadata\.[\"`])Data(?!\w)")
_METADATA: Final = re.compile(r"\b(?:System)?Metadata\b")
_DEFAULT_BATCH: Final = 10
_ONE_EVENT: Final = "write BatchConfiguration: {MaxBatchSize: 1}"


def _subscriber_call(subscriber: Resource) -> Call:
    written = part_of(subscriber, "InvokeConfiguration")
    target, parameters = as_text(written.get("TargetArn", "")), written.get("LambdaParameters")
    is_known = not isinstance(parameters, str) or not unresolved(parameters)
    tenant = part_of(subscriber, "InvokeConfiguration", "LambdaParameters").get("TenantId") if is_known else parameters
    fix = f"write TenantId under LambdaParameters, and {_ONE_EVENT.removeprefix('write ')}"
    if _UNIVERSAL.fullmatch(target):
        target, tenant = _universal(
            part_of(subscriber, "InvokeConfiguration", "UniversalTargetParameters").get("Input")
        )
        fix = f"write TenantId beside FunctionName, and {_ONE_EVENT.removeprefix('write ')}"
    return Call("it", target, "" if tenant is None else as_text(tenant).strip(), fix)


def _universal(written: object) -> tuple[str, object]:
    """The function and the tenant id of a call of Lambda's API. A text that is an expression counts as a whole."""
    found: Any = written
    if isinstance(written, str):
        with suppress(ValueError, RecursionError):
            found = json.loads(written)
    if isinstance(found, dict):
        return as_text(found.get("FunctionName", "")), found.get("TenantId")
    text = as_text(found or "")
    return text, text if "TenantId" in text else None


def _subscriber(subscriber: Resource) -> Iterator[TemplateFinding]:
    tenant = _subscriber_call(subscriber).tenant
    if (_EXPRESSION in tenant and not _CONSTANT.fullmatch(tenant)) or unresolved(tenant):
        yield from _batched(subscriber, tenant)
    if _EXPRESSION in tenant and not _CONSTANT.fullmatch(tenant) and not unresolved(tenant):
        yield from _published(subscriber, tenant)


def _batched(subscriber: Resource, tenant: str) -> Iterator[TemplateFinding]:
    """EventBridge evaluates the expression once for a batch, so the events of all tenants run as one of them."""
    batch = subscriber.properties.get("BatchConfiguration")
    size = as_text(batch if unresolved(batch) else part_of(subscriber, "BatchConfiguration").get("MaxBatchSize", ""))
    if size == "1":
        return
    if unresolved(size) or _EXPRESSION not in tenant:
        actual = f"MaxBatchSize is {size or _DEFAULT_BATCH}, and TenantId is {tenant}"
        yield warning(subscriber.id, actual, NOT_KNOWN, _ONE_EVENT)
        return
    size = f"MaxBatchSize is {size or f'not set, which means {_DEFAULT_BATCH}'}"
    guard = _ONE_TENANT.fullmatch(_SPACE.sub(r"\1", " ".join(tenant.split())))
    if guard is None:
        expected = "EventBridge evaluates it once for a batch: other tenants' events run as the tenant of the first one"
        yield finding(subscriber.id, f"TenantId is an expression, and {size}", expected, _ONE_EVENT)
    elif guard["all"] is None:
        actual = f"TenantId counts the tenants of a batch, and {size}"
        expected = "JSONata does not count an event without a tenant: it runs as the tenant of the others"
        counts = f"and $count({guard['path']}) = $count($events)"
        yield finding(subscriber.id, actual, expected, f"{_ONE_EVENT}, or add `{counts}` to the condition")
    else:
        actual = f"TenantId fails for a batch with events of several tenants, and {size}"
        expected = "EventBridge tries such a batch again until its retries end, and keeps no payload of its events"
        yield warning(subscriber.id, actual, expected, _ONE_EVENT)


def _published(subscriber: Resource, tenant: str) -> Iterator[TemplateFinding]:
    """A warning for a tenant that any publisher of the bus can name, and that no policy can pin."""
    if _DATA.search(tenant) is None and _METADATA.search(tenant) is not None:
        return
    actual = "TenantId reads Data" if _DATA.search(tenant) else "TenantId reads no named part of the metadata"
    fix = (
        "read $events.Metadata.tenant, and allow each publisher events:PutRawEvents only with the condition "
        "StringEquals: {events:Metadata/tenant: its tenant}"
    )
    expected = "The publisher chooses the data of its event, and so the tenant: no IAM policy can pin it"
    yield warning(subscriber.id, actual, expected, fix)


# ---- schedules ------------------------------------------------------------------------------------------------------

_TO_QUEUE: Final = "let it send a message to a queue of the bridge"


def _schedule_call(schedule: Resource) -> Call:
    target = part_of(schedule, "Target")
    arn = as_text(target.get("Arn", ""))
    if not _UNIVERSAL.fullmatch(arn):
        return Call("it", arn, "", _TO_QUEUE)
    function, tenant = _universal(target.get("Input"))
    text = "" if tenant is None else as_text(tenant).strip()
    return Call("it", function, text, f"{_TO_QUEUE}, or write TenantId beside FunctionName")


def _schedule(schedule: Resource, isolated: list[Resource]) -> Iterator[TemplateFinding]:
    call = _schedule_call(schedule)
    for function in isolated:
        if call.tenant and call.invokes(function):
            actual = f"it invokes {name_of(function)} with a tenant id, by the universal target aws-sdk:lambda:invoke"
            expected = "AWS documents no tenant id for this target, and it was not verified on AWS"
            yield warning(schedule.id, actual, expected, f"{_TO_QUEUE}, or try it in your account first")


# ---- state machines -------------------------------------------------------------------------------------------------


def _task_call(task: Task) -> Call:
    where = f"its state {quoted(task.name)}"
    if task.integration == "sdk":
        return Call(where, task.function, task.tenant.strip(), "write TenantId beside FunctionName")
    how = "lambda:invoke" if task.integration == "optimized" else "a function's ARN as Resource"
    fix = (
        "let it send a message to a queue of the bridge (sqs:sendMessage), or write "
        "Resource: arn:aws:states:::aws-sdk:lambda:invoke with TenantId and a Choice on FunctionError"
    )
    expected = f"Step Functions sends no tenant id by {how}, even if the state has one, so Lambda refuses each call"
    return Call(where, task.function, "", fix, expected)


def _machine(machine: Resource, stack: Stack) -> Iterator[TemplateFinding]:
    definition = definition_of(machine)
    if definition is None:
        if stack.isolated and "DefinitionS3Location" not in machine.properties and machine.properties:
            yield from _unread(machine)
        return
    for task in tasks_of(definition):
        if task.tenant.strip() and task.counts_failure_as_success:
            actual = (
                f"its state {quoted(task.name)} invokes a function by aws-sdk:lambda:invoke, and no Choice after it "
                "reads FunctionError"
            )
            expected = "The task succeeds although the function has failed: Lambda's answer is a 200 with FunctionError"
            fix = (
                "let a Choice follow it that fails if the result has a FunctionError, and keep the whole result until "
                "then"
            )
            yield warning(machine.id, actual, expected, fix)


def _unread(machine: Resource) -> Iterator[TemplateFinding]:
    """A warning for a definition that is in the template and was not understood. `run` has those that are not."""
    own = machine.properties.get("Definition", machine.properties.get("DefinitionString"))
    if isinstance(own, str) and unresolved(own) and "Definition" in machine.properties:
        return
    expected = "It must not invoke an isolated function without a tenant id"
    fix = "write one JSON object of 1 MiB at most, or check how it invokes isolated functions"
    yield warning(machine.id, "its definition could not be read", expected, fix)
