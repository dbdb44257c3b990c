"""The timeline of a file: events that were recorded, or log lines of a deployed bridge.

Rule: a file is only read, and another person may have written it. What it does not contain is left open.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar

from lattice_bridge.errors import BridgeError
from lattice_bridge.events.batch import Batch
from lattice_bridge.events.recognise import source_of
from lattice_bridge.events.record import Record
from lattice_bridge.local.inspector.decision import of_event
from lattice_bridge.local.inspector.entry import OUTCOMES, Content, Entry, Invoked, RecordIn, Way, caller_in_words
from lattice_bridge.local.inspector.logged import entry_of, logged_at, seconds
from lattice_bridge.local.inspector.mask import masked_target
from lattice_bridge.local.inspector.timeline import MAX_ENTRIES, Timeline
from lattice_bridge.message import Request
from lattice_bridge.review.document import Document, Explainer, Unexplained
from lattice_bridge.review.line_document import is_another_outcome, of_line, of_line_alone
from lattice_bridge.review.log_line import LogLine, request_lines
from lattice_bridge.review.records import Sources
from lattice_bridge.review.requests import parse_any

Found = TypeVar("Found")

NOTHING_DESCRIBED: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("principal", "session", "header", "vpc", "org", "service", "network", "x509_san_uri", "api")),
    **dict.fromkeys(("authorizer", "client_cert", "source", "sender", "event_account", "bus_source", "detail_type")),
    "claim": None,
    "claims": {},
}
"""The options of `explain` that add facts to a log line; none of them is given."""

_ONE_LINE: Final = re.compile(r"\s*[{\[]\s*\Z")
"""The first line of a file that is one JSON document on several lines."""
_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_WAYS: Final[Mapping[str, Way]] = {"sqs": "queue", "kinesis": "stream", "dynamodb": "table", "events": "bus"}


class BadContent(Exception):
    """A file that contains nothing to show. The message has the form `what is wrong. Fix: …`."""


class Recorded(NamedTuple):
    """An event, and what became of it.

    Attributes:
        event: parsed.
        expected: what `local --record` writes beside it: `about`, `recorded`, and `reply` or `error`. Empty for none.
        name: of the file, or the line.
    """

    event: Any
    expected: Mapping[str, Any] = {}
    name: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a file shows.

    Attributes:
        timeline: with its entries, the last ones if there are too many.
        kind: of the entries, in words.
        left_out: the entries before those of the timeline.
        began, ended: seconds since the epoch of the first and the last entry; None if no entry has a time.
    """

    timeline: Timeline
    kind: str
    left_out: int
    began: float | None
    ended: float | None


class FromFile:
    """Makes the timeline of a file, and explains its entries.

    Args:
        explainer: explains by a map; None without one.
        map_name: its name, for people.
        now: seconds since the epoch: the time of an event that contains none.
    """

    def __init__(self, explainer: Explainer | None, map_name: str | None, now: float) -> None:
        self._explainer = None if explainer is None else replace(explainer, with_conditions=True)
        self._map_name = map_name
        self._now = now

    def of_text(self, text: str) -> Shown:
        """The timeline of a file: of log lines, or of events, one on each line or one alone.

        Raises:
            BadContent: it has neither.
        """
        events = _events_in(text)
        if events is not None:
            return self.of_events(events)
        latest = _latest(request_lines(text), logged_at)
        if not latest.kept:
            raise BadContent(
                "neither an event nor a log line of a request in it. Fix: give a folder of `local --record`, a file of "
                'events, or the bridge\'s log: lines with "message": "request" or "record"'
            )
        return _shown([entry_of(line) for line in latest.kept], "log lines", latest.left_out)

    def of_events(self, events: Iterable[Recorded]) -> Shown:
        """The timeline of events.

        Raises:
            BadContent: there is none.
        """
        latest = _latest((entry for recorded in events for entry in self._of_event(recorded)), lambda entry: entry.at)
        if not latest.kept:
            raise BadContent("no event in it. Fix: give a folder of `local --record`, or a file of events")
        return _shown(latest.kept, "events", latest.left_out)

    # ---- decisions ---------------------------------------------------------------------------------------------------

    def decide(self, entry: Entry) -> Mapping[str, Any] | None:
        """The decision about an entry, as `detail` shows it. None without a map, unless its log line has one."""
        content = entry.content
        if content is None:
            return None
        try:
            if content.line is not None:
                return self._of_logged(LogLine(content.line))
            return None if self._explainer is None else self._of_recorded(entry, content)
        except Exception as error:  # the page shows everything else of the entry
            what = f"decision: it cannot be explained ({type(error).__name__}). Fix: report this"
            return self._decision([], error=what)

    def _of_logged(self, line: LogLine) -> Mapping[str, Any]:
        alone = of_line_alone(line, self._explainer)
        if self._explainer is None:
            note = "log line: without a map, only its own facts are known. Fix: add --map FILE"
            return self._decision([alone], error=note)
        same_map = alone["log"]["same_map"]
        if not line.is_refused or line.text("tenant") is not None:  # the decision allowed it, so no caller is named
            return self._decision([alone], same_map=same_map)
        try:
            document = of_line(line, dict(NOTHING_DESCRIBED), self._explainer)
        except Unexplained as error:
            what, _, fix = str(error).partition(". Fix: ")
            note = f"{what}. Fix: in `lattice-bridge explain --log FILE --request-id {line.id}`, {fix}"
            return self._decision([alone], same_map=same_map, error=note)
        if not document["allowed"]:
            return self._decision([document], same_map=same_map)
        would = f"it would run as {document['tenant']}"
        if is_another_outcome(document):
            kept = ("allowed", "tenant", "reason", "detail", "status")
            document |= {name: alone[name] for name in kept}
            note = f"log line: it lacks the fact that decided; with what it contains alone, {would}"
        else:
            note = f"log line: another map refused this request; by this one, with what the line contains, {would}"
        return self._decision([document], same_map=same_map, error=note)

    def _of_recorded(self, entry: Entry, content: Content) -> Mapping[str, Any]:
        assert self._explainer is not None
        record_id = entry.id if isinstance(content.came_in, RecordIn) else None
        explainer = self._at(entry.at)
        found = of_event(json.loads(content.built_event or b"null"), explainer, record_id)
        documents, error = found["documents"], found["error"]
        if record_id is None and len(documents) == 1 and _contradicts(entry.status, documents[0]):
            error = (
                f"event: its reply was {entry.status}, so something else has decided: another map, or a token, which a "
                "recording does not contain"
            )
        return self._decision(documents, error=error)

    def _at(self, at: float) -> Explainer:
        """The explainer for the time of an event: its token was valid then."""
        assert self._explainer is not None
        return replace(self._explainer, now=at)

    def _decision(
        self, documents: list[Document], *, same_map: bool | None = None, error: str | None = None
    ) -> Mapping[str, Any]:
        return {"documents": documents, "same_map": same_map, "map": self._map_name, "error": error}

    # ---- entries of events -------------------------------------------------------------------------------------------

    def _of_event(self, recorded: Recorded) -> Iterator[Entry]:
        payload = _written(recorded.event, recorded.name)
        at = seconds(recorded.expected.get("recorded")) or self._now
        if source_of(recorded.event) is None:
            yield self._of_request(recorded, payload, at)
            return
        sources = Sources(()) if self._explainer is None else self._explainer.sources
        try:
            batch = sources.batch_in(recorded.event)
        except BridgeError as refusal:
            entry = Entry("queue", "", recorded.name, recorded.name, at, content=Content(event=payload))
            entry.state, entry.outcome, entry.reason = "ended", "failed", refusal.reason
            yield entry
            return
        records = (*batch.records, *batch.rest)
        invoked = Invoked("", "", payload, at, shared_by=max(len(records), 1), is_bridge=True)
        for position, record in enumerate(records, 1):
            yield self._of_record(record, position, batch, invoked)

    def _of_request(self, recorded: Recorded, payload: bytes, at: float) -> Entry:
        expected = recorded.expected
        entry = Entry("lattice", "", recorded.name, recorded.name, at, state="ended", content=Content(event=payload))
        with suppress(BridgeError):
            request = parse_any(recorded.event)
            entry.way, entry.source = _way_of(request)
            entry.method, entry.path = request.method, masked_target(request.path)
            entry.id = request.request_id or recorded.name
            entry.caller = caller_in_words(request.caller.principal)
            entry.at = _number(request.time_epoch, 1_000_000) or at
        if expected:
            assert entry.content is not None
            entry.content.invocations.append(_recorded_invocation(recorded, payload, entry.at))
            entry.status = _status_of(expected)
        if self._explainer is not None:
            document = self._at(entry.at).of_event(recorded.event)
            if not _contradicts(entry.status, document):
                self._set_decided(entry, document)
        if entry.status is not None and entry.outcome is None:
            entry.outcome = "refused" if entry.status in (401, 403) else "ok"
        if entry.status is not None and entry.status >= 500:
            entry.outcome = "failed"
        return entry

    def _of_record(self, record: Record, position: int, batch: Batch, invoked: Invoked) -> Entry:
        begun = len(batch.records)
        size = begun + len(batch.rest)
        body = json.dumps(record.content).encode()
        name = record.source.rpartition(":")[2]
        came_in = RecordIn(body, "", size, position, record.receive_count or 1, record.group)
        content = Content(came_in, invocations=[invoked])
        at = _time_of(record) or invoked.began
        entry = Entry(_WAYS.get(record.service, "queue"), name, record.name, record.name, at, content=content)
        entry.state = "ended"
        if record.sender is not None:
            entry.caller = f"sender {record.sender.id}"
        if self._explainer is not None:
            document = self._at(at).of_record(record, is_alone=begun == 1, is_begun=position <= begun)
            self._set_decided(entry, document)
            outcome = document["record"]["outcome"]
            entry.outcome = OUTCOMES.get(outcome, "failed")
            entry.function = document["record"]["function"]
        return entry

    def _set_decided(self, entry: Entry, document: Document) -> None:
        entry.tenant = document["tenant"]
        entry.reason = "ok" if document["allowed"] else document["reason"]
        entry.outcome = "ok" if document["allowed"] else "refused"


class _Latest(NamedTuple, Generic[Found]):
    """The last items by time, as many as a timeline keeps, and the number of those before them."""

    kept: list[Found]
    left_out: int


def _latest(found: Iterable[Found], at: Callable[[Found], float]) -> _Latest[Found]:
    latest: list[tuple[float, int, Found]] = []
    total = 0
    for total, one in enumerate(found, 1):
        keep = heapq.heappush if len(latest) < MAX_ENTRIES else heapq.heappushpop
        keep(latest, (at(one), total, one))
    return _Latest([one for _, _, one in sorted(latest, key=lambda item: item[:2])], total - len(latest))


def _shown(entries: Iterable[Entry], kind: str, left_out: int) -> Shown:
    timeline, times = Timeline(), list[float]()
    for entry in entries:
        timeline.add(entry)
        if entry.at:
            times.append(entry.at)
    return Shown(timeline, kind, left_out, min(times, default=None), max(times, default=None))


def _events_in(text: str) -> Iterator[Recorded] | None:
    """The events of a file; None if its first document is none, as in a log."""
    first, _, _ = text.lstrip("\ufeff \t\r\n").partition("\n")
    documents = [text] if _ONE_LINE.match(first) else text.split("\n")
    found = (_parsed(one) for one in documents if one.strip())
    if not _is_event(next(found, None)):
        return None
    named = enumerate((one for one in documents if one.strip()), 1)
    parsed = ((number, _parsed(one)) for number, one in named)
    return (Recorded(event, name=f"line {number}") for number, event in parsed if _is_event(event))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return None


def _is_event(found: object) -> bool:
    """Whether this is an event with records, or a request of any format."""
    if isinstance(found, list) and not (found and isinstance(found[0], dict) and "eventSource" in found[0]):
        return False  # a list of log events, as the console of CloudWatch exports it
    if source_of(found) is not None:
        return True
    try:
        parse_any(found)
    except BridgeError as refusal:
        return refusal.reason not in ("not_lattice", "malformed_event")
    return True


def _way_of(request: Request) -> tuple[Way, str]:
    if request.source == "alb":
        return "load_balancer", (request.target_group_arn or "").rpartition(":")[2]
    if request.source == "lattice":
        return "lattice", (request.service_arn or "").rpartition("/")[2]
    domain = request.event.get("requestContext", {}).get("domainName")
    is_url = isinstance(domain, str) and ".lambda-url." in domain
    return ("function_url" if is_url else "api"), request.api_id or ""


def _contradicts(status: int | None, document: Document) -> bool:
    """Whether a recorded reply is not that of a decision."""
    return status is not None and status < 400 and not document["allowed"]


def _recorded_invocation(recorded: Recorded, payload: bytes, at: float) -> Invoked:
    error = recorded.expected.get("error")
    answer = _written(recorded.expected.get("reply") if error is None else error, recorded.name)
    return Invoked("", "", payload, at, answer=answer, error=None if error is None else "Unhandled", is_bridge=True)


def _written(value: object, name: str) -> bytes:
    """JSON as bytes.

    Raises:
        BadContent: it is nested nearly as deep as can be read, which is deeper than can be written.
    """
    try:
        return json.dumps(value).encode()
    except RecursionError as error:
        raise BadContent(f"{name}: nested too deeply. Fix: remove it") from error


def _status_of(expected: Mapping[str, Any]) -> int | None:
    if "error" in expected:
        return 502
    reply = expected.get("reply")
    status = reply.get("statusCode") if isinstance(reply, Mapping) else None
    return status if isinstance(status, int) and not isinstance(status, bool) else None


def _time_of(record: Record) -> float | None:
    """When the source took the record, in seconds since the epoch."""
    content = record.content
    attributes, change = content.get("attributes"), content.get("dynamodb")
    if isinstance(attributes, Mapping):
        return _number(attributes.get("SentTimestamp"), 1000)
    if isinstance(change, Mapping):
        return _number(change.get("ApproximateCreationDateTime"))
    kinesis = content.get("kinesis", content)
    arrival = kinesis.get("approximateArrivalTimestamp") if isinstance(kinesis, Mapping) else None
    return _number(arrival) or seconds(content.get("time"))


def _number(value: object, unit: int = 1) -> float | None:
    try:
        found = float(value) / unit  # type: ignore[arg-type]  # any other type raises TypeError
    except (TypeError, ValueError, OverflowError):
        return None
    return found if 0 < found < _LAST else None
