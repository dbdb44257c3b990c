"""The answer of a function to a batch, as Lambda reads it.

Rule: an answer is a success, or names messages or records of its batch. Everything else fails the whole batch: no
message is deleted, and no checkpoint moves, because of a misspelt answer (trap E12).
Source: "Implementing partial batch responses" and "Configuring partial batch response with Kinesis Data Streams" in the
Lambda guide, and answers recorded on AWS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, Final

FAILURES: Final = "batchItemFailures"
IDENTIFIER: Final = "itemIdentifier"


class WholeBatchFailed(ValueError):
    """The answer fails the whole batch. The message has the reason and the fix."""


def failed_ids(payload: bytes, ids: Collection[str]) -> frozenset[str]:
    r"""Returns the ids of the messages that an answer reports as failed.

    >>> sorted(failed_ids(b'{"batchItemFailures": [{"itemIdentifier": "2"}]}', {"1", "2"}))
    ['2']
    >>> failed_ids(b"null", {"1"}), failed_ids(b'{"statusCode": 200}', {"1"})
    (frozenset(), frozenset())

    Args:
        payload: the answer.
        ids: of the batch.

    Raises:
        WholeBatchFailed: the answer is of another shape, or names an id that is not in the batch.
    """
    found = frozenset(_identifiers(payload, "messageId"))
    if not found <= frozenset(ids):
        raise WholeBatchFailed(_unknown("messageId"))
    return found


def lowest_failed(payload: bytes, numbers: Collection[int]) -> int | None:
    r"""Returns the lowest sequence number that an answer reports as failed; None if all records succeeded.

    Lambda delivers this record again, and all after it. Sequence numbers are compared as numbers: 9 is below 10.

    >>> answer = b'{"batchItemFailures": [{"itemIdentifier": "10"}, {"itemIdentifier": "9"}]}'
    >>> lowest_failed(answer, {8, 9, 10})
    9

    Args:
        payload: the answer.
        numbers: of the batch.

    Raises:
        WholeBatchFailed: the answer is of another shape, or names a record that is not in the batch.
    """
    found = {int(one) if re.fullmatch("[0-9]{1,99}", one) else -1 for one in _identifiers(payload, "sequenceNumber")}
    if not found <= set(numbers):
        raise WholeBatchFailed(_unknown("sequenceNumber"))
    return min(found, default=None)


def reports_failures(payload: bytes) -> bool:
    """Whether an answer names failures. Without ReportBatchItemFailures, Lambda ignores it."""
    try:
        answer = _parsed(payload)
    except WholeBatchFailed:
        return False
    return isinstance(answer, dict) and bool(answer.get(FAILURES))


def _parsed(payload: bytes) -> Any:
    try:
        return json.loads(payload or b"null")
    except (ValueError, RecursionError) as error:
        raise WholeBatchFailed("the answer is not JSON. Fix: return an object") from error


def _identifiers(payload: bytes, name: str) -> list[str]:
    """What an answer names, by the field of a record that it has to name."""
    answer = _parsed(payload)
    if answer is None or answer in ("", [], {}):
        return []
    if not isinstance(answer, dict):
        raise WholeBatchFailed(
            f"the answer is a JSON {_kind(answer)}, and no object. Fix: return {{'{FAILURES}': []}} if all succeeded"
        )
    items = answer.get(FAILURES)
    if items is None:
        return []
    if not isinstance(items, list):
        raise WholeBatchFailed(f"{FAILURES} is a JSON {_kind(items)}, and no list. Fix: return a list of objects")
    return [_identifier(item, name) for item in items]


def _identifier(item: object, name: str) -> str:
    found = item.get(IDENTIFIER) if isinstance(item, dict) else None
    if not isinstance(found, str) or not found:
        raise WholeBatchFailed(
            f"an entry of {FAILURES} has no {IDENTIFIER}, or an empty one. Fix: write the {name} of the record"
        )
    return found


def _unknown(name: str) -> str:
    return f"an {IDENTIFIER} is no {name} of this batch. Fix: return the {name} of the record as it is"


def _kind(value: object) -> str:
    kinds = {bool: "boolean", list: "list", str: "string", dict: "object"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "number")
