"""The entry to which an invocation belongs, whatever senders and functions choose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.inspector.detail import steps
from lattice_bridge.local.plan.model import Function
from lattice_bridge.local.sources.delivery import Delivery
from tests.support.async_world import DONE, FAILED, ORDERS, THROTTLED
from tests.support.captured import BRIDGE, RECORD, ROOT, Stack, batch, content


@pytest.fixture
def stack() -> Stack:
    return Stack()


def test_requests_at_the_same_time_are_kept_apart(stack: Stack) -> None:
    """Trap G2: one tenant's payload in another one's entry."""
    for number in ("1", "2"):
        stack.receives(id_=f"r{number}")
        stack.capture.invoking(f"r{number}", "bridge", f"Root=1-{number}")
        stack.begins(BRIDGE, f"b{number}", f"Root=1-{number}")
    for number in ("2", "1"):
        stack.begins(ORDERS, f"o{number}", f"Root=1-{number}", payload=number.encode(), tenant=number)
    for entry in stack.entries:
        assert [one.payload for one in content(entry).invocations][1:] == [entry.id[1:].encode()]


def test_invocation_that_could_belong_to_two_requests_is_an_entry_of_its_own(stack: Stack) -> None:
    """Trap G2: a client may choose the trace id, so that another tenant's payload would be in its entry."""
    for number in ("1", "2"):
        stack.receives(id_=f"r{number}")
        stack.capture.invoking(f"r{number}", "bridge", f"{ROOT};Parent=b;Sampled=0")
        stack.begins(BRIDGE, f"b{number}")
    stack.begins(ORDERS, "i1", tenant="blue")
    assert [[one.request_id for one in content(entry).invocations] for entry in stack.entries] == [
        ["b1"],
        ["b2"],
        ["i1"],
    ]
    assert (stack.entries[2].way, stack.entries[2].tenant) == ("invoke", "blue")


def test_requests_with_one_root_are_kept_apart_by_their_parents(stack: Stack) -> None:
    for number in ("1", "2"):
        stack.receives(id_=f"r{number}")
        stack.capture.invoking(f"r{number}", "bridge", f"{ROOT};Parent={number}")
    stack.capture.invocation_began(BRIDGE, InvokeRequest("bridge", b"", trace_id=f"{ROOT};Parent=2"))
    request = InvokeRequest("orders", b"2", trace_id=f"{ROOT};Parent=2")
    stack.capture.invocation_began(ORDERS, request)
    assert [len(content(entry).invocations) for entry in stack.entries] == [0, 2]


def test_what_a_backend_invokes_for_one_record_is_not_in_another(stack: Stack) -> None:
    """Trap G2: the entry of a record that no tenant owns showed the tenant of another record of its batch."""
    stack.capture.delivering(one := batch("m1", "m2"))
    outer = stack.begins(BRIDGE, "b1")
    inner = stack.begins(ORDERS, "i1", payload=b'{"Records":[{"messageId":"m1"}]}', tenant="blue")
    audit = stack.begins(replace(ORDERS, name="audit"), "i2", tenant="blue")
    for request in (audit, inner):
        stack.capture.invocation_ended(request, DONE)
    refused = {"id": "m2", "status": "quarantined", "reason": "claim_missing", "tenant": None}
    stack.prints("bridge#1", RECORD, RECORD | refused)
    stack.capture.invocation_ended(outer, replace(DONE, environment="bridge#1"))
    stack.capture.delivered(Delivery(one, 20.0))
    first, second, third = stack.entries
    assert [(one.tenant, one.function) for one in (first, second)] == [("blue", "orders"), (None, "bridge")]
    assert [[one.request_id for one in content(entry).invocations] for entry in stack.entries] == [
        *(["b1", "i1"], ["b1"], ["i2"]),
    ]
    assert (third.way, third.tenant) == ("invoke", "blue")


def test_line_of_the_bridge_counts_more_than_any_invocation(stack: Stack) -> None:
    """Trap G2: what a bridge has decided for a record cannot be another function's word."""
    stack.capture.delivering(one := batch("m1", "m2"))
    outer = stack.begins(BRIDGE, "b1")
    stack.begins(ORDERS, "i1", payload=b'{"Records":[{"messageId":"m1"}]}', tenant="blue")
    forged = stack.begins(ORDERS, "i2", payload=b'{"Records":[{"messageId":"m2"}]}', tenant="blue")
    stack.capture.invocation_ended(forged, DONE)
    refused = {"id": "m2", "status": "quarantined", "reason": "claim_missing", "tenant": None}
    stack.prints("bridge#1", RECORD | refused)
    stack.capture.invocation_ended(outer, replace(DONE, environment="bridge#1"))
    stack.capture.delivered(Delivery(one, 20.0))
    assert (stack.entries[1].tenant, stack.entries[1].function) == (None, "bridge")


@pytest.mark.parametrize(
    "payload",
    [
        b'{"note": {"messageId": "m2"}}',
        b'{"x": [{"messageId": "m2"}]}',
        b'{"Records":[{"messageId":"m1"}]}',
        b'{"Records":[{"messageId":"m9"}]}',
    ],
)
def test_invocation_that_names_a_record_is_not_the_bridges(stack: Stack, payload: bytes) -> None:
    """Trap G2: a function behind the bridge chooses its payload. m1 has its invocation already."""
    stack.capture.delivering(batch("m1", "m2"))
    stack.begins(BRIDGE, "b1")
    stack.begins(ORDERS, "i1", payload=b'{"Records":[{"messageId":"m1"}]}', tenant="blue")
    stack.begins(ORDERS, "i2", payload=payload, tenant="green")
    assert [[one.request_id for one in content(entry).invocations] for entry in stack.entries] == [
        *(["b1", "i1"], ["b1"], ["i2"]),
    ]


def test_invocation_that_the_bridge_repeats_belongs_to_its_record(stack: Stack) -> None:
    stack.capture.delivering(batch("m1", "m2"))
    stack.begins(BRIDGE, "b1")
    payload = b'{"Records":[{"messageId":"m1"}]}'
    stack.capture.invocation_refused(stack.begins(ORDERS, "i1", payload=payload), THROTTLED)
    stack.begins(ORDERS, "i2", payload=payload)
    assert [one.request_id for one in content(stack.entries[0]).invocations] == ["b1", "i1", "i2"]


def test_trace_that_a_sender_has_chosen_attributes_nothing(stack: Stack) -> None:
    """Trap G2: a sender of a message could otherwise draw another request's invocations into its own entry."""
    stack.capture.delivering(batch("m1", traces=("Root=1-own", ROOT)))
    stack.begins(BRIDGE, "b1", "Root=1-own")
    stack.begins(ORDERS, "i1", ROOT, tenant="green")
    stack.begins(ORDERS, "i2", "Root=1-own", tenant="blue")
    assert [[one.request_id for one in content(entry).invocations] for entry in stack.entries] == [
        *(["b1", "i2"], ["i1"]),
    ]


def test_records_of_two_batches_with_the_trace_of_one_sender_are_kept_apart(stack: Stack) -> None:
    """Trap G2: the sender's trace is in both, and in its own request, which runs still."""
    stack.receives()
    stack.capture.invoking("r1", "sender", ROOT)
    stack.begins(replace(ORDERS, name="sender"), "s1")
    for number in ("1", "2"):
        stack.capture.delivering(batch(f"m{number}", request_id=f"b{number}"))
        stack.begins(BRIDGE, f"b{number}", f"Root=1-{number}")
    for number in ("2", "1"):
        stack.begins(ORDERS, f"i{number}", payload=b'{"Records":[{"messageId":"m%s"}]}' % number.encode())
    request, *records = stack.entries
    assert [one.request_id for one in content(request).invocations] == ["s1"]
    assert [[one.request_id for one in content(entry).invocations] for entry in records] == [["b1", "i1"], ["b2", "i2"]]


def test_function_that_a_backend_invokes_has_not_answered(stack: Stack) -> None:
    """Its tenant is not that of the entry."""
    stack.receives()
    stack.capture.invoking("r1", "bridge", f"{ROOT};Parent=a")
    outer = stack.begins(BRIDGE, "b1")
    inner = stack.begins(ORDERS, "i1", tenant="blue")
    audit = stack.begins(replace(ORDERS, name="audit"), "i2", tenant="audit")
    for one in (audit, inner, outer):
        stack.capture.invocation_ended(one, DONE)
    entry = stack.answers()
    assert (entry.function, entry.tenant) == ("orders", "blue")


def test_authorizer_belongs_to_its_request_and_is_not_its_target(stack: Stack) -> None:
    stack.receives()
    stack.capture.authorizing("r1", "Root=1-other;Parent=b;Sampled=0")
    asked = stack.begins(replace(ORDERS, name="authorizer"), "i0", "Root=1-other", payload=b'{"type": "REQUEST"}')
    stack.capture.invocation_ended(asked, DONE)
    stack.serves()
    (entry,) = stack.entries
    assert [(one.function, one.role) for one in content(entry).invocations] == [
        *(("authorizer", "authorizer"), ("bridge", "target"), ("orders", "behind")),
    ]
    assert content(entry).built_event == b'{"event": 1}'
    stack.answers()
    assert (entry.function, entry.tenant) == ("orders", "blue")
    names = [step["name"] for step in steps(entry) if not step["name"].startswith("bridge: ")]
    assert names == ["front", "authorizer", "bridge", "cold start", "orders"]


# ---- a function that takes the place of a record ---------------------------------------------------------------------


def of_record(id_: str) -> bytes:
    return b'{"Records":[{"messageId":"%s"}]}' % id_.encode()


def ids(stack: Stack) -> list[list[str]]:
    return [[one.request_id for one in content(entry).invocations] for entry in stack.entries]


@pytest.mark.parametrize(
    ("function", "tenant"), [(ORDERS, "green"), (replace(ORDERS, name="audit"), "blue"), (ORDERS, "blue-2")]
)
def test_function_that_invokes_before_the_bridge_does_not_keep_the_place_of_a_record(
    stack: Stack, function: Function, tenant: str
) -> None:
    """Trap G2: a function behind the bridge sends the record of another tenant, with the trace id of its own batch."""
    stack.capture.delivering(one := batch("m1", "m2"))
    outer = stack.begins(BRIDGE, "b1")
    forged = stack.begins(function, "forged", payload=of_record("m2"), tenant=tenant)
    own = stack.begins(ORDERS, "own", payload=of_record("m2"), tenant="blue")
    for request in (forged, own):
        stack.capture.invocation_ended(request, DONE)
    stack.prints("bridge#1", RECORD | {"id": "m2", "function": "orders"})
    stack.capture.invocation_ended(outer, replace(DONE, environment="bridge#1"))
    stack.capture.delivered(Delivery(one, 20.0))
    assert ids(stack) == [["b1"], ["b1", "own"], ["own"], ["forged"]]
    record, moved = stack.entries[1], stack.entries[3]
    assert (record.tenant, record.function) == ("blue", "orders")
    assert (moved.way, moved.tenant, moved.state, moved.outcome) == ("invoke", tenant, "ended", "ok")


def test_record_that_the_bridge_refuses_has_no_invocation_of_a_function(stack: Stack) -> None:
    """Trap G2: the invocation runs on in an entry of its own."""
    stack.capture.delivering(one := batch("m1"))
    outer = stack.begins(BRIDGE, "b1")
    forged = stack.begins(ORDERS, "forged", payload=of_record("m1"), tenant="blue")
    stack.prints("bridge#1", RECORD | {"status": "quarantined", "reason": "claim_missing", "tenant": None})
    stack.capture.invocation_ended(outer, replace(DONE, environment="bridge#1"))
    stack.capture.delivered(Delivery(one, 20.0))
    assert ids(stack) == [["b1"], ["forged"]]
    assert [entry.state for entry in stack.entries] == ["ended", "running"]
    stack.capture.invocation_ended(forged, FAILED)
    assert (stack.entries[1].outcome, content(stack.entries[1]).text) == ("failed", "ValueError: no")
    assert stack.capture.open == 0


def test_two_invocations_that_fit_a_record_leave_it_the_first(stack: Stack) -> None:
    stack.capture.delivering(batch("m1", "m2"))
    stack.begins(BRIDGE, "b1")
    for id_ in ("first", "second"):
        stack.begins(ORDERS, id_, payload=of_record("m2"), tenant="blue")
    stack.prints("bridge#1", RECORD | {"id": "m2", "function": "orders"})
    assert ids(stack) == [["b1"], ["b1", "first"], ["second"]]


def test_what_the_function_of_a_single_record_invokes_stays_with_it(stack: Stack) -> None:
    stack.capture.delivering(batch("m1"))
    stack.begins(BRIDGE, "b1", "Root=1-own")
    stack.begins(ORDERS, "own", "Root=1-own", payload=of_record("m1"), tenant="blue")
    stack.begins(replace(ORDERS, name="audit"), "audit", "Root=1-own", tenant="audit")
    stack.prints("bridge#1", RECORD | {"function": "orders"})
    assert ids(stack) == [["b1", "own", "audit"]]


def test_claims_of_a_record_are_bounded(stack: Stack) -> None:
    stack.capture.delivering(batch("m1", "m2"))
    stack.begins(BRIDGE, "b1")
    stack.begins(ORDERS, "own", payload=of_record("m1"), tenant="blue")
    for number in range(50):
        stack.begins(ORDERS, f"i{number}", payload=of_record("m1"), tenant="green")
    stack.prints("bridge#1", RECORD | {"function": "orders"})
    assert ids(stack)[:2] == [["b1", "own"], ["b1"]]
