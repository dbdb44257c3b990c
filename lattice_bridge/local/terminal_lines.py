"""The log of the stack for a person: one line for each request, each record of a bridge, each other batch, each try of
an asynchronous invocation and each delivery of an event of a bus, and below a refused one its cause in words.

Rule: no line contains a control character, a query, a header or the content of a message. The bridge's JSON lines and
metric lines become part of the line of a request or a record. A function cannot forge such a line: all that it prints
stands behind its label.
"""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from lattice_bridge.local.aws.async_invokes import Try
from lattice_bridge.local.aws.event_bridge.deliveries import Delivery as EventDelivery
from lattice_bridge.local.aws.event_bridge.deliveries import Event
from lattice_bridge.local.bridge.log_lines import (
    function_name,
    is_configuration,
    is_metric,
    is_record,
    is_request,
    json_object,
    record_words,
    request_words,
    service_and_name,
    text_in,
    total_milliseconds,
    trace_root,
)
from lattice_bridge.local.bridge.refusal_causes import capitalised
from lattice_bridge.local.front.exchange.exchange import AnsweredRequest, cause_in_words
from lattice_bridge.local.plan.model import destination_name
from lattice_bridge.local.sources.delivery import (
    Batch,
    Delivered,
    Delivery,
    StreamBatch,
    StreamDelivery,
    counted_records,
    times,
    what_follows,
    what_follows_in_shard,
)
from lattice_bridge.local.web.printable import printable

TAB: Final = "\t"

_LABEL_COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "bright_red", "bright_cyan", "bright_green")
_MESSAGE_COLOURS: Final = {"warning": "yellow", "error": "red"}
_STATUS_COLOURS: Final = {"2": "green", "3": "cyan", "4": "yellow", "5": "red", "o": "green", "e": "red"}
"""By the first character of a status."""
_SUCCEEDED, _FAILED = "ok ", "err"
"""The statuses of records, batches and events, which have no status of HTTP."""

_BUS: Final = "BUS"
"""Replaces the method of a request in the line of an event."""

_PIPE_COLUMNS: Final = 100
_NARROW: Final = 67
"""Columns that are left behind time and status in a terminal of 80."""
_MOST_SPARE: Final = 40
_INDENT: Final = " " * 9
"""As wide as the time and a space: a cause begins below the status."""
_SHORTEST: Final = 12
"""Characters to which a path, a rule's id or a function's name may be shortened. A tenant id never is."""
_LONGEST_CAUSE: Final = 1000

_MOST_FAILED: Final = 3
"""Messages that a line names."""

_NODE_LINE: Final = re.compile(r"\A\d{4}-\d\d-\d\dT[0-9:.]{12}Z\t(?:[0-9a-f-]{36}|undefined|-|)\t(?=[A-Z]{4,5}\t)")
"""Time and request id before the level, with which Node's clients begin each line of the console."""
_NO_BREAK_SPACE: Final = "\xa0"
"""The runtime client indents stack traces with it."""


@dataclass(slots=True)
class _Progress:
    """A request that was passed to a target and is not answered yet.

    Attributes:
        target: as in the target group.
        trace: the root of its trace id.
        reached: the function that was invoked last with this trace, beside the target.
        bridge: the bridge's log line, if the target is a bridge and has written it.
    """

    target: str
    trace: str
    reached: str | None = None
    bridge: Mapping[str, Any] | None = None

    @property
    def function(self) -> str:
        """The target's name, without the rest of its ARN and without the qualifier."""
        return function_name(self.target)


@dataclass(slots=True)
class _BatchProgress:
    """A batch that a function was invoked with and has not answered yet.

    Attributes:
        batch: of a mapping.
        has_records: the function is a bridge, and has written the line of a record.
        reached: the function that was invoked first with a trace of the batch. A bridge invokes the same one for each
            record of a source.
    """

    batch: Batch | StreamBatch
    has_records: bool = False
    reached: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    """The fields of the line of a request, a record or a batch, as they are shown."""

    status: str
    method: str
    path: str
    milliseconds: float
    tenant: str = ""
    decided: str = ""
    function: str = ""
    cause: str = ""


class TerminalLines:
    """Formats the log for a person. It joins what the front, Lambda and the bridge know about a request.

    Args:
        colour: uses ANSI colours.
        width: columns of the terminal; None if the output is no terminal. Then nothing is shortened or folded.
        clock: the time of day.
    """

    def __init__(
        self,
        *,
        colour: bool = False,
        width: Callable[[], int | None] = lambda: None,
        clock: Callable[[], str] = lambda: time.strftime("%H:%M:%S"),
    ) -> None:
        self._colour = colour
        self._width = width
        self._clock = clock
        self._requests: dict[str, _Progress] = {}
        self._batches: dict[str, _BatchProgress] = {}
        self._last_causes: dict[tuple[str, str], str] = {}

    def message(self, level: str, text: str, **_fields: object) -> Iterator[str]:
        """Formats a message of the stack itself."""
        width, text = self._width(), printable(text)
        # Only errors are folded: information and warnings may contain commands to paste.
        folded = _folded(text, width, "  ") if width and level == "error" else [text]
        yield from (self._styled(line, _MESSAGE_COLOURS.get(level)) for line in folded)

    def function_output(self, label: str, line: str) -> Iterator[str]:
        """Formats a line of a function's output. Metric lines are for CloudWatch, and are not shown."""
        found = json_object(line)
        if found is None:
            lines = _NODE_LINE.sub("", line.replace(_NO_BREAK_SPACE, " "), count=1).split("\n")
            yield from self._output(label, lines)
        elif is_metric(found):
            return
        elif is_request(found):
            yield from self._request_line(label, found)
        elif is_record(found):
            yield from self._record_line(label, found)
        elif is_configuration(found):
            yield from self._output(label, _configuration_lines(found), "red" if found["reason"] != "ok" else None)
        else:
            yield from self._output(label, [line])

    def invoking(self, request_id: str, function: str, trace_id: str) -> None:
        """Takes a request that the front passes to a target."""
        self._requests[request_id] = _Progress(function, trace_root(trace_id))

    def invoked(self, function: str, trace_id: str) -> None:
        """Takes an invocation. Its trace leads to the request that caused it."""
        root = trace_root(trace_id)
        for request in self._requests.values():
            if request.trace == root and function != request.function:
                request.reached = function
        batches = [one for one in self._batches.values() if root in map(trace_root, one.batch.traces)]
        if len(batches) == 1 and not batches[0].reached and function != function_name(batches[0].batch.function):
            batches[0].reached = function  # of several: one sender's trace is in all of them

    def answered(self, request: AnsweredRequest) -> Iterator[str]:
        """Formats a request of the front."""
        progress = self._requests.pop(request.id, None)
        yield from self._lines("", _row(request, progress))

    def delivering(self, batch: Batch | StreamBatch) -> None:
        """Takes a batch that a function is invoked with."""
        self._batches[batch.request_id] = _BatchProgress(batch)

    def delivered(self, delivery: Delivery | StreamDelivery) -> Iterator[str]:
        """Formats the end of a batch.

        A bridge has a line for each of its records, so its batch needs none, unless it shows a stream's checkpoint.
        """
        progress = self._batches.pop(delivery.batch.request_id, None)
        shows_records = progress is not None and progress.has_records and not delivery.error and not delivery.note
        if isinstance(delivery, StreamDelivery):
            if not shows_records or delivery.failed:
                yield from self._stream_delivery(delivery, shows_records=shows_records)
            return
        if shows_records:
            return
        row = _delivery_row(delivery)
        is_known = self._is_known((delivery.batch.queue, delivery.batch.function), row.cause, bool(delivery.error))
        yield from self._lines("", replace(row, cause="") if is_known else row)

    def _stream_delivery(self, delivery: StreamDelivery, *, shows_records: bool) -> Iterator[str]:
        batch, error = delivery.batch, delivery.error
        is_known = self._is_known((f"{batch.stream}/{batch.shard}", batch.function), error, bool(error))
        words = [
            "" if is_known else error,
            what_follows_in_shard(delivery, shows_records=shows_records),
            delivery.note,
        ]
        yield from self._lines("", _stream_row(delivery, _sentences(words)))

    def _is_known(self, key: tuple[str, str], words: str, is_error: bool) -> bool:
        """Whether the line above has the same cause: a repeated one hides others."""
        before = self._last_causes.get(key)
        self._last_causes[key] = words
        return is_error and before == words

    def event_delivered(self, delivery: EventDelivery) -> Iterator[str]:
        """Formats a try to deliver an event of a bus."""
        yield from self._lines("", _event_row(delivery))

    def event_lost(self, event: Event, why: str) -> Iterator[str]:
        """Formats an event that reaches no target. On AWS its sender is not told either, so it is no error."""
        yield from self._lines("", _Row(_SUCCEEDED, _BUS, _event_path(event), 0.0, "", why))

    def tried(self, one: Try) -> Iterator[str]:
        """Formats a try of an asynchronous invocation."""
        yield from self._lines("", _try_row(one))

    def _record_line(self, label: str, found: Mapping[str, Any]) -> Iterator[str]:
        """Formats a bridge's line for a record: of a batch that it was invoked with, or of a direct Invoke."""
        progress = self._batches.get(str(found["requestId"]))
        if progress is None or not label.startswith(f"{function_name(progress.batch.function)}#"):
            yield from self._lines(label, _record_row(found))
            return
        progress.has_records = True
        row, batch = _record_row(found, progress.reached), progress.batch
        if isinstance(batch, StreamBatch):
            key = batch.partition_keys.get(str(found["id"]))
            yield from self._lines("", replace(row, path=f"{batch.stream}/{key}" if key else batch.stream))
            return
        message = next((one for one in batch.messages if one.id == found["id"]), None)
        if message is not None and message.group:
            row = replace(row, path=f"{row.path}/{message.group}")
        if message is not None and found["status"] == "failed":
            row = replace(row, cause=f"{row.cause}. {what_follows(message, batch)}")
        yield from self._lines("", row)

    def _request_line(self, label: str, found: Mapping[str, Any]) -> Iterator[str]:
        """Keeps a bridge's line for a request of the front. Formats one for another event, such as a direct Invoke."""
        request = self._requests.get(str(found["requestId"]))
        if request is not None and label.startswith(f"{request.function}#"):
            request.bridge = found
            return
        yield from self._lines(label, _bridge_row(found, found["status"], total_milliseconds(found)))

    def _output(self, label: str, lines: list[str], colour: str | None = None) -> Iterator[str]:
        first, *others = (self._styled(printable(line, keep=TAB), colour) for line in lines)
        yield f"{self._label(label)}  {first}"
        yield from (f"  {line}" for line in others)

    def _label(self, label: str) -> str:
        colour = _LABEL_COLOURS[sum(label.partition("#")[0].encode("utf-8", "replace")) % len(_LABEL_COLOURS)]
        return self._styled(f"[{printable(label)}]", colour)

    def _lines(self, label: str, row: _Row) -> Iterator[str]:
        """The line of a request, behind the label of the function that wrote it if the front did not; the cause."""
        width, colour = self._width(), _STATUS_COLOURS.get(row.status[:1])
        head = f"{self._label(label)}  " if label else f"{self._clock()} "
        used = len(printable(label)) + 4 if label else len(_INDENT)
        columns = max(_NARROW // 2, width - used - len("200 ")) if width else None
        yield f"{head}{self._styled(row.status, colour)} {_layout(row, columns)}"
        text = printable(row.cause[:_LONGEST_CAUSE])
        folded = _folded(text, width - len(_INDENT)) if width else [text]
        yield from (f"{_INDENT}{self._styled(part, colour)}" for part in folded if part)

    def _styled(self, text: str, colour: str | None) -> str:
        return click.style(text, fg=colour) if self._colour and colour else text


# ---- the facts of a line --------------------------------------------------------------------------------------------


def _row(request: AnsweredRequest, progress: _Progress | None) -> _Row:
    """The front's facts, and those of the bridge if it served the request."""
    if progress is not None and progress.bridge is not None and request.refusal is None:
        row = _bridge_row(progress.bridge, request.status, request.milliseconds, progress.reached or "")
        return replace(row, method=request.method, path=request.path)
    row = _Row(str(request.status), request.method, request.path, request.milliseconds, request.tenant)
    if progress is not None:
        row = replace(row, function=progress.function)
    if request.refusal is not None:
        return replace(
            row,
            decided=request.refusal.reason,
            cause=cause_in_words(request.refusal.cause, None if progress is None else progress.target),
        )
    if request.fixed is not None:
        return replace(row, decided="fixed_response", cause=capitalised(request.fixed))
    return row


def _bridge_row(found: Mapping[str, Any], status: int, milliseconds: float, reached: str = "") -> _Row:
    """The facts of a bridge's log line. `function` is in it only if the invocation failed."""
    rule, tenant = text_in(found, "rule"), text_in(found, "tenant")
    function = reached or function_name(text_in(found, "function")) or text_in(found, "backend")
    decided = rule if found["reason"] == "ok" else found["reason"]
    method, path = text_in(found, "method"), text_in(found, "path")
    return _Row(str(status), method, path, milliseconds, tenant, decided, function, request_words(found))


def _record_row(found: Mapping[str, Any], reached: str = "") -> _Row:
    """The facts of a bridge's log line for a record. `function` is in it only if the invocation failed."""
    service, source = service_and_name(text_in(found, "source"))
    is_ok = found["reason"] == "ok"
    shown = _SUCCEEDED if is_ok and found["status"] != "failed" else _FAILED
    decided = text_in(found, "rule") if is_ok else found["reason"]
    function = function_name(text_in(found, "function")) or (reached if found["status"] == "done" else "")
    method, tenant = _BUS if service == "events" else service.upper(), text_in(found, "tenant")
    return _Row(shown, method, source, total_milliseconds(found), tenant, decided, function, record_words(found))


def _delivery_row(delivery: Delivery) -> _Row:
    batch, count = delivery.batch, len(delivery.batch.messages)
    groups = list(dict.fromkeys(message.group for message in batch.messages if message.group))
    source = f"{batch.queue}/{groups[0]}" if len(groups) == 1 else batch.queue
    if delivery.failed:
        decided = f"{len(delivery.failed)} of {count} failed"
    else:
        decided = f"{count} message{'' if count == 1 else 's'}"
    status = _FAILED if delivery.failed or delivery.note else _SUCCEEDED
    words = _sentences((delivery.error, delivery.note))
    if delivery.failed and not words:
        failed = [message for message in batch.messages if message.id in delivery.failed]
        words = f"The function reports {', '.join(map(_named, failed[:_MOST_FAILED]))}"
        words += f" and {len(failed) - _MOST_FAILED} more" if len(failed) > _MOST_FAILED else ""
    return _Row(status, "SQS", source, delivery.milliseconds, "", decided, function_name(batch.function), words)


def _event_row(delivery: EventDelivery) -> _Row:
    texts = (delivery.error, delivery.outcome, delivery.note)
    words = ". ".join(capitalised(text).rstrip(".") for text in texts if text)
    status = _FAILED if delivery.error else _SUCCEEDED
    path, milliseconds = _event_path(delivery.event), delivery.milliseconds
    return _Row(status, _BUS, path, milliseconds, "", delivery.rule, delivery.target, words)


def _event_path(event: Event) -> str:
    return f"{event.bus}/{event.detail_type}"


def _try_row(one: Try) -> _Row:
    """The facts of a try of an asynchronous invocation, and what follows it."""
    words = [one.error] if one.error else []
    for delivery in one.deliveries:
        target = destination_name(delivery.arn)
        fault = f"the destination {target} does not take it: {delivery.fault}"
        words.append(fault if delivery.fault else f"sent to {target}")
    if one.is_lost:
        words.append(f"The event is lost{'' if one.deliveries else _NO_DESTINATION}")
    return _Row(
        _FAILED if one.error or one.has_fault or one.is_lost else _SUCCEEDED,
        "Event",
        f"{one.number} of {one.most}",
        one.milliseconds,
        one.tenant,
        one.condition or f"again in {one.pause:g} s",
        one.function,
        ". ".join(capitalised(text).rstrip(".") for text in words),
    )


_NO_DESTINATION: Final = (
    ": the function has no destination for failures here. Fix: write OnFailure with the ARN of a queue into its "
    "EventInvokeConfig"
)


def _stream_row(delivery: StreamDelivery, words: str) -> _Row:
    batch, count = delivery.batch, len(delivery.batch.numbers)
    if delivery.condition is not None:
        decided = f"{counted_records(delivery.failed)} discarded"
    else:
        decided = f"{delivery.failed} of {count} failed" if delivery.failed else counted_records(count)
    status = _FAILED if delivery.failed or delivery.note else _SUCCEEDED
    path, function = f"{batch.stream}/{batch.shard}", function_name(batch.function)
    return _Row(status, batch.service.upper(), path, delivery.milliseconds, "", decided, function, words)


def _sentences(texts: Sequence[str]) -> str:
    return ". ".join(capitalised(text).rstrip(".") for text in texts if text)


def _named(message: Delivered) -> str:
    group = f"group {message.group}, " if message.group else ""
    return f"{message.id} ({group}received {times(message.receives)})"


def _configuration_lines(found: Mapping[str, Any]) -> list[str]:
    if found["reason"] == "ok":
        return ["bridge.toml was loaded again" if "replaces" in found else "bridge.toml was loaded"]
    active = "the last one that loaded stays active" if found["message"] == "map" else "every request gets a 503"
    faults = found.get("faults")
    return [
        f"bridge.toml does not load; {active}:",
        *(f"- {fault}" for fault in (faults if isinstance(faults, list) else [])),
    ]


# ---- the layout of a line -------------------------------------------------------------------------------------------


def _layout(row: _Row, columns: int | None) -> str:
    """Method, path, tenant, rule or reason, function, and at the right the milliseconds.

    The cells are aligned as long as they fit. If they do not, the path is shortened first.

    Args:
        row: the facts.
        columns: that the line may have; None if its end does not matter.
    """
    method, last = printable(row.method) or "-", f"{row.milliseconds:.0f} ms"
    cells = [*(printable(cell) or "-" for cell in (row.path, row.tenant, row.decided)), printable(row.function)]
    room = columns or _PIPE_COLUMNS
    spare = min(max(0, room - _NARROW), _MOST_SPARE)
    aligned = [12 + spare // 2 - max(0, len(method) - 3), 11, 10 + spare // 4, 0]
    room -= len(method) + len(last) + 2
    text = _joined(cells, aligned)
    if columns is not None and len(text) > room:
        for index in (0, 3, 2):
            excess = max(0, len(_joined(cells)) - room)
            cells[index] = _middle(cells[index], max(_SHORTEST, len(cells[index]) - excess))
        text = _joined(cells)
    return f"{method} {text:<{room}} {last}"


def _folded(text: str, columns: int, indent: str = "") -> list[str]:
    lead = text[: len(text) - len(text.lstrip())]  # of a line in a list
    return textwrap.wrap(text, max(40, columns), subsequent_indent=lead + indent, break_on_hyphens=False)


def _joined(cells: list[str], least: Sequence[int] = (0, 0, 0, 0)) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, least, strict=True)).rstrip()


def _middle(text: str, length: int) -> str:
    """The text in so many characters: its beginning and its end."""
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"
