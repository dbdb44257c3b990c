"""The router on random events of streams, tables and buses, and what must be true of each, whatever they contain.

Rule: the properties are read from the events and from what the functions and the quarantine got. Nothing that decides
or routes is asked.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from lattice_bridge.errors import BackendFailed, BridgeError
from lattice_bridge.events.aggregate import is_aggregate, parts_of
from lattice_bridge.events.record import Claim
from lattice_bridge.invoke.call import Call
from lattice_bridge.testing.strategies import batches
from tests.support.stream_records import (
    BUS,
    BY_DETAIL,
    BY_IMAGE,
    BY_ITEM_KEY,
    BY_KEY,
    QUARANTINE,
    STREAM,
    TABLE,
    Functions,
    World,
)

CLAIMS: Final[Mapping[str, tuple[Claim, ...]]] = {
    STREAM: (BY_KEY, Claim("body", path=("meta", "tenant"))),
    TABLE: (BY_ITEM_KEY, BY_IMAGE),
    BUS: (BY_DETAIL,),
}


@dataclass(frozen=True)
class Delivery:
    """An event, and the world that it comes into.

    Attributes:
        arn: of its source.
        claim: of the source.
        event: as Lambda makes it.
        failing: the places of the invocations that fail, in the order of their beginning.
        has_quarantine: the source has one.
        stores: it takes the copies.
        options: of the source.
    """

    arn: str
    claim: Claim
    event: dict[str, Any]
    failing: frozenset[int]
    has_quarantine: bool
    stores: bool
    options: Mapping[str, Any]


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    """Events of a stream, a table or a bus, and functions and quarantines that fail now and then."""
    arn = draw(st.sampled_from(list(CLAIMS)))
    options: dict[str, Any] = {"concurrency": draw(st.sampled_from((1, 1, 4)))}
    if arn == STREAM:
        options["deaggregate"] = draw(st.booleans())
    return Delivery(
        arn,
        draw(st.sampled_from(CLAIMS[arn])),
        draw(batches(arn)),
        draw(st.frozensets(st.integers(0, 8), max_size=3)),
        draw(st.sampled_from((True, True, False))),
        draw(st.sampled_from((True, True, False))),
        options,
    )


class _Failing(Functions):
    def __init__(self, failing: frozenset[int]) -> None:
        super().__init__()
        self.failing = failing
        self.done: list[Any] = []
        self._lock = threading.Lock()

    def __call__(self, call: Call) -> bytes:
        with self._lock:
            place = len(self.calls)
            self.calls.append(call)
        if place in self.failing:
            raise BackendFailed("backend_raised", "errorType KeyError")
        self.done.append(json.loads(call.payload))
        return b"null"


def check_delivery(delivery: Delivery) -> None:
    """Raises if the router lost a record, ran one as another tenant or out of order, or reported a wrong checkpoint."""
    functions = _Failing(delivery.failing)
    failure = None if delivery.stores else ConnectionError()
    quarantine = QUARANTINE if delivery.has_quarantine else None
    world = World(
        delivery.arn, delivery.claim, functions=functions, failure=failure, quarantine=quarantine, **delivery.options
    )
    if delivery.arn == BUS:
        _check_bus(delivery, world, functions)
        return
    answer = world(*delivery.event["Records"])
    reported = [int(one["itemIdentifier"]) for one in answer["batchItemFailures"]]
    assert len(reported) <= 1
    checkpoint = min(reported, default=None)
    numbers = [_number(one) for one in delivery.event["Records"]]
    assert checkpoint is None or checkpoint in numbers, "the checkpoint is in the batch"
    done = [_place(payload["Records"][0]) for payload in functions.done]
    stored = [_place(json.loads(one["MessageBody"])) for one in world.sqs.sent] if delivery.stores else []
    for record in delivery.event["Records"]:
        if checkpoint is None or _number(record) < checkpoint:
            assert _is_settled(record, {*done, *stored}), "no record is lost"
    assert len({*done, *stored}) == len(done) + len(stored), "no record is run twice, or run and stored"
    for payload, call in zip(functions.payloads, functions.calls, strict=True):
        [record] = payload["Records"]
        assert call.tenant in ("blue", "green"), "only active tenants run"
        assert set(_claimed(record, delivery.claim)) == {call.tenant}, "each record runs as the tenant that it names"
    _check_order(functions)


def _check_bus(delivery: Delivery, world: World, functions: _Failing) -> None:
    try:
        world.router(delivery.event, None)
    except BridgeError:
        assert functions.done == []
    else:
        assert len(functions.done) + len(world.sqs.sent) == 1, "an event is run, or it is stored"
    for call in functions.calls:
        assert call.tenant in ("blue", "green"), "only active tenants run"
        assert json.loads(call.payload) == delivery.event
        assert set(_claimed(delivery.event, delivery.claim)) == {call.tenant}


def _check_order(functions: _Failing) -> None:
    """Nothing of a key runs after its first failure, and each key's records run in their order."""
    last: dict[str, tuple[int, int]] = {}
    failed: set[str] = set()
    for place, payload in enumerate(functions.payloads):
        [record] = payload["Records"]
        key = _key(record)
        position = _place(record)
        assert key not in failed, "nothing of a key runs after its first failure"
        assert last.get(key, (-1, -1)) < position, "the records of a key run in their order"
        last[key] = position
        if place in functions.failing:
            failed.add(key)


# ---- a record, read naively -----------------------------------------------------------------------------------------


def _number(record: Mapping[str, Any]) -> int:
    return int(record["kinesis"]["sequenceNumber"] if "kinesis" in record else record["dynamodb"]["SequenceNumber"])


def _place(record: Mapping[str, Any]) -> tuple[int, int]:
    """The sequence number, and the place in an aggregate; -1 for a whole record."""
    return _number(record), record.get("kinesis", {}).get("subSequenceNumber", -1)


def _is_settled(record: Mapping[str, Any], places: set[tuple[int, int]]) -> bool:
    """Whether a record, or each one in an aggregate, is at a place that was run or stored."""
    if _place(record) in places:
        return True
    data = base64.b64decode(record["kinesis"]["data"]) if "kinesis" in record else b""
    return is_aggregate(data) and {(_number(record), part) for part in range(len(parts_of(data)))} <= places


def _key(record: Mapping[str, Any]) -> str:
    if "kinesis" in record:
        return str(record["kinesis"]["partitionKey"])
    return json.dumps(record["dynamodb"]["Keys"], sort_keys=True)


def _claimed(record: Mapping[str, Any], claim: Claim) -> Iterator[object]:
    """Every value that some reader could find at the claim's place."""
    if claim.kind == "partition_key":
        yield record["kinesis"]["partitionKey"]
    elif claim.kind == "body":
        yield from _members([json.loads(base64.b64decode(record["kinesis"]["data"]), object_pairs_hook=_pairs)], claim)
    elif claim.kind == "detail":
        yield from _members([_pairs(record["detail"].items())], claim)
    elif claim.kind == "key":
        yield record["dynamodb"]["Keys"][claim.name]["S"]
    else:
        images = [record["dynamodb"][name] for name in ("NewImage", "OldImage") if name in record["dynamodb"]]
        yield from (image.get(claim.name, {}).get("S") for image in images)


class _Pairs(list[tuple[str, Any]]):
    """The members of an object, also repeated ones."""


def _pairs(pairs: Any) -> _Pairs:
    return _Pairs(pairs)


def _members(values: list[Any], claim: Claim) -> list[Any]:
    for name in claim.path:
        values = [
            value
            for one in values
            if isinstance(one, _Pairs)
            for key, value in one
            if key.casefold() == name.casefold()
        ]
    return values
