"""Builds the event that EventBridge sends to a rule's target, and the list that EventBridge Pipes sends, for tests.

Rule: an event that no publisher can write is refused. For a forged event, change the result.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from lattice_bridge.events import eventbridge
from lattice_bridge.testing.builders import ACCOUNT, REGION, TIME, microseconds

SOURCE: Final = "shop.orders"
DETAIL_TYPE: Final = "Order Placed"
_ACCOUNT: Final = re.compile("[0-9]{12}")
_REGION: Final = re.compile("[a-z]{2,4}(-[a-z]+)+-[0-9]")
_NAMESPACE: Final = uuid.UUID("0b8f2f0e-6f25-4d4f-8d0f-3e3f6f2a9c77")


def eventbridge_event(
    detail: Mapping[str, Any] | None = None,
    *,
    source: str = SOURCE,
    detail_type: str = DETAIL_TYPE,
    account: str = ACCOUNT,
    region: str = REGION,
    resources: Sequence[str] = (),
    event_id: str | None = None,
    time: int | datetime = TIME,
) -> dict[str, Any]:
    """The event that a function receives from a rule of a classic event bus. The same arguments make the same event.

    >>> event = eventbridge_event({"tenant": "blue"}, source="aws.s3", detail_type="Object Created")
    >>> event["source"], event["detail"]
    ('aws.s3', {'tenant': 'blue'})

    Args:
        detail: what was published; an empty object if it is left out.
        source, detail_type, resources: of the publisher. Only AWS publishes a `source` that begins with `aws.`.
        account, region: in which it was published, and of the bus.
        event_id: a UUID on AWS; one that depends on the other arguments if it is left out.
        time: when it was published: microseconds since 1970, or a datetime with a zone.

    Raises:
        ValueError: no publisher can write this event; the message has the fix.
    """
    _check(detail, source, detail_type, account, region)
    moment = datetime.fromtimestamp(microseconds(time) // 1_000_000, UTC)
    own = (detail_type, source, account, moment, region, list(resources), detail)
    return eventbridge.write(
        id=event_id or str(uuid.uuid5(_NAMESPACE, repr(own))),
        detail_type=detail_type,
        source=source,
        account=account,
        time=f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        region=region,
        resources=list(resources),
        detail=dict(detail or {}),
    )


def _check(detail: object, source: object, detail_type: object, account: object, region: object) -> None:
    for name, text, most in (("source", source, 256), ("detail_type", detail_type, 128)):
        if not isinstance(text, str) or not 1 <= len(text) <= most:
            raise ValueError(f"{name} {text!r} is not one. Fix: write 1 to {most} characters")
    if not isinstance(account, str) or _ACCOUNT.fullmatch(account) is None:
        raise ValueError(f"account {account!r} is not one. Fix: write 12 digits, as in {ACCOUNT!r}")
    if not isinstance(region, str) or _REGION.fullmatch(region) is None:
        raise ValueError(f"region {region!r} is not one, as in {REGION}")
    if detail is not None and not isinstance(detail, Mapping):
        raise ValueError(f"detail is a {type(detail).__name__}, and EventBridge takes an object. Fix: write a dict")


def pipe_event(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The list that EventBridge Pipes sends to its target or its enrichment, for the records of an event.

    >>> from lattice_bridge.testing import kinesis_event
    >>> [record] = pipe_event(kinesis_event("{}", partition_key="blue"))
    >>> record["partitionKey"], record["eventSource"]
    ('blue', 'aws:kinesis')

    Args:
        event: of `sqs_event`, `kinesis_event` or `dynamodb_event`.

    Raises:
        ValueError: the event has no records, as that of a bus, which no pipe reads.
    """
    records = event.get("Records")
    if not isinstance(records, list) or not records:
        fix = "write the event of sqs_event, kinesis_event or dynamodb_event"
        raise ValueError(f"the event has no records, and a pipe reads queues and streams. Fix: {fix}")
    return [{**record.get("kinesis", {}), **{k: v for k, v in record.items() if k != "kinesis"}} for record in records]
