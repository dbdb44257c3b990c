"""The log of the stack for programs: one JSON object a line.

Rule: a line is an object of ASCII with the key `time`. A function's line that is itself a JSON object is an object in
it, and not a string that contains JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from lattice_bridge.local.aws.async_invokes import Try
from lattice_bridge.local.aws.event_bridge.deliveries import Delivery as EventDelivery
from lattice_bridge.local.aws.event_bridge.deliveries import Event
from lattice_bridge.local.bridge.log_lines import json_object
from lattice_bridge.local.front.exchange.exchange import AnsweredRequest
from lattice_bridge.local.sources.delivery import Batch, Delivery, StreamBatch, StreamDelivery
from lattice_bridge.local.web.admission import refusal_line


class JsonLines:
    """Formats the log for programs."""

    def message(self, level: str, text: str, **fields: object) -> Iterator[str]:
        """Formats a message of the stack itself."""
        yield json.dumps({"time": time.time(), "level": level, "message": text, **fields})

    def function_output(self, label: str, line: str) -> Iterator[str]:
        """Formats a line of a function's output."""
        found = _object_in(line)
        content = f'"line": {json.dumps(line)}' if found is None else f'"object": {found[1]}'
        yield f'{{"time": {time.time()!r}, "environment": {json.dumps(label)}, {content}}}'

    def invoking(self, request_id: str, function: str, trace_id: str) -> None:
        """Ignores a request that is not answered yet."""

    def invoked(self, function: str, trace_id: str) -> None:
        """Ignores an invocation: the function's own log shows it."""

    def answered(self, request: AnsweredRequest) -> Iterator[str]:
        """Formats a refusal of the front's own. The log of the function shows the other requests."""
        if request.refusal is not None:
            yield from self.message(
                "warning", f"front: {refusal_line(f'{request.method} {request.path}', request.refusal)}"
            )

    def delivering(self, batch: Batch | StreamBatch) -> None:
        """Ignores a batch that has not ended yet."""

    def delivered(self, delivery: Delivery | StreamDelivery) -> Iterator[str]:
        """Formats the end of a batch. No log of a function has it."""
        fields = _of_queue(delivery) if isinstance(delivery, Delivery) else _of_stream(delivery)
        is_lost = isinstance(delivery, StreamDelivery) and delivery.is_lost
        yield from self.message(
            "error" if is_lost else "warning" if delivery.failed or delivery.note else "info",
            "batch",
            **fields,
            milliseconds=round(delivery.milliseconds, 3),
            **({"error": delivery.error} if delivery.error else {}),
            **({"note": delivery.note} if delivery.note else {}),
        )

    def event_delivered(self, delivery: EventDelivery) -> Iterator[str]:
        """Formats a try to deliver an event."""
        texts = {"error": delivery.error, "outcome": delivery.outcome, "note": delivery.note}
        yield from self.message(
            "warning" if delivery.error else "info",
            "event",
            **_facts(delivery.event),
            rule=delivery.rule,
            target=delivery.target,
            milliseconds=round(delivery.milliseconds, 3),
            **{name: text for name, text in texts.items() if text},
        )

    def event_lost(self, event: Event, why: str) -> Iterator[str]:
        """Formats an event that reaches no target."""
        yield from self.message("info", "event", **_facts(event), rule=None, outcome=why)

    def tried(self, one: Try) -> Iterator[str]:
        """Formats a try of an asynchronous invocation."""
        level = "error" if one.is_lost else "warning" if one.error or one.has_fault else "info"
        yield from self.message(
            level,
            "asynchronous invocation",
            function=one.function,
            requestId=one.request_id,
            **({"tenant": one.tenant} if one.tenant else {}),
            **{"try": one.number, "of": one.most},
            milliseconds=round(one.milliseconds, 3),
            **({"error": one.error} if one.error else {}),
            **({"nextTrySeconds": one.pause} if one.pause is not None else {"condition": one.condition}),
            **({"lost": True} if one.is_lost else {}),
            deliveries=[
                {"destination": delivery.arn, **({"error": delivery.fault} if delivery.fault else {})}
                for delivery in one.deliveries
            ],
        )


def _of_queue(delivery: Delivery) -> dict[str, object]:
    batch = delivery.batch
    return {
        "queue": batch.queue,
        "function": batch.function,
        "requestId": batch.request_id,
        "messages": [message.id for message in batch.messages],
        "failed": [message.id for message in batch.messages if message.id in delivery.failed],
    }


def _of_stream(delivery: StreamDelivery) -> dict[str, object]:
    """Sequence numbers are texts: a program that reads JSON numbers as floats would change them."""
    batch = delivery.batch
    fields: dict[str, object] = {
        "service": batch.service,
        "stream": batch.stream,
        "shard": batch.shard,
        "function": batch.function,
        "requestId": batch.request_id,
        "records": [*batch.numbers],
        "failed": [*batch.numbers[len(batch.numbers) - delivery.failed :]],
        "checkpoint": delivery.checkpoint or None,
    }
    if delivery.retry_in is not None:
        fields["retryInSeconds"] = delivery.retry_in
    if delivery.condition is not None:
        fields |= {"discarded": delivery.condition, "destination": delivery.destination or None}
    return fields | ({"lost": True} if delivery.is_lost else {})


def _facts(event: Event) -> dict[str, str]:
    return {"id": event.id, "bus": event.bus, "source": event.source, "detailType": event.detail_type}


def _object_in(line: str) -> tuple[dict[str, Any], str] | None:
    """The object of a line, and its JSON in ASCII and without a line break: as it is, if it is that already."""
    found = json_object(line)
    if found is None:
        return None
    return found, line if line.isascii() and line.isprintable() else json.dumps(found)
