"""Events of SQS queues: batches of messages, as Lambda makes them.

Rule: each record is one that SQS can write. Its content is the sender's own, so most of it is hostile: texts that are
nearly tenant ids, JSON with two values, groups that look alike.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from lattice_bridge.events import sqs
from lattice_bridge.local.aws.sqs.message import Attribute, md5_of, md5_of_attributes
from lattice_bridge.testing.strategies.ids import TENANT_IDS, not_tenant_ids
from lattice_bridge.testing.strategies.maps import QUEUE, SENDERS

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Event = dict[str, Any]

_TEXT: Final = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), min_size=1)
_SENT: Final = not_tenant_ids().filter(lambda text: text != "" and text.isprintable())
"""Values near tenant ids that SQS takes: it refuses an empty one, and most control characters."""
_CLAIMS: Final = TENANT_IDS | _SENT
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
_BODIES: Final = st.one_of(
    st.builds(lambda tenant: json.dumps({"meta": {"tenant": tenant}}), _CLAIMS),
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


def batches(queue: str = QUEUE) -> SearchStrategy[Event]:
    """Events with one to ten messages of a queue.

    Args:
        queue: its ARN. If it ends in `.fifo`, each message has a group, and the groups of a batch are few.
    """
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
