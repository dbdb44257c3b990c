"""Events with records, as Lambda makes them of a queue, a stream or a table, and events of a bus.

Rule: each record is one that the service can write. Its content is the sender's own, so most of it is hostile: texts
that are nearly tenant ids, JSON with two values, groups that look alike, aggregates of several tenants.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from lattice_bridge.events import dynamodb, eventbridge, kinesis, sqs
from lattice_bridge.events.record import BUS, service_of
from lattice_bridge.local.aws.sqs.message import Attribute, md5_of, md5_of_attributes
from lattice_bridge.testing.aggregates import aggregate, sealed
from lattice_bridge.testing.strategies.ids import TENANT_IDS, not_tenant_ids
from lattice_bridge.testing.strategies.maps import QUEUE, SENDERS

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Event = dict[str, Any]

_TEXT: Final = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), min_size=1)
_SENT: Final = not_tenant_ids().filter(lambda text: text != "" and text.isprintable())
"""Values near tenant ids that SQS takes: it refuses an empty one, and most control characters."""
_COMMON: Final = st.sampled_from(["blue", "green"])
"""The tenants of most examples: without them, hardly a record would be allowed."""
_CLAIMS: Final = _COMMON | TENANT_IDS | _SENT
_GROUPS: Final = st.sampled_from(["blue", "green", "Blue", "a#b", "!", "g" * 128]) | st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128
)
_SENDERS: Final = st.sampled_from(
    [
        f"{SENDERS[0]}:i-0123",
        f"{SENDERS[0]}:blue",
        SENDERS[1],
        "AROAOTHEREXAMPLE12345:i-0123",
        "111122223333",
        "203.0.113.9",
    ]
)
_NAMED_BODIES: Final = st.builds(lambda tenant: json.dumps({"meta": {"tenant": tenant}}), _CLAIMS)
_BODIES: Final = st.one_of(
    _NAMED_BODIES,
    st.builds(lambda one, two: f'{{"tenant": {json.dumps(one)}, "tenant": {json.dumps(two)}}}', TENANT_IDS, TENANT_IDS),
    st.sampled_from(["{}", "null", "[]", "0", "not JSON {", "[" * 100_000, "NaN", "\t\r\n"]),
    _TEXT,
)
_ATTRIBUTES: Final = st.dictionaries(
    st.sampled_from(["tenant", "Tenant", "lattice-bridge", "x"]),
    st.one_of(
        st.builds(Attribute, st.sampled_from(["String", "String.tenant"]), _CLAIMS),
        st.builds(Attribute, st.sampled_from(["Number", "Number.int"]), st.integers(0, 10**9).map(str)),
        st.builds(Attribute, st.just("Binary"), st.binary(min_size=1, max_size=20)),
    ),
    max_size=3,
)


def batches(source: str = QUEUE) -> SearchStrategy[Event]:
    """Events with one to ten records; of an event bus, events.

    Args:
        source: the ARN of a queue, a Kinesis stream, a DynamoDB table or an event bus. Each message of a FIFO queue has
            a group, and the groups of a batch are few; so are the partition keys of a stream, and the items of a table.

    Raises:
        ValueError: it is of another service.
    """
    service = service_of(source)
    if service not in _STRATEGIES:
        raise ValueError(f"{source!r} is the ARN of no queue, stream, table or event bus. Fix: write one")
    return _STRATEGIES[service](source)


# ---- SQS ------------------------------------------------------------------------------------------------------------


def _queue(queue: str) -> SearchStrategy[Event]:
    is_fifo = queue.endswith(sqs.FIFO)
    group = _GROUPS if is_fifo else st.none() | _GROUPS
    message = st.tuples(_BODIES, _ATTRIBUTES, _SENDERS, group, st.integers(1, 5))
    return st.lists(message, min_size=1, max_size=10).map(lambda messages: _event(queue, messages, is_fifo=is_fifo))


def _event(queue: str, messages: list[tuple[Any, ...]], *, is_fifo: bool) -> Event:
    return {"Records": [_record(queue, number, *message, is_fifo=is_fifo) for number, message in enumerate(messages)]}


def _record(
    queue: str,
    number: int,
    body: str,
    attributes: dict[str, Attribute],
    sender: str,
    group: str | None,
    count: int,
    *,
    is_fifo: bool,
) -> dict[str, Any]:
    system = {
        "ApproximateReceiveCount": str(count),
        "SentTimestamp": "1763683200123",
        "SenderId": sender,
        "ApproximateFirstReceiveTimestamp": "1763683200124",
        **({} if group is None else {"MessageGroupId": group}),
    }
    if is_fifo:
        system |= {"MessageDeduplicationId": str(number), "SequenceNumber": str(10**19 + number)}
    return sqs.write(
        message_id=str(uuid.UUID(int=number + 1)),
        receipt_handle=f"handle-{number}",
        body=body,
        attributes=system,
        message_attributes={name: attribute.record() for name, attribute in attributes.items()},
        md5_of_body=md5_of(body),
        md5_of_message_attributes=md5_of_attributes(attributes),
        arn=queue,
    )


# ---- Kinesis --------------------------------------------------------------------------------------------------------

_KEYS: Final = st.one_of(
    _COMMON,
    st.sampled_from(["Blue", "blue\n", "a#b", "k" * 256]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
)
_DATA: Final = _NAMED_BODIES.map(str.encode) | _BODIES.map(str.encode) | st.binary(max_size=40)
_SENT_DATA: Final = (
    _DATA | _DATA | st.lists(st.tuples(_KEYS, _DATA), min_size=1, max_size=4).map(aggregate) | _DATA.map(sealed)
)
"""Now and then an aggregate, or what only looks like one."""
_FIRST: Final = st.sampled_from([1, 8, 10**55 - 3, 49590338271490256608559692538361571095921575989136588898])
"""First sequence numbers. With some, the next ones have more digits."""
_GAPS: Final = st.integers(1, 3)


def _stream(stream: str) -> SearchStrategy[Event]:
    return st.builds(
        lambda first, records: _kinesis_event(stream, first, records),
        _FIRST,
        st.lists(st.tuples(_GAPS, _KEYS, _SENT_DATA), min_size=1, max_size=10),
    )


def _kinesis_event(stream: str, number: int, records: list[tuple[int, str, bytes]]) -> Event:
    found = []
    for gap, key, data in records:
        number += gap
        found.append(
            kinesis.write(
                shard_id="shardId-000000000000",
                sequence_number=str(number),
                partition_key=key,
                data=data,
                arrived=1763683200.123,
                arn=stream,
                role_arn="arn:aws:iam::111122223333:role/bridge",
            )
        )
    return {"Records": found}


# ---- DynamoDB -------------------------------------------------------------------------------------------------------

_VALUES: Final = st.one_of(
    st.builds(lambda text: {"S": text}, _CLAIMS),
    st.sampled_from([{"N": "7"}, {"NULL": True}, {"BOOL": False}, {"B": "Ymx1ZQ=="}, {"L": [{"S": "blue"}]}]),
    st.sampled_from([{"SS": ["blue", "green"]}, {"M": {"S": {"S": "blue"}}}]),
)
_ITEM_KEYS: Final = st.fixed_dictionaries(
    {"tenant": st.builds(lambda text: {"S": text}, _CLAIMS), "id": st.sampled_from([{"N": "1"}, {"N": "2"}])}
)
_IMAGES: Final = st.one_of(
    st.just({"owner": {"S": "blue"}}),
    st.dictionaries(st.sampled_from(["owner", "Owner", "x"]), _VALUES, max_size=3),
)
_VIEWS: Final[dict[str, tuple[bool, bool]]] = {
    "NEW_AND_OLD_IMAGES": (True, True),
    "NEW_IMAGE": (True, False),
    "OLD_IMAGE": (False, True),
    "KEYS_ONLY": (False, False),
}
"""The view of a stream → whether its records have the new image, and the old one."""
_CHANGES: Final = st.sampled_from(["INSERT", "MODIFY", "REMOVE", "expired"])
_Change = tuple[int, str, dict[str, Any], dict[str, Any], dict[str, Any]]


def _table(table: str) -> SearchStrategy[Event]:
    return st.builds(
        lambda view, first, changes: _dynamodb_event(table, view, first, changes),
        st.sampled_from(list(_VIEWS)),
        _FIRST,
        st.lists(st.tuples(_GAPS, _CHANGES, _ITEM_KEYS, _IMAGES, _IMAGES), min_size=1, max_size=10),
    )


def _dynamodb_event(table: str, view: str, number: int, changes: list[_Change]) -> Event:
    has_new, has_old = _VIEWS[view]
    found = []
    for gap, name, keys, new, old in changes:
        number += gap
        found.append(
            dynamodb.write(
                event_id=uuid.UUID(int=number % 2**128).hex,
                event_name="REMOVE" if name == "expired" else name,
                keys=keys,
                new_image={**keys, **new} if has_new and name in ("INSERT", "MODIFY") else None,
                old_image={**keys, **old} if has_old and name != "INSERT" else None,
                sequence_number=str(number),
                size=26,
                view_type=view,
                created=1763683200.0,
                arn=f"{table}/stream/2025-11-21T00:00:00.000",
                is_expired=name == "expired",
            )
        )
    return {"Records": found}


# ---- EventBridge ----------------------------------------------------------------------------------------------------

_DETAILS: Final = st.one_of(
    st.builds(lambda tenant: {"tenant": tenant}, _CLAIMS),
    st.builds(lambda one, two: {"tenant": one, "Tenant": two}, TENANT_IDS, TENANT_IDS),
    st.sampled_from([{}, {"tenant": None}, {"tenant": 7}, {"tenant": ["blue"]}, {"tenant": {"S": "blue"}}]),
)


def _bus(bus: str) -> SearchStrategy[Event]:
    return st.builds(
        eventbridge.write,
        event_id=st.uuids().map(str),
        detail_type=st.sampled_from(["Order Placed", "Object Created", "Scheduled Event"]),
        source=st.sampled_from(["shop.orders", "shop", "aws.s3", "aws.events", "AWS.s3", "aws", "aws-s3"]),
        account=st.sampled_from(["111122223333", "444455556666"]),
        time=st.just("2025-11-21T00:00:00Z"),
        region=st.just(bus.split(":")[3]),
        resources=st.just([]),
        detail=_DETAILS,
    )


_STRATEGIES: Final[dict[str, Callable[[str], SearchStrategy[Event]]]] = {
    "sqs": _queue,
    "kinesis": _stream,
    "dynamodb": _table,
    BUS: _bus,
}
