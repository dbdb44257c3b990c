"""One log line and one metric line a request.

Rule: an allow-list. No headers, bodies, tokens, queries or claims; every text is capped and ASCII-escaped, so that a
caller can neither forge a line nor fill the log. Metrics have no tenant dimension: it would grow without bound.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from lattice_bridge.errors import BridgeError
from lattice_bridge.message import Request
from lattice_bridge.tenant import Decision

NAMESPACE: Final = "LatticeBridge"
MAX_TEXT: Final = 512
STEPS: Final = ("parse", "decide", "encode", "invoke", "reply")

_T = TypeVar("_T")


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

    def lap(self, step: str, value: _T) -> _T:
        """Books the time since the last lap on `step`, and passes its result on."""
        now = self._clock()
        self.milliseconds[step] = round((now - self._last) * 1000, 3)
        self._last = now
        return value

    @property
    def total(self) -> float:
        return round((self._clock() - self._started) * 1000, 3)


def lines(record: Record, *, request_id: str, cold: bool, map_sha256: str | None, now: float) -> str:
    """The two lines, each ending in a newline.

    Args:
        record: the request.
        request_id: Lattice's id for it, or Lambda's.
        cold: the first request of this execution environment.
        map_sha256: which tenant map decided.
        now: seconds since the epoch.
    """
    total = record.total
    log = _log(record, request_id, cold, map_sha256, total)
    metric = _metric(record, request_id, cold, now, total)
    return f"{_to_line(log)}\n{_to_line(metric)}\n"


def _log(record: Record, request_id: str, cold: bool, map_sha256: str | None, total: float) -> dict[str, Any]:
    request, decision, refusal = record.request, record.decision, record.refusal
    return {
        "level": "ERROR" if record.status >= 500 else "WARN" if refusal else "INFO",
        "message": "request",
        "requestId": request_id,
        "method": request.method if request else None,
        "path": request.path if request else None,
        "status": record.status,
        "reason": refusal.reason if refusal else "ok",
        "detail": refusal.detail if refusal else None,
        "tenant": decision.tenant if decision else None,
        "rule": decision.rule if decision else None,
        "backend": record.backend,
        "milliseconds": {**record.milliseconds, "total": total},
        "cold": cold,
        "map": map_sha256,
    }


def _metric(record: Record, request_id: str, cold: bool, now: float, total: float) -> dict[str, Any]:
    """CloudWatch's embedded metric format. `Backend` and `Reason` come from closed sets: bridge.toml and errors.py."""
    metrics = [
        {"Name": "Requests", "Unit": "Count"},
        {"Name": "Refusals", "Unit": "Count"},
        {"Name": "Errors", "Unit": "Count"},
        {"Name": "ColdStarts", "Unit": "Count"},
        {"Name": "Latency", "Unit": "Milliseconds"},
        {"Name": "Overhead", "Unit": "Milliseconds"},
    ]
    dimensions = [["Backend"], ["Backend", "Reason"]]
    return {
        "_aws": {
            "Timestamp": int(now * 1000),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}],
        },
        "Backend": record.backend or "none",
        "Reason": record.refusal.reason if record.refusal else "ok",
        "Requests": 1,
        "Refusals": int(400 <= record.status < 500),
        "Errors": int(record.status >= 500),
        "ColdStarts": int(cold),
        "Latency": total,
        "Overhead": round(total - record.milliseconds.get("invoke", 0.0), 3),
        "requestId": request_id,
        "tenant": record.decision.tenant if record.decision else None,
    }


def _to_line(fields: dict[str, Any]) -> str:
    capped = {
        name: value[:MAX_TEXT] if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }
    return json.dumps(capped, separators=(",", ":"))
