"""Entries, out of what the parts of a stack report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from lattice_bridge.local.aws.async_invokes import Delivery as Sent
from lattice_bridge.local.aws.async_invokes import Try
from lattice_bridge.local.aws.event_bridge.deliveries import Delivery as EventDelivery
from lattice_bridge.local.aws.event_bridge.deliveries import Event
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.exchange import ReceivedRequest
from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.local.inspector.capture import MAX_INVOCATIONS
from lattice_bridge.local.inspector.entry import HttpIn, InvokeIn, RecordIn, RecordOut
from lattice_bridge.local.inspector.logs import MAX_LOG
from lattice_bridge.local.sources.delivery import Delivery, StreamBatch, StreamDelivery
from lattice_bridge.local.web.admission import Refused
from tests.support.async_world import DONE, FAILED, ORDERS, THROTTLED
from tests.support.captured import AUTHORIZER, BRIDGE, CLIENT, LINE, RECORD, ROOT, SHOP, Stack, batch, content


@pytest.fixture
def stack() -> Stack:
    return Stack()


# ---- HTTP -----------------------------------------------------------------------------------------------------------


def test_request_runs_until_it_is_answered(stack: Stack) -> None:
    stack.receives()
    (entry,) = stack.entries
    assert (entry.way, entry.source, entry.method, entry.path, entry.id) == ("lattice", "shop", "POST", "/orders", "r1")
    assert (entry.state, entry.outcome, entry.at) == ("running", None, 1000.0)
    stack.serves()
    assert stack.answers() is entry
    assert (entry.state, entry.outcome, entry.status, entry.reason, entry.ms) == ("ended", "ok", 200, "ok", 12.5)
    assert (entry.tenant, entry.function, entry.cold) == ("blue", "orders", True)


def test_content_of_a_request_has_its_invocations_in_order(stack: Stack) -> None:
    stack.receives()
    stack.serves()
    found = content(stack.answers())
    assert isinstance(found.came_in, HttpIn)
    assert found.built_event == b'{"event": 1}'
    assert found.line == LINE
    assert found.reply == HttpResponse(200, (), b"answer")
    bridge, orders = found.invocations
    assert (bridge.function, bridge.environment, bridge.cold, bridge.ms) == ("bridge", "bridge#1", False, 9.0)
    assert (orders.function, orders.tenant, orders.cold, orders.init_ms) == ("orders", "blue", True, 250.0)
    assert orders.log == ["counted"]
    assert [line.startswith("{") for line in bridge.log] == [False, True]
    assert orders.answer == DONE.payload


def test_body_is_not_copied(stack: Stack) -> None:
    body = bytes(1000)
    stack.receives(body=body)
    came_in = content(stack.entries[0]).came_in
    assert isinstance(came_in, HttpIn)
    assert came_in.request.body is body


def test_verified_caller_is_shown(stack: Stack) -> None:
    stack.receives()
    stack.capture.identified("r1", "LOCALBLUE", "arn:aws:sts::111122223333:assumed-role/blue-api/local")
    came_in = content(stack.entries[0]).came_in
    assert stack.entries[0].caller == "role blue-api"
    assert isinstance(came_in, HttpIn)
    assert (came_in.access_key, came_in.principal) == (
        "LOCALBLUE",
        "arn:aws:sts::111122223333:assumed-role/blue-api/local",
    )


def test_refusal_of_the_bridge_has_its_reason_and_cause(stack: Stack) -> None:
    stack.receives()
    stack.serves(LINE | {"status": 403, "reason": "no_rule", "detail": "no rule is for role edge", "tenant": None})
    entry = stack.answers(403)
    assert (entry.outcome, entry.reason) == ("refused", "no_rule")
    assert str(content(entry).text).startswith("No rule is for role edge. Fix: ")


@pytest.mark.parametrize(
    ("status", "refusal", "fixed", "outcome", "reason"),
    [
        (413, Refused(413, "Content Too Large", reason="request_too_large"), None, "refused", "request_too_large"),
        (502, Refused(502, "Bad Gateway", "it failed", reason="function_failed"), None, "failed", "function_failed"),
        (404, None, "no listener rule matches", "fixed", "fixed_response"),
        (500, None, None, "failed", "ok"),
        (404, None, None, "ok", "ok"),
    ],
)
def test_outcome_without_a_bridge(
    stack: Stack, status: int, refusal: Refused | None, fixed: str | None, outcome: str, reason: str
) -> None:
    stack.receives(None if status == 413 else SHOP)
    entry = stack.answers(status, refusal, fixed)
    assert (entry.outcome, entry.reason, entry.status) == (outcome, reason, status)
    assert bool(content(entry).text) == bool(refusal or fixed)


def test_map_as_an_authorizer_has_decided(stack: Stack) -> None:
    stack.configuration = BridgeConfiguration(AUTHORIZER, "bridge.toml", settings=object())  # type: ignore[arg-type] # any
    stack.receives()
    stack.capture.authorizing("r1", "Root=1-other;Parent=b;Sampled=0")
    asked = stack.begins(AUTHORIZER, "i0", "Root=1-other", payload=b'{"type": "REQUEST"}')
    stack.prints("authorizer#1", LINE | {"requestId": "gateway"})
    stack.capture.invocation_ended(asked, replace(DONE, environment="authorizer#1"))
    stack.capture.invoking("r1", "orders", f"{ROOT};Parent=a")
    stack.capture.invocation_ended(stack.begins(ORDERS, "i1", payload=b"{}"), DONE)
    entry = stack.answers()
    assert entry.configuration is stack.configuration
    assert content(entry).decider is content(entry).invocations[0]
    assert content(entry).built_event == b"{}"
    assert (entry.tenant, entry.function) == ("blue", "orders")


def test_function_without_a_bridge_has_answered_itself(stack: Stack) -> None:
    stack.receives()
    stack.capture.invoking("r1", "orders", f"{ROOT};Parent=a")
    outer = stack.begins(ORDERS, "i1")
    stack.capture.invocation_ended(stack.begins(replace(ORDERS, name="audit"), "i2", tenant="blue"), DONE)
    stack.capture.invocation_ended(outer, DONE)
    entry = stack.answers()
    assert (entry.function, entry.tenant) == ("orders", None)


def test_configuration_is_the_last_one_that_loaded(stack: Stack) -> None:
    """A bridge keeps its last good map when a changed one does not load."""
    good = stack.configuration = BridgeConfiguration(BRIDGE, "a", settings=object())  # type: ignore[arg-type] # any
    stack.receives()
    stack.serves()
    stack.configuration = BridgeConfiguration(BRIDGE, "a", faults=("a fault",))
    stack.receives(id_="r2")
    stack.capture.invoking("r2", "bridge", "Root=1-b")
    stack.begins(BRIDGE, "i9", "Root=1-b")
    assert [one.configuration is good for one in stack.entries] == [True, True]


def test_function_that_ran_on_after_the_answer_is_added(stack: Stack) -> None:
    stack.receives()
    stack.capture.invoking("r1", "orders", ROOT)
    request = stack.begins(ORDERS, "i1")
    entry = stack.answers(504, Refused(504, "Gateway Timeout", "late", reason="integration_timeout"))
    change = stack.timeline.change
    stack.capture.invocation_ended(request, replace(DONE, environment="orders#1"))
    assert content(entry).invocations[0].answer == DONE.payload
    assert stack.timeline.since(change)[0] == [entry]


def test_invocations_of_an_entry_are_bounded(stack: Stack) -> None:
    stack.receives()
    stack.capture.invoking("r1", "orders", ROOT)
    for number in range(MAX_INVOCATIONS + 50):
        large = stack.begins(ORDERS, f"i{number}", payload=bytes(MAX_LOG))
        stack.capture.invocation_ended(large, DONE)
    assert len(content(stack.entries[0]).invocations) == MAX_INVOCATIONS
    assert stack.timeline.bytes > MAX_INVOCATIONS * MAX_LOG


def test_line_that_another_function_prints_changes_no_entry(stack: Stack) -> None:
    stack.receives()
    stack.capture.invoking("r1", "bridge", ROOT)
    stack.begins(BRIDGE, "b1")
    inner = stack.begins(ORDERS, "i2", tenant="blue")
    stack.prints("orders/blue#1", LINE | {"tenant": "green"}, RECORD | {"tenant": "green", "requestId": "b1"})
    stack.capture.invocation_ended(inner, replace(DONE, environment="orders/blue#1"))
    assert stack.entries[0].tenant == "blue"
    assert content(stack.entries[0]).line is None


def test_function_that_prints_the_line_of_a_bridge_is_none(stack: Stack) -> None:
    """Trap G2: any function could otherwise show another tenant, reason and steps."""
    stack.receives()
    stack.capture.invoking("r1", "orders", ROOT)
    request = stack.begins(ORDERS, "i1")
    stack.prints("orders#1", LINE | {"tenant": "green"})
    stack.capture.invocation_ended(request, replace(DONE, environment="orders#1"))
    entry = stack.answers()
    assert (entry.tenant, content(entry).line, entry.reason) == (None, None, "ok")
    stack.capture.delivering(one := replace(batch("m1"), function="orders"))
    request = stack.begins(ORDERS, "b1")
    stack.prints("orders#1", RECORD | {"tenant": "green", "reason": "forged"})
    stack.capture.invocation_ended(request, replace(DONE, environment="orders#1"))
    stack.capture.delivered(Delivery(one, 20.0))
    record = stack.entries[1]
    assert (record.tenant, content(record).line, record.reason) == (None, None, "ok")


def test_body_that_was_not_read_is_none_that_was_empty(stack: Stack) -> None:
    request = HttpRequest("POST", "/", [])
    stack.capture.received(ReceivedRequest("r1", SHOP, request, "1.1", CLIENT, 1.0, body_read=False))
    stack.capture.identified("r1", "LOCALBLUE", "arn:aws:iam::111122223333:root")
    came_in = content(stack.entries[0]).came_in
    assert isinstance(came_in, HttpIn)
    assert (came_in.body_read, came_in.access_key) == (False, "LOCALBLUE")


def test_last_lines_of_a_flood_are_kept(stack: Stack) -> None:
    request = stack.begins(ORDERS, "i1", None)
    stack.prints("orders#1", *(f"{number:01000}" for number in range(1000)))
    stack.capture.invocation_ended(request, replace(DONE, environment="orders#1"))
    log = content(stack.entries[0]).invocations[0].log
    assert sum(map(len, log)) <= MAX_LOG
    assert log[-1].endswith("999")


# ---- direct and asynchronous invocations ----------------------------------------------------------------------------


def test_direct_invocation_is_an_entry(stack: Stack) -> None:
    request = stack.begins(ORDERS, "i1", "Root=1-of-nothing", tenant="blue")
    assert stack.entries[0].state == "running"
    stack.capture.invocation_ended(request, DONE)
    (entry,) = stack.entries
    assert (entry.way, entry.path, entry.tenant, entry.outcome) == ("invoke", "orders", "blue", "ok")
    assert content(entry).came_in == InvokeIn("orders", b'{"e": 1}', "blue")
    assert content(entry).reply == RecordOut("answered", "")


def test_direct_invocation_that_fails_has_the_error(stack: Stack) -> None:
    stack.capture.invocation_ended(stack.begins(ORDERS, "i1"), FAILED)
    (entry,) = stack.entries
    assert (entry.outcome, entry.reason, content(entry).text) == ("failed", "function_failed", "ValueError: no")


@pytest.mark.parametrize("has_begun", [True, False])
def test_direct_invocation_that_lambda_refuses_has_the_reason(stack: Stack, has_begun: bool) -> None:
    request = stack.begins(ORDERS, "i1") if has_begun else InvokeRequest("orders", b"{}", request_id="i1")
    stack.capture.invocation_refused(request, THROTTLED)
    (entry,) = stack.entries
    assert (entry.outcome, entry.reason, entry.state) == ("refused", "TooManyRequestsException", "ended")
    assert content(entry).invocations[0].error == "TooManyRequestsException: Rate Exceeded"


def test_direct_invocation_of_a_bridge_has_its_decision(stack: Stack) -> None:
    request = stack.begins(BRIDGE, "i1", None)
    stack.prints("bridge#1", LINE | {"status": 403, "reason": "no_rule"})
    stack.capture.invocation_ended(request, replace(DONE, environment="bridge#1"))
    (entry,) = stack.entries
    assert (entry.outcome, entry.reason, entry.configuration) == ("refused", "no_rule", stack.configuration)


def test_asynchronous_invocation_is_one_entry_with_its_tries(stack: Stack) -> None:
    request = stack.begins(ORDERS, "i1", None, type="Event")
    for number, result in enumerate((FAILED, DONE), 1):
        again = stack.begins(ORDERS, "i1", "Root=1-made")
        stack.capture.invocation_ended(again, result)
        assert stack.entries[0].state == "running"
        error, pause = ("ValueError: no", 60.0) if number == 1 else ("", None)
        sent = (Sent("arn:aws:sqs:us-east-1:1:done"),) if number == 2 else ()
        stack.capture.tried(Try("orders", "", "i1", number, 3, 1.0, error, pause, "" if pause else "Success", sent))
    (entry,) = stack.entries
    assert (entry.way, entry.outcome, entry.state) == ("async", "ok", "ended")
    assert [one.error for one in content(entry).invocations] == ["Unhandled", None]
    assert content(entry).reply == RecordOut("Success", "Sent to done")
    assert request.request_id == entry.id


def test_asynchronous_invocation_that_is_not_accepted_ends(stack: Stack) -> None:
    request = stack.begins(ORDERS, "i1", None, type="Event")
    stack.capture.invocation_refused(request, THROTTLED)
    (entry,) = stack.entries
    assert (entry.way, entry.state, entry.outcome) == ("async", "ended", "refused")


def test_asynchronous_backend_is_in_the_request_and_an_entry_of_its_own(stack: Stack) -> None:
    stack.receives()
    stack.capture.invoking("r1", "bridge", ROOT)
    stack.begins(BRIDGE, "b1")
    stack.begins(ORDERS, "i2", tenant="blue", type="Event")
    request, queued = stack.entries
    assert [one.function for one in content(request).invocations] == ["bridge", "orders"]
    assert (queued.way, queued.tenant) == ("async", "blue")


# ---- records --------------------------------------------------------------------------------------------------------


def test_each_record_of_a_batch_is_an_entry_with_its_own_outcome(stack: Stack) -> None:
    stack.capture.delivering(one := batch("m1", "m2", "m3"))
    outer = stack.begins(BRIDGE, "b1", payload=b'{"Records": []}')
    for number in ("1", "2"):
        inner = stack.begins(ORDERS, f"i{number}", payload=b'{"Records":[{"messageId":"m%s"}]}' % number.encode())
        stack.capture.invocation_ended(inner, DONE)
    refused = {"id": "m3", "status": "quarantined", "reason": "claim_missing", "detail": "no attribute tenant"}
    failed = {"id": "m2", "status": "failed", "reason": "backend_raised", "tenant": "green"}
    stack.prints("bridge#1", RECORD, RECORD | failed, RECORD | {"tenant": None} | refused)
    stack.capture.invocation_ended(outer, replace(DONE, environment="bridge#1"))
    stack.capture.delivered(Delivery(one, 20.0, frozenset({"m2"})))
    first, second, third = stack.entries
    assert [entry.outcome for entry in stack.entries] == ["ok", "failed", "quarantined"]
    assert [entry.tenant for entry in stack.entries] == ["blue", "green", None]
    assert [len(content(entry).invocations) for entry in stack.entries] == [2, 2, 1]
    assert (first.way, first.source, first.caller, first.path) == ("queue", "orders.fifo", "sender AROAX", "m1")
    came_in = content(second).came_in
    assert isinstance(came_in, RecordIn)
    assert (came_in.position, came_in.batch_size, came_in.attempt, came_in.group) == (2, 3, 2, "g")
    assert content(first).reply == RecordOut("deleted", "")
    assert content(second).reply == RecordOut("reported as failed", "Received 2 times: it comes again in 30 s")
    assert content(third).reply == RecordOut("quarantined", "")
    assert str(content(third).text).endswith("A copy is in the quarantine")
    assert all(entry.configuration is stack.configuration for entry in stack.entries)


def test_records_of_a_function_without_a_bridge_are_entries_too(stack: Stack) -> None:
    stack.capture.delivering(one := replace(batch("m1", "m2"), function="orders"))
    request = stack.begins(ORDERS, "b1")
    stack.capture.invocation_ended(request, FAILED)
    stack.capture.delivered(Delivery(one, 20.0, frozenset({"m1", "m2"}), "ValueError: no"))
    for entry in stack.entries:
        assert (entry.outcome, entry.function, content(entry).text) == ("failed", "orders", "ValueError: no")


def test_batch_that_lambda_throttles_has_one_invocation(stack: Stack) -> None:
    stack.capture.delivering(one := batch("m1"))
    for _ in range(3):
        stack.capture.invocation_refused(stack.begins(BRIDGE, "b1"), THROTTLED)
    stack.capture.invocation_ended(stack.begins(BRIDGE, "b1"), DONE)
    stack.capture.delivered(Delivery(one, 20.0))
    (invoked,) = content(stack.entries[0]).invocations
    assert (invoked.error, invoked.answer) == (None, DONE.payload)


STREAM: Final = StreamBatch(
    *("kinesis", "clicks", "shardId-0", "bridge", "b1", ("11", "12", "13"), (ROOT,), {"11": "visitor"}),
    tuple(json.dumps({"eventID": f"shardId-0:{number}"}).encode() for number in ("11", "12", "13")),
    2,
)


def test_records_of_a_stream_have_their_checkpoint(stack: Stack) -> None:
    stack.capture.delivering(STREAM)
    outer = stack.begins(BRIDGE, "b1")
    stack.begins(ORDERS, "i1", payload=b'{"Records":[{"eventID":"shardId-0:12"}]}', tenant="blue")
    failed = {"id": "12", "status": "failed", "reason": "backend_raised"}
    stack.prints("bridge#1", *(RECORD | more for more in ({"id": "11"}, failed, {"id": "13"})))
    stack.capture.invocation_ended(outer, replace(DONE, environment="bridge#1"))
    stack.capture.delivered(StreamDelivery(STREAM, 20.0, 2, "12", retry_in=1.0))
    first, second, third = stack.entries
    assert [entry.outcome for entry in stack.entries] == ["ok", "failed", "ok"]  # the last one comes again
    assert [len(content(entry).invocations) for entry in stack.entries] == [1, 2, 1]
    assert (first.way, first.source, first.id) == ("stream", "clicks", "11")
    came_in = content(first).came_in
    assert isinstance(came_in, RecordIn)
    assert (came_in.group, came_in.attempt, came_in.attributes) == ("visitor", 2, {"shard": "shardId-0"})
    assert content(first).reply == RecordOut("checkpoint 12", "")
    assert content(second).reply == content(third).reply
    assert content(second).reply == RecordOut("delivered again", "Checkpoint 12: 2 records come again in 1 s")


def test_records_that_are_discarded_without_an_invocation_are_entries(stack: Stack) -> None:
    old = replace(STREAM, service="dynamodb", request_id="")
    stack.capture.delivered(StreamDelivery(old, 0.0, 3, condition="RecordAgeExceeded", destination="lost"))
    assert [(entry.way, entry.outcome) for entry in stack.entries] == [("table", "failed")] * 3
    reply = content(stack.entries[0]).reply
    assert reply == RecordOut("discarded", "Too old: 3 records are discarded; lost has their place in the stream")


# ---- events ---------------------------------------------------------------------------------------------------------

EVENT: Final = Event("e1", "shop", "orders", "Order placed", '{"detail": {}}')


def test_event_for_a_function_is_an_entry_with_its_tries(stack: Stack) -> None:
    stack.capture.event_delivering(EVENT, "rule", "bridge:live", "i1")
    stack.begins(BRIDGE, "i1", None, type="Event")
    stack.capture.event_delivered(EventDelivery(EVENT, "rule", "bridge:live", 1.0))
    assert stack.entries[0].function == "bridge"
    request = stack.begins(BRIDGE, "i1", "Root=1-new")
    inner = stack.begins(ORDERS, "i2", "Root=1-new", tenant="blue")
    stack.capture.invocation_ended(inner, DONE)
    stack.prints("bridge#1", RECORD | {"id": None, "requestId": "i1"})
    stack.capture.invocation_ended(request, replace(DONE, environment="bridge#1"))
    assert stack.entries[0].ms is None
    stack.capture.tried(Try("bridge", "", "i1", 1, 3, 1.0, condition="Success"))
    (entry,) = stack.entries
    assert (entry.way, entry.source, entry.path, entry.id) == ("bus", "shop", "Order placed", "e1")
    assert (entry.outcome, entry.tenant, entry.function) == ("ok", "blue", "orders")
    assert [one.function for one in content(entry).invocations] == ["bridge", "orders"]


def test_event_for_a_queue_ends_with_its_delivery(stack: Stack) -> None:
    stack.capture.event_delivering(EVENT, "rule", "queue", None)
    stack.capture.event_delivered(EventDelivery(EVENT, "rule", "queue", 1.0))
    assert (stack.entries[0].outcome, content(stack.entries[0]).reply) == ("ok", RecordOut("delivered"))


def test_event_that_is_not_delivered_has_the_cause(stack: Stack) -> None:
    stack.capture.event_delivering(EVENT, "rule", "orders", "i1")
    stack.capture.invocation_refused(InvokeRequest("orders", b"{}", "Event", request_id="i1"), _missing())
    stack.capture.event_delivered(EventDelivery(EVENT, "rule", "orders", 1.0, "no such function", "dropped"))
    (entry,) = stack.entries
    assert (entry.outcome, content(entry).text) == ("failed", "No such function. Dropped")


def test_event_that_no_rule_takes_is_an_entry(stack: Stack) -> None:
    stack.capture.event_lost(EVENT, "no rule takes it")
    (entry,) = stack.entries
    assert (entry.state, entry.outcome, content(entry).text) == ("ended", "ok", "No rule takes it")


def _missing() -> LambdaError:
    return LambdaError(404, "ResourceNotFoundException", "Function not found: orders")


# ---- replay and memory ----------------------------------------------------------------------------------------------

BEGINNINGS: Final[dict[object, Callable[[Stack], object]]] = {
    CLIENT: lambda stack: stack.receives(),
    "m1": lambda stack: stack.capture.delivering(batch("m1")),
    "11": lambda stack: stack.capture.delivering(STREAM),
    "e1": lambda stack: stack.capture.event_delivering(EVENT, "rule", "queue", None),
    "i1": lambda stack: stack.begins(ORDERS, "i1", None),
}


@pytest.mark.parametrize("key", BEGINNINGS)
def test_repetition_names_its_original_once(stack: Stack, key: object) -> None:
    replay = stack.capture.expect(key, 7)
    BEGINNINGS[key](stack)
    assert stack.entries[0].replay_of == 7
    assert replay.n == stack.entries[0].n
    BEGINNINGS[key](stack)
    assert [entry.replay_of for entry in stack.entries if entry.replay_of] == [7]


def test_forgotten_repetition_has_no_effect(stack: Stack) -> None:
    stack.capture.expect(CLIENT, 7)
    stack.capture.forget(CLIENT)
    stack.receives()
    assert stack.entries[0].replay_of is None


def test_capture_keeps_nothing_of_what_has_ended(stack: Stack) -> None:
    """Its own tables would otherwise grow without a limit, whatever the timeline drops."""
    test_asynchronous_invocation_is_one_entry_with_its_tries(stack)
    test_event_for_a_queue_ends_with_its_delivery(Stack())
    stack.receives()
    stack.serves()
    stack.answers()
    stack.capture.delivering(one := batch("m1"))
    stack.capture.invocation_ended(stack.begins(BRIDGE, "b1"), replace(DONE, environment="bridge#1"))
    stack.capture.delivered(Delivery(one, 20.0))
    stack.capture.event_lost(EVENT, "no rule takes it")
    stack.capture.invocation_ended(stack.begins(ORDERS, "i7", "Root=1-x"), InvocationResult(b"1"))
    assert stack.capture.open == 0
