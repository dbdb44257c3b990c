"""The bridge's log lines, as the stack reads them: which lines they are, and what they say in words.

Rule: a function can print anything. A line is one of the bridge's only if it has every member that the bridge always
writes, with its type; see `telemetry`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn

from lattice_bridge.local.bridge.refusal_causes import cause, record_cause

_MOST_MILLISECONDS: Final = 1e9
"""A function may print any number, also one that no float can have."""


def json_object(line: str) -> dict[str, Any] | None:
    """Parses a line that is one JSON object; None for any other line, and for an object with a name twice.

    >>> json_object('{"a": 1}'), json_object('{"a": NaN}'), json_object("[1]")
    ({'a': 1}, None, None)
    """
    return _parsed(line) if line.startswith("{") else None


@lru_cache(128)
def _parsed(line: str) -> dict[str, Any] | None:
    """The log and the inspector of a stack read the same lines, one shortly after the other."""
    try:
        found: dict[str, Any] = _STRICT.decode(line)
    except (ValueError, RecursionError):
        return None
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    """A number with a fraction or an exponent. 1e999 would become infinity, which JSON cannot express."""
    found = float(number)
    if found in (math.inf, -math.inf):
        raise ValueError(f"{number} is too large")
    return found


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice")
    return found


_STRICT: Final = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_without_repetition
)


# ---- kinds of lines -------------------------------------------------------------------------------------------------


def is_metric(found: Mapping[str, Any]) -> bool:
    """Whether an object is a metric line, which is for CloudWatch."""
    return isinstance(found.get("_aws"), dict) and "CloudWatchMetrics" in found["_aws"]


def is_request(found: Mapping[str, Any]) -> bool:
    """Whether an object is the line of a request."""
    return (
        found.get("message") == "request"
        and isinstance(found.get("requestId"), str)
        and isinstance(found.get("reason"), str)
        and type(found.get("status")) is int
        and isinstance(found.get("milliseconds"), dict)
    )


def is_record(found: Mapping[str, Any]) -> bool:
    """Whether an object is the line of a record."""
    return (
        found.get("message") == "record"
        and all(isinstance(found.get(name), str) for name in ("requestId", "status", "reason"))
        and "id" in found
        and isinstance(found.get("milliseconds"), dict)
    )


def is_configuration(found: Mapping[str, Any]) -> bool:
    """Whether an object is the line of a configuration that was loaded, or that did not load."""
    is_known = found.get("message") in ("map", "closed") and isinstance(found.get("reason"), str)
    return is_known and ("faults" in found or "map" in found)


# ---- what a line says -----------------------------------------------------------------------------------------------


def text_in(found: Mapping[str, Any], name: str) -> str:
    """A member as a string; empty if the line does not have it."""
    return str(found.get(name) or "")


def total_milliseconds(found: Mapping[str, Any]) -> float:
    """Of the whole request or record."""
    total = found["milliseconds"].get("total")
    return float(total) if isinstance(total, int | float) and abs(total) < _MOST_MILLISECONDS else 0.0


def service_and_name(source: str) -> tuple[str, str]:
    """The service and the name in a line's `source`: `orders`, `stream/clicks`, `table/items`, `event-bus/shop`."""
    kind, _, name = source.partition("/")
    service = {"stream": "kinesis", "table": "dynamodb", "event-bus": "events"}.get(kind)
    return (service, name or kind) if service else ("sqs", source)


def request_words(found: Mapping[str, Any]) -> str:
    """Why the bridge refused a request, as a sentence; empty if it did not."""
    if found["reason"] == "ok":
        return ""
    return cause(found["reason"], *(text_in(found, name) for name in ("detail", "rule", "function")))


def record_words(found: Mapping[str, Any]) -> str:
    """Why the bridge refused a record, and where its copy is; empty if it did not."""
    words = ""
    if found["reason"] != "ok":
        detail, rule, function, sender = (text_in(found, name) for name in ("detail", "rule", "function", "callerKey"))
        service, _ = service_and_name(text_in(found, "source"))
        words = record_cause(found["reason"], detail, rule, function, sender, service)
    return f"{words}. A copy is in the quarantine" if found["status"] == "quarantined" else words


# ---- names and ids --------------------------------------------------------------------------------------------------


def function_name(function: str) -> str:
    """The name of a function, without the rest of its ARN and without the qualifier.

    >>> function_name("arn:aws:lambda:eu-west-1:123456789012:function:orders:live"), function_name("orders:live")
    ('orders', 'orders')
    """
    return (function.partition(":function:")[2] or function).partition(":")[0]


def trace_root(trace_id: str) -> str:
    """What all invocations on behalf of one request have in common.

    >>> trace_root("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0")
    'Root=1-5759e988-bd862e3fe1be46a994272793'
    """
    return trace_id.partition(";")[0]
