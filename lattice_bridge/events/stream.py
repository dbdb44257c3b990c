"""Records of Kinesis and of DynamoDB Streams: both have a place in the order of a shard.

Rule: Lambda goes on from the lowest reported sequence number, and delivers everything from there again. Numbers are
compared as integers: as texts, `9` is above `10` (trap E11).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from lattice_bridge.errors import BadRequest
from lattice_bridge.events.record import Record, Stored

_NUMBER: Final = re.compile(r"[0-9]{1,128}")
_GROUP: Final = re.compile(r"[\x21-\x7e]{1,128}")
"""Message groups that SQS takes: letters, digits and punctuation."""
_NOT_IN_SQS: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")
"""Characters that no message of SQS may contain, but a partition key, an item or an event may. All others of them are
escaped in JSON anyway. A copy with one would never be stored, and its record would block its shard (trap E22)."""


def sequence_number(index: int, found: object) -> str:
    """The sequence number of a record.

    Args:
        index: of the record in its event.
        found: in the record.

    Raises:
        BadRequest: `malformed_event`: it is none, so that the record could not be reported as failed.
    """
    if not isinstance(found, str) or _NUMBER.fullmatch(found) is None:
        raise BadRequest("malformed_event", f"record {index + 1} of the event has no sequence number")
    return found


def check_window(event: Mapping[str, Any]) -> None:
    """Refuses an event of a tumbling window (trap E20).

    Raises:
        BadRequest: `window_unsupported`.
    """
    if "window" in event or "isFinalInvokeForWindow" in event:
        fix = "remove TumblingWindowInSeconds from the event source mapping"
        detail = f"a tumbling window has one state for all its records, and so for all tenants. Fix: {fix}"
        raise BadRequest("window_unsupported", detail)


def malformed(field: str, service: str) -> BadRequest:
    """The fault of a record with a field that the service does not write so."""
    return BadRequest("malformed_event", f"the record's {field} is not what {service} writes")


def to_report(failed: Collection[str]) -> Iterable[str]:
    """The ids that the batch response contains: the lowest one. Those above it come again in any case."""
    return [min(failed, key=int)] if failed else []


def stored(record: Record) -> Stored:
    """What the copy in a quarantine has of a record: all of it as JSON, and its group.

    A group that SQS does not take, such as a partition key with a space, becomes its SHA-256 as hex.
    """
    group = record.group
    if group is not None and _GROUP.fullmatch(group) is None:
        group = hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest()
    body = json.dumps(record.content, separators=(",", ":"), ensure_ascii=False)
    return Stored(_NOT_IN_SQS.sub(lambda found: f"\\u{ord(found[0]):04x}", body), group=group)
