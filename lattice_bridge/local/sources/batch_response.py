"""The answer of a function to a batch, as Lambda reads it.

Rule: an answer is a success, or names messages of its batch. Everything else fails the whole batch: no message is
deleted because of a misspelt answer (trap E12).
Source: "Implementing partial batch responses" in the Lambda guide, and answers recorded on AWS.
"""

from __future__ import annotations

import json
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
    answer = _parsed(payload)
    if answer is None or answer in ("", [], {}):
        return frozenset()
    if not isinstance(answer, dict):
        raise WholeBatchFailed(
            f"the answer is a JSON {_kind(answer)}, and no object. Fix: return {{'{FAILURES}': []}} if all succeeded"
        )
    items = answer.get(FAILURES)
    if items is None:
        return frozenset()
    if not isinstance(items, list):
        raise WholeBatchFailed(f"{FAILURES} is a JSON {_kind(items)}, and no list. Fix: return a list of objects")
    return frozenset(_identifier(item, ids) for item in items)


def reports_failures(payload: bytes) -> bool:
    """Whether an answer names failures. Without ReportBatchItemFailures, Lambda deletes these messages too."""
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


def _identifier(item: object, ids: Collection[str]) -> str:
    found = item.get(IDENTIFIER) if isinstance(item, dict) else None
    if not isinstance(found, str) or not found:
        raise WholeBatchFailed(
            f"an entry of {FAILURES} has no {IDENTIFIER}, or an empty one. Fix: write the messageId of the record"
        )
    if found not in ids:
        raise WholeBatchFailed(
            f"an {IDENTIFIER} is no messageId of this batch. Fix: return the messageId of the record as it is"
        )
    return found


def _kind(value: object) -> str:
    kinds = {bool: "boolean", list: "list", str: "string", dict: "object"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "number")
