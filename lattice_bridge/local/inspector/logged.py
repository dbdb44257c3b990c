"""An entry of a log line of a bridge, as the timeline shows it.

Rule: another person may have written the line. No value is trusted to have its type or its length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from lattice_bridge.local.inspector.entry import Content, Entry, Outcome, Way, caller_in_words, outcome_of
from lattice_bridge.local.inspector.mask import masked_text
from lattice_bridge.review.log_line import LogLine, caller_in

_FIELDS: Final = (
    *(
        "message",
        "requestId",
        "timestamp",
        "method",
        "path",
        "status",
        "reason",
        "detail",
        "api",
        "callerKey",
        "tenant",
    ),
    *("rule", "backend", "function", "lambdaRequestId", "cold", "map", "source", "id", "receiveCount"),
)
_KINDS: Final[Mapping[str, Way]] = {"stream": "stream", "table": "table", "event-bus": "bus"}
_MAX_STEPS: Final = 16
_MAX_STEP_NAME: Final = 32
_MAX_TEXT: Final = 2048
"""Characters of a value. The bridge itself writes 512 at most."""
_MAX_NUMBER: Final = 2**53
"""A float, and a browser, has each whole number below it."""
_FIRST: Final = datetime(1, 1, 2, tzinfo=UTC).timestamp()
_LAST: Final = datetime(9999, 12, 30, tzinfo=UTC).timestamp()


def logged_at(found: LogLine) -> float:
    """When the bridge wrote a line, in seconds since the epoch; 0 if it does not contain that."""
    return seconds(found.text("timestamp")) or 0.0


def entry_of(found: LogLine) -> Entry:
    """The entry of a request or a record."""
    line = LogLine(_cleaned(found.fields))
    at = logged_at(line)
    total = line.fields["milliseconds"].get("total")
    content = Content(text=line.text("detail"), line=line.fields)
    way, source = _logged_way(line)
    path = line.id if line.is_of_record else line.text("path")
    entry = Entry(way, source, path or "", line.id or "", at, state="ended", content=content)
    entry.method = line.text("method")
    entry.caller = _logged_caller(line)
    entry.tenant, entry.function = line.text("tenant"), line.text("function")
    status = line.fields.get("status")
    entry.status = status if isinstance(status, int) and not isinstance(status, bool) else None
    entry.reason, entry.outcome = line.text("reason"), _logged_outcome(line)
    entry.ms = None if isinstance(total, bool) else total
    entry.cold = line.fields.get("cold") is True
    return entry


def _cleaned(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a line with the values that a bridge can have written."""
    kept = {name: _plain(fields[name]) for name in _FIELDS if name in fields}
    steps = fields.get("milliseconds")
    known = [*steps.items()][:_MAX_STEPS] if isinstance(steps, Mapping) else []
    numbers = {name[:_MAX_STEP_NAME]: _plain(spent) for name, spent in known if isinstance(spent, int | float)}
    return {**kept, "milliseconds": {name: spent for name, spent in numbers.items() if spent is not None}}


def _plain(value: object) -> object:
    """A string of bounded length and without credentials, a finite number, or None."""
    if isinstance(value, str):
        return masked_text(value[:_MAX_TEXT]).text
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) and abs(value) < _MAX_NUMBER else None


def _logged_way(line: LogLine) -> tuple[Way, str]:
    """How it came in. A line does not distinguish Lattice, a load balancer and a function URL."""
    if not line.is_of_record:
        api = line.text("api")
        return ("api", api) if api else ("lattice", "")
    name = line.text("source") or ""
    kind, mark, _ = name.partition("/")
    return _KINDS.get(kind if mark else "", "queue"), name


def _logged_outcome(line: LogLine) -> Outcome:
    status = line.fields.get("status")
    if line.is_of_record:
        return outcome_of(status, "failed")
    if isinstance(status, int) and status >= 500:
        return "failed"
    return "refused" if line.is_refused else "ok"


def _logged_caller(line: LogLine) -> str | None:
    key = line.text("callerKey")
    if key is None:
        return None
    if line.is_of_record:
        return f"account {key}" if key.isdecimal() else f"sender {key}"
    found = caller_in(key)
    return caller_in_words(found.principal if found else None) or key


def seconds(value: object) -> float | None:
    """The seconds since the epoch of a time in ISO 8601.

    An offset can move a time out of the years that `datetime` has: it is then the first or the last one.
    """
    try:
        found = datetime.fromisoformat(value)  # type: ignore[arg-type]  # any other type raises TypeError
    except (TypeError, ValueError):
        return None
    return min(max((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp(), _FIRST), _LAST)
