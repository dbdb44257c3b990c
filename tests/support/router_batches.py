"""Random batches, and the router on each of them, so that what it did can be compared with the reference."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import strategies as st

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import BackendFailed, TooLarge
from lattice_bridge.events.record import Claim
from lattice_bridge.invoke.call import Call, DidNotRun
from lattice_bridge.quarantine import Quarantine
from lattice_bridge.router import Router
from lattice_bridge.tenancy.anchors import sender_key, source_key
from lattice_bridge.tenancy.rules import ANY_TENANT, Condition, Rule, Rules, Tenant
from tests.support.records import (
    ARN,
    FIFO,
    LANES,
    QUARANTINE,
    Context,
    Functions,
    Sqs,
    event,
    failed,
    id_of,
    number_of,
    record,
    text_attribute,
)
from tests.support.router_reference import Allows, Batch, Message, Result, lanes, route

SENDERS: Final = ("AROASHOPEXAMPLE12345", "AROABLUEEXAMPLE12345", "AIDAUSEREXAMPLE12345")
SESSIONS: Final = ("i-1", "i-2")
TENANTS: Final = ("blue", "green", "old")
CLAIMED: Final = ("blue", "blue", "green", "green", "old", "red", " blue", "blue\n", "", None)


# ---- batches --------------------------------------------------------------------------------------------------------

_messages = st.builds(
    Message,
    number=st.just(0),
    sender=st.sampled_from(SENDERS),
    session=st.sampled_from(SESSIONS),
    group=st.sampled_from("abc"),
    claimed=st.sampled_from(CLAIMED),
    hops=st.sampled_from((0, 0, 0, 0, 0, 0, 4, 5)),
    outcome=st.sampled_from(
        ("done", "done", "done", "done", "throttled", "raised", "unreadable", "reported", "too_large")
    ),
    is_broken=st.sampled_from((False,) * 9 + (True,)),
)
_tenants = st.one_of(
    st.frozensets(st.sampled_from(("blue", "green", "old", "gone")), min_size=1, max_size=3),
    st.sampled_from(("*", "*", None)),
)


@st.composite
def _rules(draw: st.DrawFn, queue: str) -> tuple[Allows, ...]:
    """At most one rule that allows for each key, as in a map."""
    names = [
        *((("sender", sender)) for sender in SENDERS),
        *((("session", f"{sender}:{session}")) for sender in SENDERS[:2] for session in SESSIONS[:1]),
        ("source", queue),
    ]
    found = draw(st.lists(st.sampled_from(names), max_size=5, unique=True))
    where = st.sampled_from((None, None, None, queue, f"{queue}-other"))
    return tuple(Allows(kind, name, draw(_tenants), draw(where)) for kind, name in found)  # type: ignore[arg-type] # the names of Allows.kind


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """A batch of a FIFO or a standard queue, with a map, functions, a quarantine and a deadline."""
    queue = draw(st.sampled_from((ARN, FIFO)))
    messages = draw(st.lists(_messages, min_size=1, max_size=10))
    concurrency = draw(st.sampled_from((1, 1, 2, 16)))
    return Batch(
        queue=queue,
        is_configured=draw(st.sampled_from((True,) * 9 + (False,))),
        has_claim=draw(st.booleans()),
        has_quarantine=draw(st.booleans()),
        stores=draw(st.sampled_from((True, True, False))),
        concurrency=concurrency,
        tenants=draw(st.dictionaries(st.sampled_from(TENANTS), st.booleans(), min_size=1)),
        rules=draw(_rules(queue)),
        messages=tuple(Message(**{**one.__dict__, "number": number}) for number, one in enumerate(messages, 1)),
        # Time passes only where the order of records is known.
        seconds=draw(st.sampled_from((0.0, 0.7, 2.0))) if concurrency == 1 else 0.0,
        left=draw(st.sampled_from((30.0, 6.0, 2.5, 0.6))),
    )


# ---- the router on a batch ------------------------------------------------------------------------------------------


def routed(batch: Batch) -> tuple[Result, list[int]]:
    """What the router did, and the numbers in its batch response."""
    written: list[str] = []
    now = [100.0]
    functions, queue = _functions(batch, now), Sqs(None if batch.stores else TimeoutError())
    router = Router(
        TenantMap(_map(batch)),
        functions,
        sources=_sources(batch),
        quarantine=Quarantine(lambda _: lambda: queue),
        lanes=LANES,
        write=written.append,
        clock=lambda: now[0],
    )
    answer = router(event(*(_record(batch, message) for message in batch.messages)), Context(batch.left))
    lines = [line for line in map(json.loads, "".join(written).splitlines()) if "id" in line]
    notes = [(int(note["id"][-12:]), note["reason"], note["tenant"]) for note in queue.notes]
    ran = [(number_of(call), str(call.tenant)) for call in functions.calls]
    return Result({int(one["id"][-12:]): (one["status"], one["reason"]) for one in lines}, ran, notes), failed(answer)


def _map(batch: Batch) -> Rules:
    tenants = [Tenant(name, active=active) for name, active in batch.tenants.items()]
    rules = [
        Rule(
            f"rule-{number}",
            source_key(one.name) if one.kind == "source" else sender_key(*one.name.split(":")),
            ANY_TENANT if one.tenants == "*" else one.tenants,
            () if one.only_from is None else (Condition("source", frozenset({one.only_from})),),
        )
        for number, one in enumerate(batch.rules)
    ]
    return Rules.build("x-tenant-id", tenants, rules)


def _sources(batch: Batch) -> list[EventSource]:
    if not batch.is_configured:
        return []
    ending = ".fifo" if batch.queue == FIFO else ""
    return [
        EventSource(
            batch.queue,
            "orders-worker",
            claim=Claim("attribute", "tenant") if batch.has_claim else None,
            concurrency=batch.concurrency,
            quarantine=f"{QUARANTINE}{ending}" if batch.has_quarantine else None,
        )
    ]


def _record(batch: Batch, message: Message) -> dict[str, Any]:
    hops = {"lattice-bridge": text_attribute(json.dumps({"hops": message.hops}))} if message.hops else {}
    return record(
        message.number,
        message.claimed,
        arn=batch.queue,
        sender="" if message.is_broken else f"{message.sender}:{message.session}",
        group=message.group,
        attributes=hops,
    )


def _functions(batch: Batch, now: list[float]) -> Functions:
    outcomes = {message.number: message.outcome for message in batch.messages}

    def run(call: Call) -> bytes:
        now[0] += batch.seconds
        outcome, number = outcomes[number_of(call)], number_of(call)
        if outcome == "throttled":
            raise DidNotRun("throttled", "")
        if outcome == "raised":
            raise BackendFailed("backend_raised", "")
        if outcome == "too_large":
            raise TooLarge("request_too_large")
        reported = json.dumps({"batchItemFailures": [{"itemIdentifier": id_of(number)}]}).encode()
        return {"done": b"null", "unreadable": b"[1]", "reported": reported}[outcome]

    return Functions(default=run)


# ---- the comparison -------------------------------------------------------------------------------------------------


def compare(batch: Batch) -> None:
    """Raises if the router and the reference did not do the same with a batch."""
    expected, (found, reported) = route(batch), routed(batch)
    assert found.records == expected.records
    assert sorted(found.ran) == sorted(expected.ran)
    assert sorted(found.stored, key=str) == sorted(expected.stored, key=str)
    assert reported == sorted(expected.failed), "the response is in the order of the event"
    positions = {number: position for position, (number, _) in enumerate(found.ran)}
    for lane in lanes(batch):
        in_lane = [positions[message.number] for message in lane if message.number in positions]
        assert in_lane == sorted(in_lane), "the records of a group ran in their order"
    if batch.concurrency == 1:
        assert found.ran == expected.ran
