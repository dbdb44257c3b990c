"""One log line and one metric line a request.

Rule: an allow-list. No headers, bodies, tokens, queries or claims; every text is capped and ASCII-escaped, so that a
caller can neither forge a line nor fill the log. Metrics have no tenant dimension: it would grow without bound.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from lattice_bridge.errors import BridgeError, InvalidMap
from lattice_bridge.message import Request
from lattice_bridge.tenancy.decide import Decision

NAMESPACE: Final = "LatticeBridge"
"""Where metrics go, unless `LATTICE_BRIDGE_METRICS_NAMESPACE` says otherwise."""
NAMESPACE_VARIABLE: Final = "LATTICE_BRIDGE_METRICS_NAMESPACE"
MAX_TEXT: Final = 512
MAX_FAULTS: Final = 100
"""Of a configuration, in its log line. `lattice-bridge check` shows them all."""

_LEVELS: Final = {"TRACE": 0, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}
_METRICS: Final = {
    "Dimensions": [["Backend"], ["Backend", "Reason"]],
    "Metrics": [
        {"Name": "Requests", "Unit": "Count"},
        {"Name": "Refusals", "Unit": "Count"},
        {"Name": "Errors", "Unit": "Count"},
        {"Name": "ColdStarts", "Unit": "Count"},
        {"Name": "Latency", "Unit": "Milliseconds"},
        {"Name": "Overhead", "Unit": "Milliseconds"},
    ],
}
_LOOK_METRICS: Final = {
    "Dimensions": [[]],
    "Metrics": [{"Name": "MapFailures", "Unit": "Count"}],
}
_NAMESPACE: Final = re.compile(r"(?!AWS/)[A-Za-z0-9._/#-]{1,255}")
"""CloudWatch drops the metrics of one that it does not take, and says so nowhere; it keeps AWS/ to itself."""
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


class Record:
    """What is known of one request, filled in on its way.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._started = self._last = clock()
        self.milliseconds: dict[str, float] = {}
        self.request: Request | None = None
        self.decision: Decision | None = None
        self.backend: str | None = None
        self.refusal: BridgeError | None = None
        self.status = 0
        self._current = ""

    def step(self, name: str) -> None:
        """The step before this one ends, and `name` begins. One that raises is ended by `end`, and so is counted."""
        now = self._clock()
        if self._current:
            self.milliseconds[self._current] = round((now - self._last) * 1000, 3)
        self._current, self._last = name, now

    def end(self) -> float:
        """The last step ends. Returns the milliseconds of all."""
        self.step("")
        return round((self._last - self._started) * 1000, 3)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a line says that is not the request's own.

    Attributes:
        request_id: Lattice's id for the request, or Lambda's.
        cold: the first request of this execution environment.
        map_sha256: which tenant map decided.
        now: seconds since the epoch.
    """

    request_id: str
    cold: bool
    map_sha256: str | None
    now: float


def to_stdout(text: str) -> None:
    """Where Lambda reads its log lines. Looked up per line: the runtime puts its own stream there."""
    sys.stdout.write(text)


def namespace_of(environ: Mapping[str, str]) -> str:
    """The namespace of the metrics.

    Raises:
        InvalidMap: CloudWatch would not take it, and every alarm would be blind.
    """
    namespace = environ.get(NAMESPACE_VARIABLE) or NAMESPACE
    if not _NAMESPACE.fullmatch(namespace):
        fault = f"{NAMESPACE_VARIABLE}: write letters, digits and . _ / # -, 255 at most, and not AWS/ at the beginning"
        raise InvalidMap([fault])
    return namespace


def lines(record: Record, around: Circumstances, log_level: str = "INFO", namespace: str = NAMESPACE) -> str:
    """The two lines, each ending in a newline; the metric line alone if the log line's level is below `log_level`."""
    total = record.end()
    level = "ERROR" if record.status >= 500 else "WARN" if record.refusal else "INFO"
    log = (
        f"{_to_line(_log(record, around, level, total))}\n"
        if _LEVELS.get(level, 0) >= _LEVELS.get(log_level, 0)
        else ""
    )
    return f"{log}{_head(around.now, _request_metrics(namespace))}{_to_line(_metric(record, around, total))[1:]}\n"


def look_lines(
    before: str | None, after: str | None, refusal: BridgeError | None, now: float, namespace: str = NAMESPACE
) -> str:
    """The lines for a configuration that was replaced, or that could not be; with the metric that an alarm watches.

    Args:
        before, after: sha256 of what was in force, and is; None if nothing.
        refusal: why nothing newer is.
        now: seconds since the epoch.
        namespace: of the metric.
    """
    faults = list(refusal.faults if isinstance(refusal, InvalidMap) else [refusal.detail] if refusal else [])
    log = {
        "timestamp": _timestamp(now),
        "level": "ERROR" if refusal else "INFO",
        "message": "map" if after else "closed",
        "reason": refusal.reason if refusal else "ok",
        "faults": [fault[:MAX_TEXT] for fault in faults[:MAX_FAULTS]] or None,
        "map": after,
        "replaces": before if before != after else None,
    }
    metric = {"MapFailures": int(refusal is not None)}
    return f"{_to_line(log)}\n{_head(now, _look_metrics(namespace))}{_to_line(metric)[1:]}\n"


@cache
def _request_metrics(namespace: str) -> str:
    return json.dumps({"Namespace": namespace, **_METRICS}, separators=(",", ":"))


@cache
def _look_metrics(namespace: str) -> str:
    return json.dumps({"Namespace": namespace, **_LOOK_METRICS}, separators=(",", ":"))


def _timestamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")


def _log(record: Record, around: Circumstances, level: str, total: float) -> dict[str, Any]:
    request, decision, refusal = record.request, record.decision, record.refusal
    return {
        "timestamp": _timestamp(around.now),
        "level": level,  # with a timestamp, Lambda itself filters JSON lines by it
        "message": "request",
        "requestId": around.request_id,
        "method": request.method if request else None,
        "path": request.path if request else None,
        "status": record.status,
        "reason": refusal.reason if refusal else "ok",
        "detail": refusal.detail if refusal else None,
        "tenant": decision.tenant if decision else None,
        "rule": decision.rule if decision else None,
        "backend": record.backend,
        "milliseconds": {**record.milliseconds, "total": total},
        "cold": around.cold,
        "map": around.map_sha256,
    }


def _metric(record: Record, around: Circumstances, total: float) -> dict[str, Any]:
    """CloudWatch's embedded metric format. `Backend` and `Reason` come from closed sets: bridge.toml and errors.py."""
    return {
        "Backend": record.backend or "none",
        "Reason": record.refusal.reason if record.refusal else "ok",
        "Requests": 1,
        "Refusals": int(record.refusal is not None and record.status < 500),
        "Errors": int(record.status >= 500),
        "ColdStarts": int(around.cold),
        "Latency": total,
        "Overhead": round(total - record.milliseconds.get("invoke", 0.0), 3),
        "requestId": around.request_id,
        "tenant": record.decision.tenant if record.decision else None,
    }


def _head(now: float, metrics: str) -> str:
    """The beginning of a line in CloudWatch's embedded metric format: what of it never changes was written once."""
    return f'{{"_aws":{{"Timestamp":{int(now * 1000)},"CloudWatchMetrics":[{metrics}]}},'


def _to_line(fields: dict[str, Any]) -> str:
    """ASCII, without what is None, and the texts at the top capped; below it there are only our own."""
    capped = {
        name: value[:MAX_TEXT] if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }
    return _ENCODER.encode(capped)
