"""Decides to which entry something belongs that a part of the stack reports.

Rule: no sender and no function decides it. The front's requests, batches and queued invocations are found by ids that
the stack has made. What a function invokes is found by the root of its trace id, and what a bridge invokes for one
record by that record's id; the bridge's line about the record then decides between several. An invocation that could
belong to two entries is one of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.bridge.log_lines import function_name, trace_root
from lattice_bridge.local.inspector.entry import Content, Entry, Invoked, Role

RECORD_ID: Final = re.compile(rb'"(?:messageId|eventID)"\s*:\s*"([^"\\]{1,200})"')
"""The id of a record, in its JSON."""
_OF_ONE_RECORD: Final = re.compile(rb'\s*\{\s*"Records"\s*:\s*\[')
"""The beginning of the event that a bridge makes of a record."""
_MAX_CLAIMS: Final = 20
"""Claims of a record that are compared. A function can send many."""


@dataclass(slots=True, eq=False, repr=False)
class Open:
    """An entry that has not ended, or whose invocations have not.

    Attributes:
        entry: in the timeline.
        content: its content. The timeline may have dropped it.
        record: the id by which its line is found among those of its batch.
        event: the id by which its invocation is found.
        milliseconds: until its line; the other records of its batch may take longer. None without a line.
        claims: invocations whose payload has the id of the record.
    """

    entry: Entry
    content: Content
    record: str = ""
    event: str = ""
    milliseconds: float | None = None
    claims: list[Invoked] = field(default_factory=list)


@dataclass(slots=True, eq=False, repr=False)
class Work:
    """A request, a batch or an invocation, to which invocations belong.

    Attributes:
        opens: its entries; several for a batch.
        function: the name of the function that it is for; empty if it is not known yet.
        target: the same as it was named.
        is_bridge: that function is one.
        traces: its trace ids.
        roots: of its trace ids.
        sent: the roots of the trace ids that the senders of its messages have chosen. They count only together with
            the id of a record.
        running: invocations that have not ended.
        has_ended: all of its entries have.
        invocation: the request id of the asynchronous invocation that it waits for; None without one.
    """

    opens: Sequence[Open]
    function: str = ""
    target: str | None = None
    is_bridge: bool = False
    traces: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    sent: tuple[str, ...] = ()
    running: int = 0
    has_ended: bool = False
    invocation: str | None = None


class Place(NamedTuple):
    """Where an invocation belongs.

    Attributes:
        work: that it is for; None for none.
        opens: the entries of it.
        role: what it is for.
        claims: the record whose id its payload has; None for none.
    """

    work: Work | None
    opens: Sequence[Open] = ()
    role: Role = "target"
    claims: Open | None = None


_NOWHERE: Final = Place(None)


class Pairing:
    """What is open, by the ids under which it is reported.

    Attributes:
        requests: of the front, by their ids.
        invokes: what an invocation ends, by its request id: batches, events and queued invocations.
    """

    def __init__(self) -> None:
        self.requests: dict[str, Work] = {}
        self.invokes: dict[str, Work] = {}
        self._asking: tuple[str, Work, Role] | None = None
        self._roots: dict[str, tuple[Work, ...]] = {}
        self._sent: dict[str, tuple[Work, ...]] = {}

    def __len__(self) -> int:
        """What is kept: nothing once everything has ended."""
        return len(self.requests) + len(self.invokes) + len(self._roots) + len(self._sent)

    def ask(self, work: Work, trace_id: str, role: Role) -> None:
        """Expects the invocation that the front makes for a request next."""
        self._asking = (trace_id, work, role)
        self.add_trace(work, trace_id)

    def add_trace(self, work: Work, trace_id: str) -> None:
        """Takes a trace id that the stack has given to a work."""
        if trace_id in work.traces:
            return
        work.traces += (trace_id,)
        root = trace_root(trace_id)
        if root not in work.roots:
            work.roots += (root,)
            self._roots[root] = (*self._roots.get(root, ()), work)

    def add_batch(self, request_id: str, work: Work, traces: Iterable[str]) -> None:
        """Takes a batch, with the trace ids that its function may use."""
        work.sent = tuple({trace_root(trace): None for trace in traces})
        for root in work.sent:
            self._sent[root] = (*self._sent.get(root, ()), work)
        self.invokes[request_id] = work

    def close(self, work: Work) -> None:
        """Forgets a work that has ended, unless its invocations run on."""
        if work.running or not work.has_ended:
            return
        for roots, table in ((work.roots, self._roots), (work.sent, self._sent)):
            for root in roots:
                others = tuple(other for other in table.get(root, ()) if other is not work)
                if others:
                    table[root] = others
                else:
                    table.pop(root, None)
        work.roots = work.sent = work.traces = ()

    def place_of(self, request: InvokeRequest) -> Place:
        """Where an invocation belongs. No work if it belongs to none."""
        if (own := self.invokes.get(request.request_id)) is not None:
            return Place(own, own.opens)
        asking, self._asking = self._asking, None
        trace_id = request.trace_id
        if asking is not None and asking[0] == trace_id:  # the front awaits nothing between the two calls
            _, work, role = asking
            return Place(work, work.opens, role)
        if trace_id is None:
            return _NOWHERE
        root = trace_root(trace_id)
        works, sent = self._roots.get(root, ()), self._sent.get(root, ())
        of_record = _of_record(request.payload, works, sent)
        if of_record is not None and of_record.work is not None:
            return of_record
        # A client may choose the trace id of a request, and a sender that of a message. What could belong to two of
        # them belongs to none.
        exact = works if len(works) == 1 else [work for work in works if trace_id in work.traces]
        if len(exact) != 1 or len(exact[0].opens) != 1 or any(work is not exact[0] for work in sent):
            return of_record or _NOWHERE
        (work,) = exact
        is_first = all(before.function != work.function for before in work.opens[0].content.invocations)
        is_target = is_first and function_name(request.function) == work.function
        return Place(work, work.opens, "target" if is_target else "behind", of_record and of_record.claims)


def _of_record(payload: bytes, *tables: Sequence[Work]) -> Place | None:
    """The place of what a bridge invokes for a record, by the record's id in the payload; None for anything else.

    A function behind the bridge may send any payload, also before the bridge does. So the first invocation has the
    place only until the bridge's line about the record: see `settled`.
    """
    if not any(tables) or _OF_ONE_RECORD.match(payload) is None or (match := RECORD_ID.search(payload)) is None:
        return None
    event = match[1].decode("utf-8", "replace")
    found = [
        (work, one) for works in tables for work in works if work.is_bridge for one in work.opens if one.event == event
    ]
    for work, one in found:
        backend = one.content.backend
        if backend is None or (backend.answer is None and backend.error is not None):
            return Place(work, [one], "behind", one)
    return Place(None, claims=found[0][1]) if found else None


def claim(one: Open, invoked: Invoked) -> None:
    """Takes an invocation whose payload has the id of a record."""
    if len(one.claims) < _MAX_CLAIMS and invoked not in one.claims:
        one.claims.append(invoked)


def settled(one: Open, function: str, tenant: str | None) -> list[Invoked]:
    """Leaves a record only the invocation that its bridge has made for it, as the bridge's line describes it.

    Args:
        one: the record.
        function: that the bridge has invoked; empty if the line does not contain it.
        tenant: as which; None if the bridge has refused the record, and invoked nothing.

    Returns:
        Those that had its place although another function has made them. They are in no entry now.
    """
    content, claims = one.content, one.claims
    one.claims = []
    own = [found for found in claims if _fits(found, function, tenant)]
    strangers = [found for found in claims if found not in own and found in content.invocations]
    content.invocations = [found for found in content.invocations if found not in strangers]
    if strangers and len(own) == 1 and own[0] not in content.invocations:
        (found,) = map(copy, own)  # it has an entry of its own too
        found.role = "behind"
        content.invocations.append(found)
    return strangers


def _fits(found: Invoked, function: str, tenant: str | None) -> bool:
    is_function = not function or found.function == function
    return is_function and tenant is not None and found.tenant in (None, tenant)
