"""Services that send a tenant id to a function by themselves: EventBridge's custom event buses, Step Functions.

Rule: the tenant id belongs to one event, and a function that failed has failed. Nothing in these services ensures
either, and AWS accepts both mistakes.

Sources: the EventBridge user guide's "Transforming events with JSONata" and the reference of
AWS::EventsV2::Subscriber; the Step Functions guide's "Integrating services" for `aws-sdk` integrations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lattice_bridge.deployment.checks.invokers import STATE_MACHINE, SUBSCRIBER, definition_of
from lattice_bridge.deployment.checks.stack import (
    NOT_KNOWN,
    Stack,
    TemplateFinding,
    entries_of,
    finding,
    part_of,
    warning,
)
from lattice_bridge.deployment.cloudformation.template import Resource
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved

_EXPRESSION: Final = "{%"
"""The beginning of a JSONata expression. A value without one is the same for each event."""
_DEFAULT_BATCH: Final = 10
_SDK_INVOKE: Final = re.compile(r"arn:[^:]*:states:[^:]*:[^:]*:aws-sdk:lambda:invoke(?:\.\w+)?")
_ERROR: Final = "FunctionError"


def native_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults of what sends a tenant id without the bridge."""
    for subscriber in stack.template.of_type(SUBSCRIBER):
        yield from _batched(subscriber)
    for machine in stack.template.of_type(STATE_MACHINE):
        yield from _unchecked(machine)


def _batched(subscriber: Resource) -> Iterator[TemplateFinding]:
    """EventBridge evaluates the expression once for a batch, so the events of all tenants run as one of them."""
    tenant = as_text(part_of(subscriber, "InvokeConfiguration", "LambdaParameters").get("TenantId", ""))
    if _EXPRESSION not in tenant and not unresolved(tenant):
        return
    batch = subscriber.properties.get("BatchConfiguration")
    size = as_text(batch if unresolved(batch) else part_of(subscriber, "BatchConfiguration").get("MaxBatchSize", ""))
    fix = "write BatchConfiguration: {MaxBatchSize: 1}"
    if size == "1":
        return
    if unresolved(size) or unresolved(tenant):
        actual = f"MaxBatchSize is {size or _DEFAULT_BATCH}, and TenantId is {tenant}"
        yield warning(subscriber.id, actual, NOT_KNOWN, fix)
        return
    actual = f"TenantId is an expression, and MaxBatchSize is {size or f'not set, which means {_DEFAULT_BATCH}'}"
    expected = "EventBridge evaluates it once for a batch: other tenants' events run as the tenant of the first one"
    yield finding(subscriber.id, actual, expected, fix)


def _unchecked(machine: Resource) -> Iterator[TemplateFinding]:
    """The call succeeds if the function fails: the answer has status 200 and a `FunctionError`."""
    definition = definition_of(machine)
    if definition is None:
        definition = {"DefinitionString": as_text(machine.properties.get("DefinitionString", ""))}
    entries = [(key, entry) for key, entry in entries_of(definition) if key != "Comment"]
    texts = [entry for _, entry in entries if isinstance(entry, str)]
    tasks = [one for one in (definition, *(entry for _, entry in entries)) if _sends_tenant(one)]
    if tasks and not any(_ERROR in text for text in texts):
        actual = "it invokes a function by aws-sdk:lambda:invoke, and does not read FunctionError"
        expected = "The task succeeds although the function has failed: Lambda's answer is a 200 with FunctionError"
        fix = "add a Choice that fails if the result has a FunctionError"
        yield warning(machine.id, actual, expected, fix)


def _sends_tenant(value: Any) -> bool:
    """Whether a value is a task that invokes a function with a tenant id, or a definition that cannot be parsed."""
    if not isinstance(value, Mapping):
        return False
    text = value.get("DefinitionString")
    if isinstance(text, str):
        return _SDK_INVOKE.search(text) is not None and "TenantId" in text
    is_invoke = _SDK_INVOKE.fullmatch(as_text(value.get("Resource", ""))) is not None
    return is_invoke and any(key.removesuffix(".$") == "TenantId" for key, _ in entries_of(dict(value)))
