"""Captures what happens in a stack: makes the entries of the timeline out of what its parts report.

Rule: a report is paired with its entry by `pairing`, and its values are kept as they are. Which functions are bridges
is known from the template: what another function prints is only a log line, also if it looks like the line of a bridge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from lattice_bridge.local.aws.async_invokes import Try
from lattice_bridge.local.aws.event_bridge.deliveries import Delivery as EventDelivery
from lattice_bridge.local.aws.event_bridge.deliveries import Event
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.bridge.log_lines import (
    function_name,
    is_record,
    is_request,
    json_object,
    record_words,
    request_words,
    text_in,
)
from lattice_bridge.local.bridge.refusal_causes import capitalised
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.exchange import AnsweredRequest, ReceivedRequest, cause_in_words
from lattice_bridge.local.inspector.entry import (
    Content,
    Entry,
    HttpIn,
    Invoked,
    InvokeIn,
    Outcome,
    RecordIn,
    RecordOut,
    Role,
    Way,
    caller_in_words,
    outcome_of,
)
from lattice_bridge.local.inspector.logs import Logs
from lattice_bridge.local.inspector.observer import StackObserver
from lattice_bridge.local.inspector.pairing import RECORD_ID, Open, Pairing, Work, claim, settled
from lattice_bridge.local.inspector.timeline import Timeline
from lattice_bridge.local.plan.function_url import FunctionUrl
from lattice_bridge.local.plan.http_api import HttpApi, HttpDomain
from lattice_bridge.local.plan.load_balancer import LoadBalancer
from lattice_bridge.local.plan.model import OWN_HANDLERS, Function, Service
from lattice_bridge.local.plan.rest_api import RestApi
from lattice_bridge.local.sources.delivery import (
    Batch,
    Delivered,
    Delivery,
    StreamBatch,
    StreamDelivery,
    what_follows,
    what_follows_in_shard,
)

MAX_INVOCATIONS: Final = 200
"""Invocations of an entry that are kept."""
_LARGE: Final = 64 * 1024
"""Bytes of an invocation that are counted at once, and not first at the end of its entry."""

_WAYS: Final[Mapping[type, Way]] = {
    Service: "lattice",
    RestApi: "api",
    HttpApi: "api",
    HttpDomain: "api",
    LoadBalancer: "load_balancer",
    FunctionUrl: "function_url",
}
_RECORD_LINE, _REQUEST_LINE = '"message":"record"', '"message":"request"'


class Replay:
    """A repetition of an entry.

    Attributes:
        of: the number of the entry that is repeated.
        n: the number of the entry of the repetition; None before the stack has seen it.
    """

    def __init__(self, of: int) -> None:
        self.of = of
        self.n: int | None = None


class _Running(NamedTuple):
    """An invocation that has not ended."""

    invoked: Invoked
    work: Work
    opens: Sequence[Open]

    @property
    def is_target(self) -> bool:
        return self.invoked.role == "target"


class Capture(StackObserver):
    """Makes entries.

    Args:
        timeline: takes them.
        configurations: returns those of the bridges, as they are now.
        logs: what the environments print.
        clock: seconds since the epoch.

    Attributes:
        expected: the repetitions that are expected, by their keys.
    """

    def __init__(
        self,
        timeline: Timeline,
        configurations: Callable[[], Iterable[BridgeConfiguration]] = lambda: (),
        logs: Logs | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.timeline = timeline
        self.configurations = configurations
        self.logs = logs or Logs()
        self._clock = clock
        self._pairing = Pairing()
        self._loaded: dict[str, BridgeConfiguration] = {}
        self._seen: Iterable[BridgeConfiguration] = ()
        self._events: dict[tuple[str, str, str], Work] = {}
        self._running: dict[str, _Running] = {}
        self.expected: dict[Hashable, Replay] = {}

    @property
    def open(self) -> int:
        """What is kept about requests and records that have not ended."""
        return len(self._pairing) + len(self._events) + len(self._running) + len(self.expected)

    # ---- replay -----------------------------------------------------------------------------------------------------

    def expect(self, key: Hashable, of: int) -> Replay:
        """Marks the next entry with a key as the repetition of an entry.

        Args:
            key: of HTTP the address and port from which the request will be sent; else the id of the message, record,
                event or invocation.
            of: the number of the entry that is repeated.
        """
        found = self.expected[key] = Replay(of)
        return found

    def forget(self, key: Hashable) -> None:
        """Expects a key no longer."""
        self.expected.pop(key, None)

    # ---- HTTP -------------------------------------------------------------------------------------------------------

    def received(self, request: ReceivedRequest) -> None:
        """Begins the entry of a request."""
        http, way_in = request.request, request.way_in
        entry = Entry(
            "lattice" if way_in is None else _WAYS[type(way_in)],
            "" if way_in is None else way_in.name,
            http.target.partition("?")[0],
            request.id,
            request.began,
            method=http.method,
        )
        content = Content(HttpIn(http, request.version, body_read=request.body_read))
        self._pairing.requests[request.id] = self._begin(entry, content, request.client)

    def identified(self, request_id: str, access_key: str, principal: str) -> None:
        """Takes the caller of a request."""
        if (work := self._pairing.requests.get(request_id)) is None:
            return
        (one,) = work.opens
        one.entry.caller = caller_in_words(principal)
        if isinstance(one.content.came_in, HttpIn):
            one.content.came_in = one.content.came_in._replace(access_key=access_key, principal=principal)

    def authorizing(self, request_id: str, trace_id: str) -> None:
        """Takes the trace id of an authorizer."""
        if (work := self._pairing.requests.get(request_id)) is not None:
            self._pairing.ask(work, trace_id, "authorizer")

    def invoking(self, request_id: str, function: str, trace_id: str) -> None:
        """Takes the target of a request."""
        if (work := self._pairing.requests.get(request_id)) is not None:
            work.function, work.target = function_name(function), function
            self._pairing.ask(work, trace_id, "target")

    def answered(self, request: AnsweredRequest) -> None:
        """Ends the entry of a request."""
        if (work := self._pairing.requests.pop(request.id, None)) is None:
            return
        (one,) = work.opens
        entry, content, line = one.entry, one.content, one.content.line
        entry.tenant = entry.tenant or request.tenant or None
        content.reply = request.response
        reason, outcome = "ok", _outcome(request.status)
        if request.refusal is not None:
            reason = request.refusal.reason
            outcome = _refused(request.status)
            content.text = cause_in_words(request.refusal.cause, work.target)
        elif request.fixed is not None:
            reason, outcome, content.text = "fixed_response", "fixed", capitalised(request.fixed)
        elif line is not None and is_request(line):
            reason, content.text = str(line["reason"]), request_words(line) or None
            outcome = outcome if reason == "ok" else _refused(request.status)
        entry.status = request.status
        self._end(work, one, outcome, reason, request.milliseconds)
        self._pairing.close(work)

    # ---- invocations ------------------------------------------------------------------------------------------------

    def invocation_began(self, function: Function, request: InvokeRequest) -> None:
        """Takes an invocation: of an entry that is known, or of a new one."""
        work, opens, role, claims = self._pairing.place_of(request)
        if request.type == "Event":  # its tries follow
            if request.request_id not in self._pairing.invokes:
                if work is not None:  # what its function invokes, or the target of an asynchronous integration
                    self._attach(opens, function.name, request, role, claims)
                self._begin_invoke("async", request)
            return
        if work is None:
            work = self._begin_invoke("invoke", request)
            opens = work.opens
        elif role == "target" and request.trace_id is not None:
            self._pairing.add_trace(work, request.trace_id)
        invoked = self._attach(opens, function.name, request, role, claims)
        work.running += 1
        if role != "behind" and function.handler in OWN_HANDLERS:
            invoked.is_bridge, work.is_bridge = True, role == "target"
            configuration = self._configuration(function.name)
            for one in opens:
                one.entry.configuration = configuration if one.entry.content is not None else None
        self._running[request.request_id] = _Running(invoked, work, opens)

    def invocation_ended(self, request: InvokeRequest, result: InvocationResult) -> None:
        """Takes the answer of a function."""
        if (running := self._running.pop(request.request_id, None)) is None:
            return
        invoked = running.invoked
        invoked.answer, invoked.error, invoked.ms = result.payload, result.error, result.milliseconds
        invoked.took_ms = (self._clock() - invoked.began) * 1000
        invoked.init_ms, invoked.cold = result.init_milliseconds, result.init_milliseconds is not None
        if result.environment:
            invoked.environment = result.environment
            invoked.log = self.logs.take(result.environment)
        self._take_request_line(running)
        for one in running.opens:
            one.entry.cold |= invoked.cold
            if running.work.is_bridge and not one.content.has_line and one.content.backend is invoked:
                # The bridge's line follows, and counts more.
                one.entry.function, one.entry.tenant = invoked.function, invoked.tenant
        self._ended(running, result.description if result.error is not None else "")

    def invocation_refused(self, request: InvokeRequest, error: LambdaError) -> None:
        """Takes a refusal of Lambda."""
        words = f"{error.code}: {error}"
        if (running := self._running.pop(request.request_id, None)) is not None:
            running.invoked.error = words
            running.invoked.took_ms = (self._clock() - running.invoked.began) * 1000
            self._ended(running, words, error)
            return
        work, opens, role, claims = self._pairing.place_of(request)
        if work is None:
            work = self._begin_invoke("async" if request.type == "Event" else "invoke", request)
            opens = work.opens
        invoked = self._attach(opens, function_name(request.function), request, role, claims)
        invoked.error = words
        if work.opens[0].entry.way == "async" and request.type == "Event":  # it was not accepted
            self._pairing.invokes.pop(request.request_id, None)
            self._end_invoke(work, words, error)
        else:
            work.running += 1
            self._ended(_Running(invoked, work, opens), words, error)

    def _ended(self, running: _Running, words: str, error: LambdaError | None = None) -> None:
        work = running.work
        work.running -= 1
        if running.is_target and work.opens[0].entry.way == "invoke":
            self._end_invoke(work, words, error)
        elif work.has_ended or running.invoked.size > _LARGE:  # it may have run on after the end of its request
            for one in running.opens:
                self.timeline.changed(one.entry)
            self._pairing.close(work)

    def _end_invoke(self, work: Work, words: str, error: LambdaError | None) -> None:
        """Ends the entry of an Invoke. The words are empty if the function has answered."""
        (one,) = work.opens
        if error is not None:
            outcome, reason = _refused(error.status), error.code
            became = "refused"
        else:
            outcome, reason = self._by_line(one, "failed" if words else "ok")
            became = "failed" if words else "answered"
        one.content.text = one.content.text or capitalised(words) or None
        one.content.reply = RecordOut(became, words)
        self._end(work, one, outcome, reason)
        self._pairing.close(work)

    # ---- batches ----------------------------------------------------------------------------------------------------

    def delivering(self, batch: Batch | StreamBatch) -> None:
        """Begins an entry for each record of a batch."""
        now = self._clock()
        opens = [*_of_queue(batch, now)] if isinstance(batch, Batch) else [*_of_stream(batch, now)]
        for one in opens:
            self._add(one, one.record)
        work = Work(opens, function_name(batch.function), batch.function)
        self._pairing.add_batch(batch.request_id, work, batch.traces)

    def delivered(self, delivery: Delivery | StreamDelivery) -> None:
        """Ends the entries of a batch."""
        if delivery.batch.request_id not in self._pairing.invokes:
            self.delivering(delivery.batch)  # records that are discarded without an invocation
        work = self._pairing.invokes.pop(delivery.batch.request_id)
        for index, one in enumerate(work.opens):
            if isinstance(delivery, Delivery):
                self._end_message(work, one, delivery, delivery.batch.messages[index])
            else:
                self._end_record(work, one, delivery, index)
        self._pairing.close(work)

    def _end_message(self, work: Work, one: Open, delivery: Delivery, message: Delivered) -> None:
        has_failed = message.id in delivery.failed
        outcome, reason = self._by_line(one, "failed" if has_failed else "ok")
        follows = what_follows(message, delivery.batch) if has_failed else ""
        one.content.reply = RecordOut("reported as failed" if has_failed else _gone(outcome), follows)
        self._end_of_record(work, one, outcome, reason, delivery)

    def _end_record(self, work: Work, one: Open, delivery: StreamDelivery, index: int) -> None:
        has_failed = index >= len(work.opens) - delivery.failed
        outcome, reason = self._by_line(one, "failed" if has_failed else "ok")
        if delivery.condition is not None and has_failed:
            became = "discarded"
        elif has_failed:
            became = "delivered again"
        else:
            became = "quarantined" if outcome == "quarantined" else f"checkpoint {delivery.checkpoint}"
        follows = what_follows_in_shard(delivery, shows_records=one.content.has_line) if has_failed else ""
        one.content.reply = RecordOut(became, follows)
        self._end_of_record(work, one, outcome, reason, delivery)

    def _end_of_record(
        self, work: Work, one: Open, outcome: Outcome, reason: str, delivery: Delivery | StreamDelivery
    ) -> None:
        words = [one.content.text, delivery.error, delivery.note]
        one.content.text = ". ".join(capitalised(text).rstrip(".") for text in words if text) or None
        if not one.content.has_line and delivery.error:
            outcome, reason = "failed", "function_failed"
        self._end(work, one, outcome, reason, one.milliseconds)

    # ---- events and asynchronous invocations ------------------------------------------------------------------------

    def event_delivering(self, event: Event, rule: str, target: str, request_id: str | None) -> None:
        """Begins the entry of an event at one target."""
        work = self._begin_event(event, rule, target)
        self._events[event.id, rule, target] = work
        if request_id is not None:
            work.invocation = request_id
            self._pairing.invokes[request_id] = work

    def event_delivered(self, delivery: EventDelivery) -> None:
        """Ends the entry of an event that has not reached its target, or whose target is a queue."""
        work = self._events.pop((delivery.event.id, delivery.rule, delivery.target), None)
        if work is None:
            return
        (one,) = work.opens
        if delivery.error and work.invocation is not None:
            self._pairing.invokes.pop(work.invocation, None)
        words = (delivery.error, delivery.outcome, delivery.note)
        one.content.text = ". ".join(capitalised(text).rstrip(".") for text in words if text) or None
        if delivery.error:
            one.content.reply = RecordOut("not delivered", delivery.outcome)
            self._end(work, one, "failed", "not_delivered", delivery.milliseconds)
        elif work.invocation is None:
            one.content.reply = RecordOut("delivered")
            self._end(work, one, "ok", "ok", delivery.milliseconds)
        else:
            return  # its function runs
        self._pairing.close(work)

    def event_lost(self, event: Event, why: str) -> None:
        """Makes the entry of an event that reaches no target. On AWS, this is no error."""
        work = self._begin_event(event, "", "")
        (one,) = work.opens
        one.content.text = capitalised(why)
        one.content.reply = RecordOut("not delivered", why)
        self._end(work, one, "ok", "no_target", 0.0)
        self._pairing.close(work)

    def tried(self, one: Try) -> None:
        """Ends the entry of an asynchronous invocation, or shows why it is tried again."""
        if (work := self._pairing.invokes.get(one.request_id)) is None:
            return
        (only,) = work.opens
        only.content.text = capitalised(one.error) or only.content.text
        if one.pause is not None:
            self.timeline.changed(only.entry)
            return
        del self._pairing.invokes[one.request_id]
        outcome, reason = self._by_line(only, "failed" if one.error else "ok")
        if one.error:
            outcome, reason = "failed", "function_failed"
        sent = ", ".join(delivery.arn.rpartition(":")[2] for delivery in one.deliveries if not delivery.fault)
        only.content.reply = RecordOut("lost" if one.is_lost else one.condition, f"Sent to {sent}" if sent else "")
        self._end(work, only, outcome, reason)
        self._pairing.close(work)

    def _begin_event(self, event: Event, rule: str, target: str) -> Work:
        attributes = {"source": event.source, **({"rule": rule, "target": target} if rule else {})}
        came_in = RecordIn(event.text.encode(), attributes=attributes, target=target)
        entry = Entry(
            "bus", event.bus, event.detail_type, event.id, self._clock(), function=function_name(target) or None
        )
        work = self._begin(entry, Content(came_in), event.id)
        work.function = function_name(target)
        return work

    # ---- lines ------------------------------------------------------------------------------------------------------

    def function_output(self, label: str, line: str) -> None:
        """Keeps a line for the invocation that its environment runs."""
        self.logs.add(label, line)
        if line.startswith("{") and _RECORD_LINE in line:
            self._take_record_line(label, line)

    def _take_record_line(self, label: str, line: str) -> None:
        """Takes the line of a bridge about a record of a batch, or about an event."""
        found = json_object(line)
        if found is None or not is_record(found):
            return
        running = self._running.get(str(found["requestId"]))
        if running is None or not running.work.is_bridge or not running.is_target:
            return
        if not label.startswith(f"{running.invoked.function}#"):
            return
        for one in running.opens:
            if len(running.opens) == 1 or one.record == found["id"]:
                self._take_line(one, line, found)
                one.milliseconds = (self._clock() - one.entry.at) * 1000
                for stranger in settled(one, function_name(text_in(found, "function")), one.entry.tenant):
                    self._move_out(stranger)

    def _take_request_line(self, running: _Running) -> None:
        """Takes the line of a bridge about a request. That of an authorizer stays if no bridge follows it."""
        if not running.invoked.is_bridge or len(running.opens) != 1:
            return
        (one,) = running.opens
        if one.content.line is not None and not is_request(one.content.line):
            return
        for line in reversed(running.invoked.log):
            if _REQUEST_LINE in line and (found := json_object(line)) is not None and is_request(found):
                self._take_line(one, line, found)
                return

    def _take_line(self, one: Open, line: str, found: Mapping[str, Any]) -> None:
        """Takes what a bridge says. It has decided: no invocation can contradict it."""
        entry = one.entry
        one.content.line = line
        entry.tenant = text_in(found, "tenant") or None
        named = function_name(text_in(found, "function")) or None
        entry.function = named or (entry.function if entry.tenant is not None else None)

    def _by_line(self, one: Open, otherwise: Outcome) -> tuple[Outcome, str]:
        """The outcome and the reason, by the bridge's line if there is one."""
        line = one.content.line
        if line is None:
            return otherwise, "ok" if otherwise == "ok" else "function_failed"
        reason = str(line["reason"])
        if is_request(line):
            one.content.text = request_words(line) or None
            return (_outcome(line["status"]) if reason == "ok" else _refused(line["status"])), reason
        one.content.text = record_words(line) or None
        # A record that is done may come again, behind one that failed. It has not failed itself.
        return outcome_of(line["status"], otherwise), reason

    # ---- entries ----------------------------------------------------------------------------------------------------

    def _begin(self, entry: Entry, content: Content, key: Hashable) -> Work:
        one = Open(entry, content)
        self._add(one, key)
        return Work((one,))

    def _begin_invoke(self, way: Way, request: InvokeRequest) -> Work:
        name = function_name(request.function)
        came_in = InvokeIn(request.function, request.payload, request.tenant, request.type)
        entry = Entry(way, "", name, request.request_id, self._clock(), tenant=request.tenant, function=name)
        work = self._begin(entry, Content(came_in), request.request_id)
        work.function, work.target = name, request.function
        if request.trace_id is not None:
            self._pairing.add_trace(work, request.trace_id)
        if way == "async":
            self._pairing.invokes[request.request_id] = work
        return work

    def _add(self, one: Open, key: Hashable) -> None:
        replay = self.expected.pop(key, None) if self.expected else None
        one.entry.replay_of = None if replay is None else replay.of
        one.entry.content = one.content
        n = self.timeline.add(one.entry)
        if replay is not None:
            replay.n = n

    def _end(self, work: Work, one: Open, outcome: Outcome, reason: str, milliseconds: float | None = None) -> None:
        entry = one.entry
        entry.state, entry.outcome, entry.reason = "ended", outcome, reason
        entry.ms = round((self._clock() - entry.at) * 1000 if milliseconds is None else milliseconds, 3)
        entry.function = entry.function or work.function or None
        work.has_ended = True
        self.timeline.changed(entry)

    def _attach(
        self, opens: Sequence[Open], function: str, request: InvokeRequest, role: Role, claims: Open | None
    ) -> Invoked:
        """Adds an invocation to entries. One that Lambda has refused, and that is repeated, is the same."""
        now, request_id = self._clock(), request.request_id
        for before in reversed(opens[0].content.invocations):
            if before.request_id == request_id and before.answer is None and before.error is not None:
                before.began, before.error = now, None
                return before
        invoked = Invoked(function, request_id, request.payload, now, request.tenant, shared_by=len(opens), role=role)
        for one in opens:
            if len(one.content.invocations) < MAX_INVOCATIONS:
                one.content.invocations.append(invoked)
        if claims is not None:
            claim(claims, invoked)
        return invoked

    def _move_out(self, invoked: Invoked) -> None:
        """Gives an invocation an entry of its own: it had the place of a record, and is not of the record's bridge."""
        came_in = InvokeIn(invoked.function, invoked.payload, invoked.tenant)
        names = ("", invoked.function, invoked.request_id, invoked.began)
        entry = Entry("invoke", *names, tenant=invoked.tenant, function=invoked.function, cold=invoked.cold)
        invoked.role = "target"
        work = self._begin(entry, Content(came_in, invocations=[invoked]), invoked.request_id)
        work.function = work.target = invoked.function
        if (running := self._running.get(invoked.request_id)) is not None:
            running.work.running -= 1
            work.running += 1
            self._running[invoked.request_id] = _Running(invoked, work, work.opens)
            self._pairing.close(running.work)
        else:
            error = "" if invoked.error is None else InvocationResult(invoked.answer or b"").description
            self._end_invoke(work, error or invoked.error or "", None)

    def _configuration(self, bridge: str) -> BridgeConfiguration | None:
        """The configuration of a bridge. A bridge keeps its last good one."""
        configurations = self.configurations()
        if configurations is not self._seen:
            self._seen = configurations
            for one in configurations:
                if one.settings is not None or one.function.name not in self._loaded:
                    self._loaded[one.function.name] = one
        return self._loaded.get(bridge)


def _outcome(status: int) -> Outcome:
    return "ok" if status < 500 else "failed"


def _refused(status: int) -> Outcome:
    return "refused" if status < 500 else "failed"


def _gone(outcome: Outcome) -> str:
    return "quarantined" if outcome == "quarantined" else "deleted"


def _of_queue(batch: Batch, now: float) -> Iterable[Open]:
    size = len(batch.messages)
    for position, one in enumerate(batch.messages, 1):
        sender = f"sender {one.sender}" if one.sender else None
        entry = Entry("queue", batch.queue, one.id, one.id, now, caller=sender)
        came_in = RecordIn(one.record, batch.request_id, size, position, one.receives, one.group, {}, batch.function)
        yield Open(entry, Content(came_in), one.id, one.id)


def _of_stream(batch: StreamBatch, now: float) -> Iterable[Open]:
    size = len(batch.numbers)
    way: Way = "table" if batch.service == "dynamodb" else "stream"
    for position, number in enumerate(batch.numbers, 1):
        record = batch.records[position - 1] if batch.records else b""
        facts, key = {"shard": batch.shard}, batch.partition_keys.get(number)
        entry = Entry(way, batch.stream, number, number, now)
        came_in = RecordIn(record, batch.request_id, size, position, batch.attempt, key, facts, batch.function)
        match = RECORD_ID.search(record)
        yield Open(entry, Content(came_in), number, match[1].decode("utf-8", "replace") if match else "")
