"""Events and answers of 6 MB that take long to process: one place in them is filled with a repeated piece.

Rule: a check measures processor time and asserts nothing else; the other targets check that answers are right. Other
processes make it longer, so a time over the limit is measured again, beside the time of Python's own parser for the
hardest 6 MB.
"""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, Literal

from hypothesis import strategies as st

from fuzz.handler import FORMATS, Behind, handler_for
from fuzz.rounds import Prepared
from lattice_bridge.testing import lattice_event

LIMIT: Final = 0.5
"""Seconds of processor time that the handler may take for one event or answer. Python's own parser takes most of it
for an answer that is one object of 450,000 members."""

SIZE: Final = 6_000_000
"""Bytes of JSON that Lambda accepts and returns."""

ROLE: Final = "arn:aws:iam::111122223333:role/blue-api"
MAP: Final = f"""
[tenants]
blue = {{}}
green = {{}}

[[rule]]
id = "blue"
role = "{ROLE}"
tenants = ["blue", "green"]

[[backend]]
function = "orders"
payload = "{{payload}}"
"""

Place = tuple[str, ...]

EVENT_PLACES: Final[Mapping[Literal[1, 2], tuple[Place, ...]]] = {
    1: (
        *(("raw_path",), ("method",), ("body",), ("query_string_parameters",), ("query_string_parameters", "a")),
        *(("headers",), *(("headers", f"x-amzn-lattice-{name}") for name in ("identity", "network", "x"))),
    ),
    2: (
        *(("path",), ("method",), ("body",), ("more",), ("version",), ("requestId",)),
        *(("queryStringParameters",), ("queryStringParameters", "a"), ("headers",)),
        *(("headers", name) for name in ("a", "cookie", "host", "authorization", "x-tenant-id", "x-forwarded-for")),
        *(("requestContext",), ("requestContext", "serviceArn"), ("requestContext", "identity")),
        *(("requestContext", "identity", name) for name in ("principal", "sessionName", "x509SanUri")),
    ),
}
ANSWER_PLACES: Final[tuple[Place, ...]] = (
    *(("body",), ("statusCode",), ("headers",), ("multiValueHeaders",), ("cookies",), ("more",), ()),
    *((field, name) for field in ("headers", "multiValueHeaders") for name in ("a", "set-cookie", "content-type")),
)
PIECES: Final = st.text("aZ0%4+&=?;,:/\\\"' .*[]{}\u00e9\U0001f600\ud800\x01\t", min_size=1, max_size=6)


def _nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


FILLERS: Final[Mapping[str, Callable[[str, int], Any]]] = {
    "text": lambda piece, size: piece * (size // len(piece)),
    "path": lambda piece, size: "/" + piece * (size // len(piece)),
    "short path": lambda piece, _: "/?" + piece * (60_000 // len(piece)),
    "base64": lambda _, size: "QUJD" * (size // 4),
    "texts": lambda piece, size: [piece] * (size // (len(piece) + 3)),
    "numbers": lambda piece, size: [len(piece) + 0.5] * (size // 5),
    "long numbers": lambda piece, size: [10**4000 + len(piece)] * (size // 4002),
    "map": lambda piece, size: {f"{piece}{number:x}": piece for number in range(size // (2 * len(piece) + 12))},
    "tokens": lambda piece, size: {f"h{number:x}": piece for number in range(size // (len(piece) + 13))},
    "lines": lambda piece, size: {f"h{number:x}": [piece] * 99 for number in range(size // (99 * len(piece) + 320))},
    "lists": lambda _, size: [[]] * (size // 3),
    "objects": lambda piece, size: [{piece: piece}] * (size // (2 * len(piece) + 8)),
    "nested": lambda piece, size: [_nested(100 * len(piece))] * (size // (200 * len(piece) + 3)),
}
"""Name → makes a value of about so many bytes of JSON from a piece, which is counted as ASCII."""


def bombs(number: int) -> Prepared:
    """Events and answers, for a bridge whose backend has a format that the seed chooses."""
    dice = random.Random(number)  # noqa: S311 - a round has to come out the same again
    behind = Behind()
    handler = handler_for(MAP.replace("{payload}", dice.choice(FORMATS)), behind)
    events = st.sampled_from([(version, place) for version, places in EVENT_PLACES.items() for place in places])
    fillers = st.sampled_from(sorted(FILLERS))
    drawn = st.one_of(
        st.tuples(events, fillers, PIECES),
        st.tuples(
            st.lists(st.sampled_from(ANSWER_PLACES), min_size=1, max_size=2, unique_by=lambda place: place[:1]),
            fillers,
            PIECES,
        ),
    )

    def check(example: tuple[Any, str, str]) -> None:
        where, filler, piece = example
        if isinstance(where, tuple):
            version, place = where
            event, answer = _event(version, place, FILLERS[filler](piece, SIZE)), b"{}"
        else:
            event = lattice_event(2, principal=ROLE, headers={"x-tenant-id": "blue"})
            answer = _answer(where, FILLERS[filler](piece, SIZE // len(where)))
        if _seconds(lambda: handler(event, None), behind, answer) < LIMIT:
            return
        tries = [(_seconds(lambda: handler(event, None), behind, answer), _seconds(_parse)) for _ in range(3)]
        assert any(ours < max(LIMIT, 1.5 * parser) for ours, parser in tries), f"seconds, and the parser's: {tries}"

    return Prepared(drawn, check)


def _seconds(work: Callable[[], object], behind: Behind | None = None, answer: bytes = b"") -> float:
    if behind is not None:
        behind.clear(answer)
    began = time.process_time()
    work()
    return time.process_time() - began


@cache
def _hardest() -> str:
    return json.dumps({f"h{number:x}": "" for number in range(450_000)})


def _parse() -> object:
    return json.loads(_hardest())


def _event(version: Literal[1, 2], place: Place, value: Any) -> Any:
    event = lattice_event(version, principal=ROLE, headers={"x-tenant-id": "blue"})
    return _with(event, place, value)


def _answer(places: list[Place], value: Any) -> bytes:
    answer: Any = {"statusCode": 200, "body": "x"}
    for place in places:
        answer = _with(answer, place, value) if place else {"statusCode": 200, **value} if _is_map(value) else value
        if not isinstance(answer, dict):
            break
    try:
        return json.dumps(answer, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(answer).encode()


def _is_map(value: Any) -> bool:
    return isinstance(value, dict)


def _with(value: Any, place: Place, filling: Any) -> Any:
    found = copy.deepcopy(value)
    inside = found
    for key in place[:-1]:
        inside = inside.setdefault(key, {})
    inside[place[-1]] = filling
    return found
