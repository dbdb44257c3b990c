"""Examples of records: a message, a record of a stream, an item or an event that the AWS CLI can send.

Rule: an example is two things at once: the words of a command, and what the bridge receives after it. So the bridge's
own code can decide about it before it is printed. Filters and patterns have passed it too: an example that they would
not take is none.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.events import dynamodb, eventbridge, kinesis, sqs
from lattice_bridge.events.record import Claim
from lattice_bridge.local.plan.event_buses import EventRule
from lattice_bridge.local.plan.event_pattern import OR, Pattern, matches, parse_pattern
from lattice_bridge.local.plan.event_target import NotJson, Occasion, Target
from lattice_bridge.local.plan.queues import EventSourceMapping, Queue
from lattice_bridge.local.plan.stream_mappings import DATA, StreamMapping
from lattice_bridge.local.plan.streams import Stream
from lattice_bridge.local.plan.tables import Table

_TIME: Final = '"$(date +%s)"'
"""A repeated message, or an item that does not change, is no record. With the time, each run of a command makes one."""
_NUMBER: Final = "1"
_WHEN: Final = "2026-01-01T00:00:00Z"
_NEW_IMAGES: Final = ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")


@dataclass(frozen=True, slots=True)
class Example:
    """A record that a command sends.

    Attributes:
        event: that the function receives.
        operation: of the AWS CLI, as in `("sqs", "send-message")`.
        words: its parameters, as they are.
        shell: more parameters, quoted for a shell; empty for none.
        stdin: the command's standard input; None if it reads none.
    """

    event: Any
    operation: tuple[str, str]
    words: Sequence[str]
    shell: str = ""
    stdin: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a record has to have.

    Attributes:
        claim: of the event source; None for none.
        tenant: that the claim names; None for none.
        sender: the unique id of the signer.
        source, detail_type: of an event whose pattern asks for no other ones.
    """

    claim: Claim | None = None
    tenant: str | None = None
    sender: str = ""
    source: str = "local.test"
    detail_type: str = "Test"


# ---- queues ---------------------------------------------------------------------------------------------------------


def of_queue(queue: Queue, mapping: EventSourceMapping | None, url: str, wanted: Wanted) -> Example | None:
    """A message.

    Args:
        queue: of the plan.
        mapping: that reads it; None if none does.
        url: of the queue.
        wanted: in the message.

    Returns:
        None if the filters take no message that is made here.
    """
    claim, tenant = wanted.claim, wanted.tenant
    kind = claim.kind if claim is not None and tenant is not None else ""
    words, attributes = ["--queue-url", url], {"SenderId": wanted.sender, "ApproximateReceiveCount": _NUMBER}
    if queue.is_fifo or kind == "message_group":
        attributes["MessageGroupId"] = tenant if kind == "message_group" and tenant else _NUMBER
        words += ["--message-group-id", attributes["MessageGroupId"]]
    received: dict[str, Any] = {}
    if claim is not None and kind == "attribute":
        sent = {claim.name: {"DataType": "String", "StringValue": tenant}}
        words += ["--message-attributes", json.dumps(sent)]
        received = {claim.name: {"stringValue": tenant, "dataType": "String"}}
    body = json.dumps(_claimed(_fitting(mapping.filters if mapping else ()).get("body"), claim, "body", tenant))
    if mapping is not None and not mapping.takes(body):
        return None
    record = sqs.write(
        message_id=_NUMBER,
        receipt_handle=_NUMBER,
        body=body,
        attributes=attributes,
        message_attributes=received,
        md5_of_body="",
        md5_of_message_attributes=None,
        arn=queue.arn,
    )
    own_id = f"--message-deduplication-id {_TIME}" if queue.is_fifo and not queue.deduplicates_content else ""
    return Example({"Records": [record]}, ("sqs", "send-message"), [*words, "--message-body", body], own_id)


# ---- streams and tables ---------------------------------------------------------------------------------------------


def of_stream(stream: Stream, mapping: StreamMapping | None, wanted: Wanted) -> Example | None:
    """A record of a stream. Arguments as of `of_queue`.

    The data comes from standard input: as a parameter, version 1 of the AWS CLI and version 2 read it differently.
    """
    claim, tenant = wanted.claim, wanted.tenant
    key = tenant if claim is not None and claim.kind == "partition_key" and tenant else _NUMBER
    data = json.dumps(_claimed(_fitting(mapping.filters if mapping else ()).get(DATA), claim, "body", tenant))
    record = kinesis.write(
        shard_id="shardId-000000000000",
        sequence_number=_NUMBER,
        partition_key=key,
        data=data.encode(),
        arrived=0.0,
        arn=stream.arn,
        role_arn="",
    )
    if mapping is not None and not mapping.takes(record):
        return None
    words = ["--stream-name", stream.name, "--partition-key", key, "--data", "fileb:///dev/stdin"]
    return Example({"Records": [record]}, ("kinesis", "put-record"), words, stdin=data)


def of_table(table: Table, mapping: StreamMapping | None, wanted: Wanted) -> Example | None:
    """An item of a table. Arguments as of `of_queue`."""
    claim, tenant = wanted.claim, wanted.tenant
    change = _fitting(mapping.filters if mapping else ()).get("dynamodb")
    known = change if isinstance(change, Mapping) else {}
    item: dict[str, Any] = {name: {kind: _NUMBER if kind != "B" else "MQ=="} for name, kind in table.keys}
    for part in ("Keys", "NewImage"):
        item |= known.get(part) or {}
    if claim is not None and tenant is not None:
        item[claim.name] = {"S": tenant}
    if any(kind not in item[name] for name, kind in table.keys):
        return None  # the key is no string, so no claim can read a tenant from it
    record = dynamodb.write(
        event_id=_NUMBER,
        event_name="INSERT",
        keys={name: item[name] for name, _ in table.keys},
        new_image=item if table.view_type in _NEW_IMAGES else None,
        old_image=None,
        sequence_number=_NUMBER,
        size=1,
        view_type=table.view_type,
        created=0.0,
        arn=f"{table.arn}/stream/1",
    )
    if mapping is not None and not mapping.takes(record):
        return None
    time = "sent"
    while time in item:
        time += "_"
    before, after = json.dumps({**item, time: {"N": ""}}).rsplit('""', 1)
    written = shlex.quote(f'{before}"') + _TIME + shlex.quote(f'"{after}')
    words = ["--table-name", table.name]
    return Example({"Records": [record]}, ("dynamodb", "put-item"), words, f"--item {written}")


# ---- buses ----------------------------------------------------------------------------------------------------------


def of_bus(name: str, arn: str, rule: EventRule | None, target: Target | None, wanted: Wanted) -> Example | None:
    """An event of a bus.

    Args:
        name, arn: of the bus.
        rule: that takes the event; None if the bus has none.
        target: of the rule; None for none.
        wanted: in the event.

    Returns:
        None if the rule takes no event that is made here, or its target receives something else.
    """
    pattern = parse_pattern(rule.pattern) if rule is not None and rule.pattern is not None else None
    known = _fitting((pattern,) if pattern else ())
    source, detail_type = (str(known.get("source", wanted.source)), str(known.get("detail-type", wanted.detail_type)))
    detail = _claimed(known.get("detail"), wanted.claim, "detail", wanted.tenant)
    event = eventbridge.write(
        id=_NUMBER,
        detail_type=detail_type,
        source=source,
        account=arn.split(":")[4],
        time=_WHEN,
        region=arn.split(":")[3],
        resources=(),
        detail=detail,
    )
    if source.startswith("aws.") or (pattern is not None and not matches(pattern, event)):
        return None
    received: Any = event
    if rule is not None and target is not None:
        try:
            received = json.loads(target.input_of(event, Occasion("", rule.name, _WHEN)))
        except (NotJson, ValueError):
            return None
    entry = {"EventBusName": name, "Source": source, "DetailType": detail_type, "Detail": json.dumps(detail)}
    return Example(received, ("events", "put-events"), ["--entries", json.dumps([entry])])


# ---- what patterns and claims ask for -------------------------------------------------------------------------------


def _claimed(fields: object, claim: Claim | None, kind: str, tenant: str | None) -> dict[str, Any]:
    """An object with these fields, and the tenant where the claim reads it."""
    found = dict(fields) if isinstance(fields, Mapping) else {}
    if claim is None or claim.kind != kind or tenant is None:
        return found
    place = found
    for name in claim.path[:-1]:
        below = place.get(name)
        place[name] = dict(below) if isinstance(below, Mapping) else {}
        place = place[name]
    place[claim.path[-1]] = tenant
    return found


def _fitting(patterns: Sequence[Pattern]) -> dict[str, Any]:
    """Fields that the first pattern takes, as far as its conditions give a value."""
    return _fields(patterns[0]) if patterns else {}


def _fields(pattern: Pattern) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, conditions in pattern.items():
        if isinstance(conditions, Mapping):
            found[name] = _fields(conditions)
        elif name == OR and isinstance(conditions[0], Mapping):
            found |= _fields(conditions[0])
        elif conditions[0] != {"exists": False}:
            found[name] = _value(conditions[0])
    return found


def _value(condition: Any) -> Any:
    """A value that a condition takes, if there is a simple one."""
    if not isinstance(condition, Mapping):
        return condition
    ((operator, operand),) = condition.items()
    if operator == "numeric":
        return operand[1] + {">": 1, "<": -1}.get(operand[0], 0)
    if operator in ("prefix", "suffix", "equals-ignore-case"):
        return operand["equals-ignore-case"] if isinstance(operand, Mapping) else operand
    return operand.replace("*", "") if operator == "wildcard" else _NUMBER
