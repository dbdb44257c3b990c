"""One entry of the timeline: a request, a record or an invocation, with what happened to it.

Rule: an entry refers to the bytes that the stack has anyway. Nothing is copied, parsed or masked while a request is
served: `detail` does that when a person looks at the entry.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from lattice_bridge.errors import BridgeError
from lattice_bridge.http.memory import Memory
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.bridge.log_lines import json_object
from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.review import records

Way = Literal["lattice", "api", "load_balancer", "function_url", "queue", "stream", "table", "bus", "async", "invoke"]
"""How it came in."""
State = Literal["running", "ended"]
Role = Literal["authorizer", "target", "behind"]
"""Whether an invocation decides that a request may come in, is that of the way in, or is one that a function has
asked for."""
Outcome = Literal["ok", "refused", "failed", "quarantined", "fixed"]
OUTCOMES: Final[Mapping[str, Outcome]] = {"invoked": "ok", "quarantined": "quarantined", "reported": "failed"}
"""What became of a record, as an explanation calls it → the outcome."""

OVERHEAD: Final = 2048
"""Bytes of memory that an entry's content takes beside its bytes, and so does each of its invocations."""
_PAIR: Final = 120
"""Bytes of memory that a header takes beside its characters."""
_LINE: Final = 64
"""Bytes of memory that a log line takes beside its characters. A character above U+00FF makes each of them two or four
bytes."""
LONGEST: Final = 1024
"""Characters of a text of an entry that stay when its content is dropped."""


class HttpIn(NamedTuple):
    """A request of HTTP, as it came in.

    Attributes:
        request: as it arrived.
        version: of HTTP, as in `1.1`.
        access_key: that its signature names; None if it is not signed. The front may have refused the signature.
        principal: the caller whose signature was verified.
        body_read: its body was read. If not, the front has refused it before, and the body of `request` is empty.
    """

    request: HttpRequest
    version: str = "1.1"
    access_key: str | None = None
    principal: str | None = None
    body_read: bool = True

    @property
    def size(self) -> int:
        request = self.request
        return len(request.target) + len(request.body) + _size_of(request.headers)


class RecordIn(NamedTuple):
    """A record that came in with others in a batch.

    Attributes:
        body: the record as JSON, as Lambda makes it.
        batch: the request id of the invocation with the batch.
        batch_size: records in it.
        position: of the record, from 1.
        attempt: how often the record has been delivered, with this time.
        group: the message group, or the key that orders a stream; None without one.
        attributes: further facts, such as the shard.
        target: the function of the mapping or of the rule.
    """

    body: bytes
    batch: str = ""
    batch_size: int = 1
    position: int = 1
    attempt: int = 1
    group: str | None = None
    attributes: Mapping[str, str] = MappingProxyType({})
    target: str = ""

    @property
    def size(self) -> int:
        return len(self.body) + _size_of(self.attributes.items())


class InvokeIn(NamedTuple):
    """An Invoke of Lambda's API, or the try of an asynchronous one.

    Attributes:
        function: as the caller has named it.
        payload: as sent.
        tenant: as sent.
        type: of the invocation.
    """

    function: str
    payload: bytes
    tenant: str | None = None
    type: Literal["RequestResponse", "Event", "DryRun"] = "RequestResponse"

    @property
    def size(self) -> int:
        return len(self.payload)


@dataclass(slots=True, eq=False, repr=False)  # two are never the same; its bytes may be credentials
class Invoked:
    """An invocation of a function on behalf of an entry.

    Attributes:
        function: its name.
        request_id: of the invocation.
        payload: that the function receives.
        began: seconds since the epoch.
        tenant: of the invocation.
        answer: of the function, or its error as JSON; None before it has ended, or if Lambda has refused it.
        error: `Unhandled` or Lambda's refusal; None without one.
        environment: the label of the execution environment, as in `orders/blue#1`.
        cold: the environment was started for this invocation.
        init_ms: of its start.
        ms: that the function ran.
        took_ms: from its beginning to its end, with the wait for an environment and its start.
        log: lines that the environment has printed meanwhile.
        shared_by: entries that refer to this invocation, as the records of a batch do.
        role: what it is for.
        is_bridge: its function is a bridge, or the map as an authorizer.
    """

    function: str
    request_id: str
    payload: bytes
    began: float
    tenant: str | None = None
    answer: bytes | None = None
    error: str | None = None
    environment: str | None = None
    cold: bool = False
    init_ms: float | None = None
    ms: float | None = None
    took_ms: float | None = None
    log: Sequence[str] = ()
    shared_by: int = 1
    role: Role = "target"
    is_bridge: bool = False

    @property
    def size(self) -> int:
        """The share of one entry in the bytes."""
        own = len(self.payload)
        if self.answer is not None:
            own += len(self.answer)
        if self.error is not None:
            own += len(self.error)
        for line in self.log:
            own += _LINE + (len(line) if line.isascii() else 4 * len(line))
        return OVERHEAD + (own if self.shared_by == 1 else own // self.shared_by)


class RecordOut(NamedTuple):
    """What became of a record.

    Attributes:
        outcome: in a few words, such as `deleted`.
        text: a sentence about it; empty for none.
    """

    outcome: str
    text: str = ""


class Content:
    """Everything of an entry that its summary does not have.

    Attributes:
        came_in: as it came in; None if only the log line of a bridge is known.
        event: as the platform builds it; None for the payload of the first invocation.
        invocations: in the order in which they began: the bridge first, then what it invoked.
        reply: to the caller, or what became of a record; None before the end.
        text: the cause in a sentence, as the terminal shows it; None for none.
    """

    __slots__ = ("_line", "came_in", "event", "invocations", "reply", "text")

    def __init__(
        self,
        came_in: HttpIn | RecordIn | InvokeIn | None = None,
        event: bytes | None = None,
        invocations: list[Invoked] | None = None,
        reply: HttpResponse | RecordOut | None = None,
        text: str | None = None,
        line: Mapping[str, Any] | str | None = None,
    ) -> None:
        self.came_in = came_in
        self.event = event
        self.invocations: list[Invoked] = [] if invocations is None else invocations
        self.reply = reply
        self.text = text
        self._line = line

    @property
    def line(self) -> Mapping[str, Any] | None:
        """The log line of the bridge about the entry; None without one."""
        return json_object(self._line) if isinstance(self._line, str) else self._line

    @line.setter
    def line(self, line: Mapping[str, Any] | str | None) -> None:
        """Takes a line. As printed, it costs no memory: the log of its invocation has the same string."""
        self._line = line

    @property
    def has_line(self) -> bool:
        return self._line is not None

    @property
    def built_event(self) -> bytes | None:
        """The event that the platform has built for the target; None if it did not come to that."""
        if self.event is not None:
            return self.event
        target = next((one for one in self.invocations if one.role == "target"), None)
        found = target or next(iter(self.invocations), None)
        return None if found is None else found.payload

    @property
    def decider(self) -> Invoked | None:
        """The invocation whose map has decided: the bridge, or else the authorizer. None if neither is a bridge."""
        return next((one for one in reversed(self.invocations) if one.is_bridge), None)

    @property
    def backend(self) -> Invoked | None:
        """What the target has invoked first, without the tries that Lambda has refused; None for nothing."""
        found = None
        for one in reversed(self.invocations):
            if one.role != "behind":
                break
            if found is None or one.answer is not None or one.error is None:
                found = one
        return found

    @property
    def size(self) -> int:
        """Bytes of memory, or slightly more."""
        size = OVERHEAD
        for one in self.invocations:
            size += one.size
        if self.text is not None:
            size += len(self.text)
        line, reply = self._line, self.reply
        if line is not None and not isinstance(line, str):
            size += sum(_PAIR + len(value) for value in line.values() if isinstance(value, str))
            size += _PAIR * sum(len(value) for value in line.values() if isinstance(value, list | dict))
        if self.came_in is not None:
            size += self.came_in.size
        if self.event is not None:
            size += len(self.event)
        if isinstance(reply, HttpResponse):
            size += len(reply.body) + _size_of(reply.headers)
        elif reply is not None:
            size += len(reply.text)
        return size

    def copied(self) -> Content:
        """A copy that does not change any more. The bytes are the same."""
        return Content(self.came_in, self.event, [*map(copy, self.invocations)], self.reply, self.text, self._line)


@dataclass(slots=True, eq=False, repr=False)  # as above
class Entry:
    """A line of the timeline.

    Attributes:
        way: how it came in.
        source: the service, API, queue, stream, table or bus; empty for an Invoke.
        path: without the query; of a record its id, of an event its detail type, of an Invoke the function.
        id: of the request or message.
        at: seconds since the epoch.
        n: its number, from 1, which the timeline gives.
        method: of HTTP.
        caller: for people, as in `role blue-api`.
        tenant: that it runs as.
        state: whether it has ended.
        outcome: None while it runs.
        status: of the HTTP response.
        reason: `ok`, or the reason code of the refusal.
        ms: milliseconds from its beginning to its end.
        cold: an environment was started for it.
        function: that has answered it: with a bridge in the way, the function behind it.
        replay_of: the number of the entry that it repeats.
        content: None if it is no longer kept.
        configuration: the map that the bridge had.
        change: the number of its last change, which the timeline gives.
        bytes: of its content, as the timeline has counted them.
    """

    way: Way
    source: str
    path: str
    id: str
    at: float
    n: int = 0
    method: str | None = None
    caller: str | None = None
    tenant: str | None = None
    state: State = "running"
    outcome: Outcome | None = None
    status: int | None = None
    reason: str | None = None
    ms: float | None = None
    cold: bool = False
    function: str | None = None
    replay_of: int | None = None
    content: Content | None = None
    configuration: BridgeConfiguration | None = None
    change: int = 0
    bytes: int = 0

    def bound(self) -> None:
        """Cuts its texts: they stay when the content is dropped. The whole ones are in the content."""
        if (
            len(self.path) + len(self.id) + len(self.source) + len(self.caller or "") < LONGEST
            and (len(self.tenant or "") + len(self.reason or "") + len(self.function or "") + len(self.method or ""))
            < LONGEST
        ):
            return
        for name in _TEXTS:
            text = getattr(self, name)
            if text is not None and len(text) > LONGEST:
                setattr(self, name, f"{text[:LONGEST]}…")

    def copied(self) -> Entry:
        """A copy that does not change any more, for a thread."""
        found = copy(self)
        found.content = None if self.content is None else self.content.copied()
        return found

    def summary(self) -> dict[str, Any]:
        """The entry as a JSON object, without its content and without credentials."""
        found = {name: getattr(self, name) for name in _SUMMARY}
        for name in _TEXTS:
            if text := found[name]:
                found[name] = _without_credentials(text)
        return found


_SUMMARY: Final = (
    *("n", "at", "way", "source", "method", "path", "id", "caller", "tenant", "state", "outcome", "status", "reason"),
    *("ms", "cold", "function", "replay_of"),
)
_TEXTS: Final = ("source", "method", "path", "id", "caller", "tenant", "reason", "function")
"""Those of its values that a caller, a sender or a function may have chosen."""


def _without_credentials(text: str) -> str:
    from lattice_bridge.local.inspector.mask import masked_text  # here: the start of a stack needs none of it

    found = MASKED_TEXTS.get(text)
    if found is None:
        found = masked_text(text).text
        MASKED_TEXTS.keep(text, found, len(text))
    return found


MASKED_TEXTS: Final = Memory[str, str](entries=1024, characters=LONGEST)
"""Texts as summaries show them. A path may have as many characters as a head: such a one is masked each time."""


def outcome_of(status: object, otherwise: Outcome) -> Outcome:
    """The outcome of a record, by the status in its log line.

    Args:
        status: as in the line.
        otherwise: for a status that no bridge writes.
    """
    return OUTCOMES.get(records.OUTCOMES.get(str(status), ""), otherwise)


def caller_in_words(arn: str | None) -> str | None:
    """A caller in short.

    >>> caller_in_words("arn:aws:sts::111122223333:assumed-role/blue-api/i-0123")
    'role blue-api'
    >>> caller_in_words("arn:aws:iam::111122223333:user/team/ann"), caller_in_words("arn:aws:iam::111122223333:root")
    ('user ann', 'account 111122223333')
    """
    if arn is None:
        return None
    try:
        found = parse_arn(arn)
    except BridgeError:
        return arn[:LONGEST]
    if found.kind == "root":
        return f"account {found.account}"
    return f"{'role' if found.kind == 'assumed-role' else found.kind} {found.name}"


def _size_of(pairs: Collection[tuple[str, str]]) -> int:
    return len(pairs) * _PAIR + sum(map(len, chain.from_iterable(pairs)))
