"""The log of the stack for programs: one JSON object a line.

Rule: a line is an object of ASCII with the key `time`. A function's line that is itself a JSON object is an object in
it, and not a string that contains JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from lattice_bridge.local.front.exchange.exchange import AnsweredRequest
from lattice_bridge.local.sources.delivery import Batch, Delivery
from lattice_bridge.local.web.admission import refusal_line


class JsonLines:
    """Formats the log for programs."""

    def message(self, level: str, text: str, **fields: object) -> Iterator[str]:
        """Formats a message of the stack itself."""
        yield json.dumps({"time": time.time(), "level": level, "message": text, **fields})

    def function_output(self, label: str, line: str) -> Iterator[str]:
        """Formats a line of a function's output."""
        found = json_object(line)
        content = {"line": line} if found is None else {"object": found}
        yield json.dumps({"time": time.time(), "environment": label, **content})

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

    def delivering(self, batch: Batch) -> None:
        """Ignores a batch that has not ended yet."""

    def delivered(self, delivery: Delivery) -> Iterator[str]:
        """Formats the end of a batch. No log of a function has it."""
        batch = delivery.batch
        yield from self.message(
            "warning" if delivery.failed or delivery.note else "info",
            "batch",
            queue=batch.queue,
            function=batch.function,
            requestId=batch.request_id,
            messages=[message.id for message in batch.messages],
            failed=[message.id for message in batch.messages if message.id in delivery.failed],
            milliseconds=round(delivery.milliseconds, 3),
            **({"error": delivery.error} if delivery.error else {}),
            **({"note": delivery.note} if delivery.note else {}),
        )


def json_object(line: str) -> dict[str, Any] | None:
    """Parses a line that is one JSON object; None for any other line, and for an object with a name twice.

    >>> json_object('{"a": 1}'), json_object('{"a": NaN}'), json_object("[1]")
    ({'a': 1}, None, None)
    """
    if not line.startswith("{"):
        return None
    try:
        found = _STRICT.decode(line)
        json.dumps(found, allow_nan=False)  # 1e999 is parsed as infinity, which JSON cannot express
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice")
    return found


_STRICT: Final = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_without_repetition)
