"""One entry in detail, as a JSON object for the page.

Rule: everything that a client, a function or a person has written passes `mask` first, at most `SHOWN` bytes of it: the
stack does nothing else meanwhile. An entry that has not ended has what is known so far.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from lattice_bridge.local.bridge.log_lines import is_metric, json_object
from lattice_bridge.local.front.exchange.http_message import HttpResponse
from lattice_bridge.local.inspector import mask
from lattice_bridge.local.inspector.entry import Content, Entry, HttpIn, Invoked, InvokeIn, RecordIn, RecordOut

Decide = Callable[[Entry], Mapping[str, Any] | None]
"""Explains how the bridge has decided; None if no bridge has."""

SHOWN: Final = 512 * 1024
"""Bytes of an entry's bodies and lines that are shown together."""
LEAST: Final = 1024
"""Bytes of each body and of each log that are shown anyway."""
BEFORE: Final = 16 * 1024
"""Characters of a log before its shown lines that are masked with them: a private key has fewer."""

_OF_AWS: Final = re.compile("A[KS]IA")
"""The beginning of an access key of AWS. None of the stack's own identities needs one."""
_ACCESS_KEY: Final = re.compile(r"Credential=([A-Za-z0-9]{3,128})/")


def detail(entry: Entry, decide: Decide) -> dict[str, Any]:
    """Everything about an entry."""
    content = entry.content
    shown: dict[str, Any] = {
        "summary": entry.summary(),
        "dropped": content is None,
        "came_in": None,
        "event": None,
        "decision": None,
        "invocations": [],
        "reply": None,
        "steps": [],
        "text": None,
    }
    if content is None:
        return shown
    event, decider, room = content.built_event, _decider(entry, content), _Room()
    return shown | {
        "came_in": _came_in(content, room),
        "event": None if event is None else room.body(event),
        "decision": _masked(decide(entry)),
        "reply": _reply(content, entry, room),
        "invocations": [
            _invocation(one, entry, room, is_bridge=one.is_bridge or one is decider) for one in content.invocations
        ],
        "steps": steps(entry),
        "text": _masked(content.text),
    }


class _Room:
    """How much of an entry is still shown. Of the same bytes, only the first time counts."""

    def __init__(self) -> None:
        self._left = SHOWN
        self._known: dict[int, dict[str, Any]] = {}

    def body(self, data: bytes) -> dict[str, Any]:
        """A body, which the content refers to."""
        if (found := self._known.get(id(data))) is None:
            found = self._known[id(data)] = mask.body(data, min(mask.SHOWN, max(self._left, LEAST)))
            self._left -= found["shown"]
        return found

    def lines(self, lines: Iterable[str]) -> list[str]:
        """The last lines of a log. They are masked with some of those before, in which a credential may begin."""
        known = [line for line in lines if not _is_metric_line(line)]
        limit, margin, shown = max(self._left, LEAST), BEFORE, 0
        kept: list[str] = []
        for line in reversed(known):
            if limit > 0:
                cut = line[:limit]
                kept.append(f"{cut}{'…' if len(cut) < len(line) else ''}")
                limit -= len(cut)
                self._left -= len(cut)
                shown += 1
            elif margin > 0:
                kept.append(line[-margin:])
                margin -= len(line) + 1
            else:
                break
        found = mask.masked_lines(kept[::-1])[len(kept) - shown :]
        left_out = len(known) - shown
        return [f"({left_out} earlier line{'' if left_out == 1 else 's'} left out here)", *found] if left_out else found


def _masked(value: Any) -> Any:
    """JSON without the credentials in its strings."""
    if isinstance(value, str):
        return mask.masked_text(value).text
    if isinstance(value, Mapping):
        return {name: _masked(one) for name, one in value.items()}
    return [_masked(one) for one in value] if isinstance(value, list | tuple) else value


def _came_in(content: Content, room: _Room) -> dict[str, Any] | None:
    found = content.came_in
    if isinstance(found, HttpIn):
        request = found.request
        headers = [(request.spelled.get(name, name), value) for name, value in request.headers]
        return {
            "kind": "http",
            "method": request.method,
            "target": mask.masked_target(request.target),
            "version": found.version,
            "headers": mask.masked_headers(headers),
            "body": room.body(request.body) if found.body_read else None,
            "identity": _identity(found),
        }
    if isinstance(found, RecordIn):
        batch = {"id": found.batch, "size": found.batch_size, "position": found.position, "attempt": found.attempt}
        attributes = {name: mask.masked_field(name, value)[0] for name, value in found.attributes.items()}
        facts = {"batch": batch, "group": _masked(found.group), "attributes": attributes}
        return {"kind": "record", "record": room.body(found.body), **facts}
    if isinstance(found, InvokeIn):
        facts = {"function": _masked(found.function), "tenant": _masked(found.tenant), "type": found.type}
        return {"kind": "invoke", **facts, "payload": room.body(found.payload)}
    return None


def _identity(found: HttpIn) -> dict[str, str | None] | None:
    """The caller that signed. If the front has refused the signature, only the access key that it names."""
    if found.access_key is not None:
        return {"access_key": found.access_key, "principal": found.principal}
    named = (_ACCESS_KEY.search(value) for name, value in found.request.headers if name == "authorization")
    key = next((match[1] for match in named if match is not None), None)
    return None if key is None else {"access_key": mask.masked(key) if _OF_AWS.match(key) else key, "principal": None}


def _invocation(one: Invoked, entry: Entry, room: _Room, *, is_bridge: bool) -> dict[str, Any]:
    return {
        "role": one.role,
        "is_bridge": is_bridge,
        "function": _masked(one.function),
        "tenant": _masked(one.tenant),
        "payload": room.body(one.payload),
        "answer": None if one.answer is None else room.body(one.answer),
        "error": _masked(one.error),
        "environment": _masked(one.environment),
        "cold": one.cold,
        "began": _since(entry, one),
        "init_ms": _rounded(one.init_ms),
        "ms": _rounded(one.ms),
        "log": room.lines(one.log),
    }


def _is_metric_line(line: str) -> bool:
    """Whether a line is for CloudWatch, and hides the others."""
    return line.startswith("{") and "CloudWatchMetrics" in line and is_metric(json_object(line) or {})


def _reply(content: Content, entry: Entry, room: _Room) -> dict[str, Any] | None:
    reply = content.reply
    if isinstance(reply, HttpResponse):
        headers = [*reply.headers, ("x-amzn-requestid", entry.id)]
        return {"status": reply.status, "headers": mask.masked_headers(headers), "body": room.body(reply.body)}
    if isinstance(reply, RecordOut):
        return {"outcome": reply.outcome, "text": _masked(reply.text)}
    return None


# ---- time -----------------------------------------------------------------------------------------------------------


def steps(entry: Entry) -> list[dict[str, Any]]:
    """What took how long, the outer step before what is within it: milliseconds since the beginning of the entry.

    The bridge's own steps are those of its log line. Its clock is not the stack's, so they are placed one after the
    other from the beginning of its invocation. If only the line is known, its total is that of the bridge.
    """
    content = entry.content
    if content is None:
        return []
    found: list[dict[str, Any]] = []
    is_line_alone = content.line is not None and not content.invocations
    if entry.ms is not None:
        outer = "bridge" if is_line_alone else _OUTER.get(entry.way, entry.way)
        found.append(_step(outer, 0.0, entry.ms))
    if content.line is not None and is_line_alone:
        found += _steps_of_bridge(content.line, 0.0)
    decider = _decider(entry, content)
    for one in content.invocations:
        is_bridge = one is decider and one.role == "target"
        name = "bridge" if is_bridge else mask.masked_text(one.function).text
        found += _steps_of(one, _since(entry, one), name, content if one is decider else None)
    return found


def _decider(entry: Entry, content: Content) -> Invoked | None:
    """The invocation whose steps are in the line of the bridge. A file does not tell which functions are bridges."""
    if content.decider is None and (content.line is not None or entry.configuration is not None):
        return next(iter(content.invocations), None)
    return content.decider


_LONGEST_STEP: Final = 64
_OUTER: Final = {"lattice": "front", "api": "front", "load_balancer": "front", "function_url": "front"}


def _steps_of(one: Invoked, began: float, name: str, content: Content | None) -> list[dict[str, Any]]:
    if one.ms is None or one.took_ms is None:
        return []
    found = []
    # The function ran at the end: what comes before is the wait for an environment, or its start.
    runs = began + max(0.0, one.took_ms - one.ms)
    if one.init_ms is not None:
        found.append(_step("cold start", max(began, runs - one.init_ms), one.init_ms, cold=True))
    found.append(_step(name, runs, one.ms))
    if content is not None and content.line is not None:
        found += _steps_of_bridge(content.line, runs)
    return found


def _steps_of_bridge(line: Mapping[str, Any], began: float) -> list[dict[str, Any]]:
    found, at = [], began
    for name, spent in line["milliseconds"].items():
        if name != "total" and isinstance(spent, int | float) and 0 <= spent < 1e9:
            found.append(_step(f"bridge: {mask.masked_text(name[:_LONGEST_STEP]).text}", at, float(spent)))
            at += spent
    return found


def _step(name: str, begins: float, milliseconds: float, *, cold: bool = False) -> dict[str, Any]:
    return {"name": name, "from": round(begins, 3), "ms": round(milliseconds, 3), "cold": cold}


def _since(entry: Entry, one: Invoked) -> float:
    return round(max(0.0, (one.began - entry.at) * 1000), 3)


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)
