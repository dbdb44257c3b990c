"""The commands that `lattice-bridge local` prints to send messages: one for each queue that invokes a function.

Rule: a printed command works. The map decides here as it will decide the record, and a queue whose records it refuses
gets no command, but the reason.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from typing import Final

from lattice_bridge.config.options import EventSource
from lattice_bridge.config.settings import Settings
from lattice_bridge.local.aws.access_keys import DEVELOPER_KEY, AccessKey
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import find_function
from lattice_bridge.local.definition import Definition
from lattice_bridge.local.plan.model import Function
from lattice_bridge.local.plan.queues import EventSourceMapping, Queue
from lattice_bridge.message import Sender
from lattice_bridge.review.map_tests import every_tenant
from lattice_bridge.tenancy.decide import Decision, decide
from lattice_bridge.tenancy.subject import Subject

_MOST: Final = 3
"""Queues with a command."""
_TRIED: Final = 100
"""Pairs of a sender and a tenant that are tried."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A message that is printed if the map allows it.

    Attributes:
        key: signs it.
        tenant: that it asks for; None if the source has no claim.
    """

    key: AccessKey = DEVELOPER_KEY
    tenant: str | None = None


def queue_commands(definition: Definition, aws_url: str) -> Iterator[str]:
    """Gives commands to paste.

    Args:
        definition: of the stack.
        aws_url: of the AWS endpoint.
    """
    plan = definition.plan
    queues = {queue.arn: queue for queue in plan.queues}
    mapped = [one for one in plan.mappings if one.enabled and one.queue in queues]
    for mapping in mapped[:_MOST]:
        yield from _of_mapping(mapping, queues[mapping.queue], definition, aws_url)
    if queues and not mapped:
        queue = plan.queues[-1]  # not a dead-letter queue, if there is another
        yield f"  # to the queue {queue.name}, which no mapping reads"
        yield f"  {_command(queue, _Attempt(), None, definition, aws_url)}"


def _of_mapping(mapping: EventSourceMapping, queue: Queue, definition: Definition, aws_url: str) -> Iterator[str]:
    try:
        function, _ = find_function(mapping.function, definition.plan.functions, definition.plan.region)
    except LambdaError:
        return  # a problem of its own
    if function.isolated:
        return  # a problem of its own
    about = f"  # to the queue {queue.name}, which invokes {function.name}"
    settings = _settings_of(function, definition)
    if settings is None:
        yield about
        yield f"  {_command(queue, _Attempt(), None, definition, aws_url)}"
        return
    source = next((one for one in settings.options.event_sources if one.arn == queue.arn), None)
    if source is None:
        return  # a problem of its own
    attempt, decision = _decided(source, settings, definition)
    if decision.refusal is not None:
        yield f"No record of the queue {queue.name} is allowed yet: {decision.reason}: {decision.refusal.detail}"
        return
    sender = "" if attempt.key is DEVELOPER_KEY else f", sent by {attempt.key.user_id}"
    yield f"{about}{sender}, runs as {decision.tenant} (rule {decision.rule})"
    yield f"  {_command(queue, attempt, source, definition, aws_url)}"


def _settings_of(function: Function, definition: Definition) -> Settings | None:
    """The settings of a bridge; None for another function."""
    found = (one.settings for one in definition.configurations if one.function.name == function.name)
    return next(found, None)


def _decided(source: EventSource, settings: Settings, definition: Definition) -> tuple[_Attempt, Decision]:
    """The first message that the map allows, or else the first one, with its decision."""
    rules = settings.tenant_map.rules
    tenants = [None] if source.claim is None else [tenant.id for tenant in rules.tenants.values() if tenant.active]
    senders = (key for name, key in definition.endpoint_keys.items() if name not in definition.identities)
    keys = (DEVELOPER_KEY, *senders)
    find = None if settings.tenant_map.lookups.registry is None else every_tenant
    first = None
    for key, tenant in islice(product(keys, tenants or [None]), _TRIED):
        identifier, _, session = key.user_id.partition(":")
        subject = Subject(requested_tenant=tenant, source=source.arn, sender=Sender(identifier, session or None))
        decision = decide(subject, rules, find)
        if decision.allowed:
            return _Attempt(key, tenant), decision
        first = first or (_Attempt(key, tenant), decision)
    assert first is not None  # there is the developer's key
    return first


def _command(queue: Queue, attempt: _Attempt, source: EventSource | None, definition: Definition, aws_url: str) -> str:
    claim, tenant = source.claim if source else None, attempt.tenant
    body: object = {}
    words = ["--endpoint-url", aws_url, "--region", definition.plan.region, "--queue-url", f"{aws_url}{queue.path}"]
    by_group = claim is not None and claim.kind == "message_group"
    if queue.is_fifo or by_group:
        words += ["--message-group-id", tenant if by_group and tenant else "1"]
    if claim is not None and claim.kind == "attribute" and tenant:
        attribute = {claim.name: {"DataType": "String", "StringValue": tenant}}
        words += ["--message-attributes", json.dumps(attribute)]
    if claim is not None and claim.kind == "body":
        body = tenant
        for name in reversed(claim.path):
            body = {name: body}
    words += ["--message-body", json.dumps(body)]
    credentials = f"AWS_ACCESS_KEY_ID={attempt.key.access_key} AWS_SECRET_ACCESS_KEY={attempt.key.secret_key}"
    command = f"{credentials} {shlex.join(('aws', 'sqs', 'send-message', *words))}"
    # A repeated id would be a repeated message, so each run of the command has its own.
    own_id = ' --message-deduplication-id "$(date +%s)"' if queue.is_fifo and not queue.deduplicates_content else ""
    return f"{command}{own_id}"
