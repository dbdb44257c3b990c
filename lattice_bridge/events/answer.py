"""The partial batch response: ours to an event source mapping, and a function's to us, for the one record that it got.

Rule: a record is deleted only after a success. An answer that is neither a success nor a report is a failure.
Source: "Implementing partial batch responses" in the Lambda guide, for SQS, Kinesis and DynamoDB Streams.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from lattice_bridge.errors import BackendFailed
from lattice_bridge.events.json_claim import members, no_constant

_FAILURES: Final = "batchItemFailures"
_MAX_BRACKETS: Final = 100_000
"""Opening brackets of an answer that is read. With two million in 6 MB, each takes 130 MB of the router's memory, and
many are read at a time."""
_DONE: Final = (b"null", b"{}", b'{"batchItemFailures":[]}', b'{"batchItemFailures": []}')
"""The usual answers of a function that has processed its record."""


def response(failed: Iterable[str]) -> dict[str, Any]:
    """The partial batch response: a queue keeps the messages with these ids; a stream goes on from the lowest."""
    return {_FAILURES: [{"itemIdentifier": record_id} for record_id in failed]}


def check_answer(answer: bytes, record_id: str) -> None:
    """Reads the answer of a function that received one record, as a partial batch response for it.

    `null`, an empty string, list or object, and an object without failures are a success. Everything that is neither a
    success nor a report of this record is a failure too: a record is never deleted because an answer was not
    understood. So `BatchItemFailures`, as some languages write it, is not an object without failures.

    Raises:
        BackendFailed: `backend_reported` if the answer reports the record; `backend_unreadable` if it is not JSON, is
            another value, or names another record.
    """
    if answer in _DONE:
        return
    if answer.count(b"[") + answer.count(b"{") > _MAX_BRACKETS:
        raise BackendFailed("backend_unreadable", f"the answer has more than {_MAX_BRACKETS:,} opening brackets")
    try:
        # Decoded here: json would also guess UTF-16, which is no JSON for others.
        found = json.loads(answer.decode(), object_pairs_hook=members, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise BackendFailed("backend_unreadable", "the answer is not JSON, or a member occurs twice in it") from error
    if isinstance(found, dict) and any(_is_misspelt(name) for name in found):
        raise BackendFailed("backend_unreadable", f"the answer has {_FAILURES} in another spelling")
    failures = found.get(_FAILURES) if isinstance(found, dict) else None
    if failures is None or failures == []:
        if not isinstance(found, dict) and found not in (None, "", []):
            raise BackendFailed("backend_unreadable", "the answer is neither a batch response nor empty")
        return
    if not isinstance(failures, list) or any(failure != {"itemIdentifier": record_id} for failure in failures):
        raise BackendFailed("backend_unreadable", "batchItemFailures names another record, or is not a list of records")
    raise BackendFailed("backend_reported", "batchItemFailures names the record")


def _is_misspelt(name: str) -> bool:
    return name != _FAILURES and name.replace("_", "").casefold() == _FAILURES.casefold()
