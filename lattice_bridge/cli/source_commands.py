"""The commands that `lattice-bridge local` prints to send records: to queues, streams, tables and event buses.

Rule: a printed command works. The bridge's own code decides here about the record as it will decide about the real one,
and a source whose records it refuses gets no command, but the reason.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from typing import Final

from lattice_bridge.cli.record_examples import Example, Wanted, of_bus, of_queue, of_stream, of_table
from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.settings import Settings
from lattice_bridge.deployment.cloudformation.values import ACCOUNT
from lattice_bridge.errors import BridgeError
from lattice_bridge.events.batch import batch_of
from lattice_bridge.local.aws.access_keys import DEVELOPER_KEY, AccessKey
from lattice_bridge.local.aws.dynamodb.tables import is_installed
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import find_function
from lattice_bridge.local.definition import Definition
from lattice_bridge.local.plan.event_buses import DEFAULT_BUS
from lattice_bridge.local.plan.stream_mappings import StreamMapping
from lattice_bridge.review.map_tests import every_tenant
from lattice_bridge.router import resolved, subject_of
from lattice_bridge.tenancy.anchors import AWS_SOURCES
from lattice_bridge.tenancy.decide import Decision, decide
from lattice_bridge.tenancy.rules import Rules

_MOST: Final = 3
"""Sources of a kind with a command."""
_TRIED: Final = 100
"""Records that are tried, and tenants."""
_READ_BY_THE_CLI: Final = re.compile("(fileb?|https?)://")
"""The beginning of a parameter that the AWS CLI replaces by what is there."""
_KIND: Final = (Wanted().source, Wanted().detail_type)
"""The source and the detail type of an event for which no rule asks for others."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """A function that receives the records of a source.

    Attributes:
        kind: of the source, as in `queue`.
        name, arn: of the source, as bridge.toml has it.
        function: as in the mapping or target; None if none reads the source.
        make: makes a record; None if the source would not pass it on.
    """

    kind: str
    name: str
    arn: str
    function: str | None
    make: Callable[[Wanted], Example | None]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A record that is printed if the map allows it.

    Attributes:
        example: of the record.
        key: signs it.
        decision: of the map; None if the record was refused before.
        refusal: why it is refused; empty if it is allowed.
        reason: the code of the decision.
    """

    example: Example
    key: AccessKey = DEVELOPER_KEY
    decision: Decision | None = None
    refusal: str = ""
    reason: str = ""


def source_commands(
    definition: Definition, aws_url: str, has_tables: Callable[[], bool] = is_installed
) -> Iterator[str]:
    """Gives commands to paste.

    Args:
        definition: of the stack.
        aws_url: of the AWS endpoint.
        has_tables: whether this machine can serve tables. If it cannot, that is a problem of its own.
    """
    served = [_of_queues, _of_streams, *([_of_tables] if has_tables() else []), _of_buses]
    kinds = [list(readers_of(definition, aws_url)) for readers_of in served]
    reached = [[reader for reader in readers if reader.function is not None][:_MOST] for readers in kinds]
    if not any(reached):  # the last queue is not a dead-letter queue, if there is another
        reached = [readers[-1:] for readers in kinds]
    for readers in reached:
        for reader in readers:
            yield from _of_reader(reader, definition, aws_url)


def tenants_of(settings: Settings) -> list[str]:
    """Active tenants of a map, a few. Those of a registry are not known here, except if rules name them."""
    rules = settings.tenant_map.rules
    if settings.tenant_map.lookups.registry is None:
        return list(islice((tenant.id for tenant in rules.tenants.values() if tenant.active), _TRIED))
    named = (rule.outcome for rule in rules.owners.values() if isinstance(rule.outcome, frozenset))
    return list(islice((tenant for outcome in named for tenant in sorted(outcome)), _TRIED))


# ---- the functions that read ----------------------------------------------------------------------------------------


def _of_queues(definition: Definition, aws_url: str) -> Iterator[_Reader]:
    plan = definition.plan
    queues = {queue.arn: queue for queue in plan.queues}
    for mapping in [one for one in plan.mappings if one.enabled and one.queue in queues]:
        queue = queues[mapping.queue]
        make = partial(of_queue, queue, mapping, f"{aws_url}{queue.path}")
        yield _Reader("queue", queue.name, queue.arn, mapping.function, make)
    for queue in plan.queues:
        yield _Reader("queue", queue.name, queue.arn, None, partial(of_queue, queue, None, f"{aws_url}{queue.path}"))


def _of_streams(definition: Definition, _: str) -> Iterator[_Reader]:
    for stream in definition.plan.streams:
        for mapping in _mappings_of(stream.arn, definition):
            make = partial(of_stream, stream, mapping)
            yield _Reader("stream", stream.name, stream.arn, mapping.function if mapping else None, make)


def _of_tables(definition: Definition, _: str) -> Iterator[_Reader]:
    for table in definition.plan.tables:
        for mapping in _mappings_of(table.arn, definition):
            make = partial(of_table, table, mapping)
            yield _Reader("table", table.name, table.arn, mapping.function if mapping else None, make)


def _mappings_of(arn: str, definition: Definition) -> Sequence[StreamMapping | None]:
    mappings = definition.plan.stream_mappings
    return [one for one in mappings if one.enabled and not one.faults and one.source == arn] or [None]


def _of_buses(definition: Definition, _: str) -> Iterator[_Reader]:
    plan = definition.plan
    buses = {bus.name: bus.arn for bus in plan.event_buses}
    if any(rule.bus == DEFAULT_BUS for rule in plan.event_rules):
        buses[DEFAULT_BUS] = f"arn:aws:events:{plan.region}:{ACCOUNT}:event-bus/{DEFAULT_BUS}"
    for name, arn in buses.items():
        rules = [rule for rule in plan.event_rules if rule.bus == name and rule.enabled and rule.pattern is not None]
        reached = [(rule, one) for rule in rules for one in rule.targets if one.service == "lambda"]
        for rule, target in reached:
            yield _Reader("bus", name, arn, target.arn, partial(of_bus, name, arn, rule, target))
        if not reached:
            yield _Reader("bus", name, arn, None, partial(of_bus, name, arn, rules[0] if rules else None, None))


# ---- what is printed for one of them --------------------------------------------------------------------------------


def _of_reader(reader: _Reader, definition: Definition, aws_url: str) -> Iterator[str]:
    what = f"the {reader.kind} {reader.name}"
    if reader.function is None:
        example = reader.make(Wanted(sender=DEVELOPER_KEY.user_id))
        if example is not None:
            unread = "of which no rule invokes a function" if reader.kind == "bus" else "which no mapping reads"
            yield f"  # to {what}, {unread}"
            yield f"  {_command(example, DEVELOPER_KEY, definition, aws_url)}"
        return
    try:
        function, _ = find_function(reader.function, definition.plan.functions, definition.plan.region)
    except LambdaError:
        return  # a problem of its own
    if function.isolated:
        return  # a problem of its own
    source, settings = None, None
    bridge = next((one for one in definition.configurations if one.function.name == function.name), None)
    if bridge is not None and bridge.faults:
        return  # a problem of its own
    if bridge is not None and bridge.settings is not None:
        settings = bridge.settings
        source = next((one for one in settings.options.event_sources if one.arn == reader.arn), None)
        if source is None:
            return  # a problem of its own
    attempt = _attempted(reader, source, settings, definition)
    about = f"  # to {what}, which invokes {function.name}"
    if attempt is None:
        by = "the pattern of its rule" if reader.kind == "bus" else "the filters of its mapping"
        yield f"No command for {what}: {by} would not take the {_RECORDS[reader.kind]} that is made here."
    elif attempt.refusal:
        yield f"No {_RECORDS[reader.kind]} of {what} is allowed yet: {attempt.refusal}"
        yield from _about_accounts(reader, attempt, settings, definition)
    else:
        sender = "" if attempt.key is DEVELOPER_KEY else f", sent by {attempt.key.user_id}"
        decision = attempt.decision
        runs = f"{sender}, runs as {decision.tenant} (rule {decision.rule})" if decision else ""
        yield f"{about}{runs}"
        yield f"  {_command(attempt.example, attempt.key, definition, aws_url)}"


_RECORDS: Final = {"queue": "record", "stream": "record", "table": "change", "bus": "event"}


def _about_accounts(
    reader: _Reader, attempt: _Attempt, settings: Settings | None, definition: Definition
) -> Iterator[str]:
    """How events get the account that the map expects: that of the deployed bus."""
    own = reader.arn.split(":")[4]
    if reader.kind != "bus" or settings is None or attempt.reason != "no_rule":
        return
    keys = settings.tenant_map.rules.owners
    accounts = sorted({str(key[1]) for key in keys if key[0] in ("event-account", "event-account-part")} - {own})
    bus = next((one for one in definition.plan.event_buses if one.arn == reader.arn), None)
    if accounts and bus is not None:
        arn = reader.arn.replace(f":{own}:", f":{accounts[0]}:", 1)
        yield (
            f"  Its events have the account {own} here, and bridge.toml has a rule with event_account = "
            f'"{accounts[0]}". Fix: write {bus.id} = "{arn}" under [local.ids] in local.toml, and as the arn of the '
            "[[event_source]]"
        )


# ---- whether it is allowed ------------------------------------------------------------------------------------------


def _attempted(
    reader: _Reader, source: EventSource | None, settings: Settings | None, definition: Definition
) -> _Attempt | None:
    """The first record that the map allows, or else the first one. None if none can be made."""
    if source is None or settings is None:
        example = reader.make(Wanted(sender=DEVELOPER_KEY.user_id))
        return None if example is None else _Attempt(example)
    first = None
    for key, wanted in islice(_wanted(reader, source, settings, definition), _TRIED):
        example = reader.make(wanted)
        if example is not None:
            attempt = _decided(example, key, source, settings)
            if not attempt.refusal:
                return attempt
            first = first or attempt
    return first


def _wanted(
    reader: _Reader, source: EventSource, settings: Settings, definition: Definition
) -> Iterator[tuple[AccessKey, Wanted]]:
    """What a record may have: each signer, each tenant, and for a bus each kind of event that a rule names."""
    tenants: Sequence[str | None] = [None]
    if source.claim is not None:
        tenants = [one for one in tenants_of(settings) if _READ_BY_THE_CLI.match(one) is None] or [None]
    keys, kinds = [DEVELOPER_KEY], [_KIND]
    if reader.kind == "queue":  # no other source shows the bridge who sent a record
        keys += [key for name, key in definition.endpoint_keys.items() if name not in definition.identities]
    if reader.kind == "bus":
        kinds += _kinds(settings.tenant_map.rules)
    for key, kind, tenant in product(keys, kinds, tenants):
        yield key, Wanted(source.claim, tenant, key.user_id, *kind)


def _kinds(rules: Rules) -> Iterator[tuple[str, str]]:
    for key in rules.owners:
        if key[0] in ("event-account-part", "source-part") and not str(key[2]).startswith(AWS_SOURCES):
            yield str(key[2]) or _KIND[0], str(key[3]) or _KIND[1]


def _decided(example: Example, key: AccessKey, source: EventSource, settings: Settings) -> _Attempt:
    """An attempt with the decision of the bridge."""
    rules = settings.tenant_map.rules
    # The tenants of a registry are not read: its table is filled after the start, if it is one of the template.
    find = None if settings.tenant_map.lookups.registry is None else every_tenant
    try:
        (record,) = resolved(batch_of(example.event), settings.options.event_sources).records
        decision = decide(subject_of(record, source), rules, find)
    except BridgeError as error:
        return _Attempt(example, key, None, str(error), error.reason)
    detail = decision.refusal.detail if decision.refusal else ""
    return _Attempt(example, key, decision, "" if decision.allowed else f"{decision.reason}: {detail}", decision.reason)


# ---- as text --------------------------------------------------------------------------------------------------------


def _command(example: Example, key: AccessKey, definition: Definition, aws_url: str) -> str:
    where = ("--endpoint-url", aws_url, "--region", definition.plan.region)
    words = shlex.join(("aws", *example.operation, *where, *example.words))
    stdin = "" if example.stdin is None else f"printf %s {shlex.quote(example.stdin)} | "
    credentials = f"AWS_ACCESS_KEY_ID={key.access_key} AWS_SECRET_ACCESS_KEY={key.secret_key}"
    return f"{stdin}{credentials} {words} {example.shell}".rstrip()
