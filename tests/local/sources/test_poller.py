"""Event source mappings as Lambda runs them, on virtual time: polling, batches, failures, throttles, filters."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.local.aws.invoke_checks import MISSING, LambdaError
from lattice_bridge.local.aws.sqs.message import Attribute, Outgoing
from lattice_bridge.local.sources.poller import BACK_OFF, MOST_POLLERS, POLLERS
from tests.support.mapped import (
    ORDERS,
    REPORTING,
    STEPS,
    THROTTLED,
    Function,
    FunctionError,
    Records,
    answering,
    fail,
    mapped,
    reporting,
    succeed,
    taking,
)
from tests.support.virtual_time import lived

# ---- batches --------------------------------------------------------------------------------------------------------


def test_messages_are_a_batch_and_are_deleted_after_it() -> None:
    async def scenario() -> None:
        function = Function(succeed)
        async with mapped(function) as world:
            world.send("a", "b", "c")
            await asyncio.sleep(1)
            assert function.calls == [["a", "b", "c"]]
            assert function.times == [0.0]
            assert world.orders.counts() == (0, 0, 0)

    lived(scenario())


def test_record_is_the_one_that_lambda_makes() -> None:
    async def scenario() -> None:
        seen: Records = []

        async def keep(records: Records) -> object:
            seen.extend(records)
            return None

        async with mapped(Function(keep)) as world:
            sent = world.orders.send(
                Outgoing("ö", {"tenant": Attribute("String", "blue")}, sender_id="AROAX:s", trace_header="Root=1-a")
            )
            await asyncio.sleep(1)
        (record,) = seen
        assert record["messageId"] == sent.message_id
        assert record["eventSource"] == "aws:sqs"
        assert record["eventSourceARN"] == ORDERS.queue
        assert record["awsRegion"] == "us-east-1"
        assert record["attributes"]["SenderId"] == "AROAX:s"
        assert record["attributes"]["AWSTraceHeader"] == "Root=1-a"
        assert record["messageAttributes"]["tenant"]["stringValue"] == "blue"

    lived(scenario())


def test_batch_size_bounds_a_batch() -> None:
    async def scenario() -> None:
        function = Function(succeed)
        async with mapped(function, replace(ORDERS, batch_size=2)) as world:
            world.send(*"abcde")
            await asyncio.sleep(1)
            assert function.calls == [["a", "b"], ["c", "d"], ["e"]]

    lived(scenario())


def test_window_collects_messages_until_it_ends() -> None:
    async def scenario() -> None:
        function = Function(succeed)
        async with mapped(function, replace(ORDERS, batch_size=100, window=5)) as world:
            await asyncio.sleep(7)
            world.send("a")
            await asyncio.sleep(3)
            world.send("b")
            await asyncio.sleep(3)
            assert (function.calls, function.times) == ([["a", "b"]], [12.0])

    lived(scenario())


def test_full_batch_does_not_wait_for_the_window() -> None:
    async def scenario() -> None:
        function = Function(succeed)
        async with mapped(function, replace(ORDERS, batch_size=25, window=300)) as world:
            world.send(*(str(number) for number in range(25)))
            await asyncio.sleep(1)
            assert [len(call) for call in function.calls] == [25]

    lived(scenario())


def test_event_has_six_megabytes_at_most() -> None:
    async def scenario() -> None:
        function = Function(succeed)
        async with mapped(function) as world:
            world.send(*("x" * 1_000_000 for _ in range(10)))
            await asyncio.sleep(1)
            assert max(function.sizes) <= SYNC_LIMIT
            assert [len(call) for call in function.calls] == [6, 4]
            assert world.orders.counts() == (0, 0, 0)

    lived(scenario())


def test_second_part_of_a_large_batch_does_not_overtake_a_failed_message_of_its_group() -> None:
    """Trap E9: a batch over 6 MB has two invocations, and the second one may not run ahead of the first."""

    async def scenario() -> None:
        big = [f"{number}{'x' * 1_000_000}" for number in range(8)]
        function = Function(reporting(big[0]))
        async with mapped(function, STEPS) as world:
            world.step("a", *big[:7])
            world.step("b", big[7])
            await asyncio.sleep(1)
            assert [[body[0] for body in call] for call in function.calls] == [list("012345"), ["7"]]

    lived(scenario())


# ---- pollers --------------------------------------------------------------------------------------------------------


def test_concurrency_starts_with_few_pollers_and_grows_to_a_bound() -> None:
    async def scenario() -> None:
        function = Function(taking(60))
        async with mapped(function, replace(ORDERS, batch_size=1), visibility=600) as world:
            world.send(*(str(number) for number in range(200)))
            await asyncio.sleep(0.1)
            assert function.running == POLLERS
            await asyncio.sleep(4)
            assert POLLERS < function.running < 30
            await asyncio.sleep(30)
            assert function.running == MOST_POLLERS

    lived(scenario())


def test_maximum_concurrency_bounds_the_invocations() -> None:
    async def scenario() -> None:
        function = Function(taking(5))
        async with mapped(function, replace(ORDERS, batch_size=1, maximum_concurrency=2)) as world:
            world.send(*"abcdefgh")
            await asyncio.sleep(60)
            assert (function.most, len(function.calls)) == (2, 8)

    lived(scenario())


def test_fifo_group_has_one_batch_in_flight() -> None:
    async def scenario() -> None:
        function = Function(taking(5))
        async with mapped(function, replace(STEPS, batch_size=1)) as world:
            world.step("a", "a1", "a2")
            world.step("b", "b1", "b2")
            await asyncio.sleep(4)
            assert function.calls == [["a1"], ["b1"]]
            await asyncio.sleep(5)
            assert function.calls == [["a1"], ["b1"], ["a2"], ["b2"]]

    lived(scenario())


def test_fifo_batch_has_several_groups() -> None:
    async def scenario() -> None:
        function = Function(succeed)
        async with mapped(function, STEPS) as world:
            world.step("a", "a1", "a2")
            world.step("b", "b1")
            await asyncio.sleep(1)
            assert sorted(function.calls[0]) == ["a1", "a2", "b1"]

    lived(scenario())


def test_mapping_of_a_queue_that_is_made_later_begins_to_poll() -> None:
    async def scenario() -> None:
        function = Function(succeed)
        late = replace(ORDERS, queue=f"{ORDERS.queue}-late")
        async with mapped(function, late) as world:
            await asyncio.sleep(100)
            world.queues.create("orders-late").send(Outgoing("a"))
            await asyncio.sleep(2)
            assert function.calls == [["a"]]

    lived(scenario())


# ---- failures -------------------------------------------------------------------------------------------------------


def test_function_error_deletes_nothing_and_the_batch_is_visible_after_its_timeout() -> None:
    async def scenario() -> None:
        function = Function(fail)
        async with mapped(function) as world:
            world.send("a", "b")
            await asyncio.sleep(29)
            assert world.orders.counts() == (0, 2, 0)
            await asyncio.sleep(10)
            assert function.calls == [["a", "b"], ["a", "b"]]
            assert function.times[1] >= 30
            assert world.deliveries[0].error == "ValueError: no"

    lived(scenario())


def test_message_that_keeps_failing_reaches_the_dead_letter_queue() -> None:
    """Trap E22: a poison message is bounded by maxReceiveCount, and its neighbours are processed."""

    async def scenario() -> None:
        function = Function(reporting("poison"))
        async with mapped(function, REPORTING) as world:
            world.send("a", "poison", "b")
            await asyncio.sleep(3600)
            assert function.calls == [["a", "poison", "b"], ["poison"], ["poison"]]
            assert world.orders.counts() == (0, 0, 0)
            assert world.dead() == ["poison"]

    lived(scenario())


def test_fifo_group_stops_at_a_failed_message_and_other_groups_go_on() -> None:
    """Trap E9: the function reports the failed message and those behind it. They are received again in order."""

    async def scenario() -> None:
        broken = True

        async def handler(records: Records) -> object:
            behind = [one for one in records if broken and one["attributes"]["MessageGroupId"] == "a"]
            return {
                "batchItemFailures": [{"itemIdentifier": one["messageId"]} for one in behind if one["body"] != "a1"]
            }

        function = Function(handler)
        async with mapped(function, STEPS) as world:
            world.step("a", "a1", "a2", "a3")
            await asyncio.sleep(1)
            world.step("a", "a4")
            world.step("b", "b1")
            await asyncio.sleep(1)
            assert function.calls == [["a1", "a2", "a3"], ["b1"]]
            broken = False
            await asyncio.sleep(60)
            assert function.calls[2:] == [["a2", "a3", "a4"]]

    lived(scenario())


@pytest.mark.parametrize(
    ("answer", "succeeds"),
    [
        ({}, True),
        ([], True),
        ("", True),
        (None, True),
        ({"batchItemFailures": []}, True),
        ({"batchItemFailures": None}, True),
        ({"statusCode": 200}, True),
        ([{"itemIdentifier": "x"}], False),
        ("ok", False),
        ({"batchItemFailures": [{"itemIdentifier": "not of this batch"}]}, False),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, False),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, False),
        ({"batchItemFailures": [{"id": "x"}]}, False),
        (b"{", False),
    ],
    ids=str,
)
def test_answer_is_read_as_lambda_reads_it(answer: object, succeeds: bool) -> None:
    """Trap E12: a misspelt id fails the whole batch, so that nothing is deleted."""

    async def scenario() -> None:
        async with mapped(Function(answering(answer)), REPORTING) as world:
            world.send("a", "b")
            await asyncio.sleep(1)
            assert world.orders.counts() == ((0, 0, 0) if succeeds else (0, 2, 0))
            assert bool(world.deliveries[0].error) is not succeeds

    lived(scenario())


def test_reported_failures_are_deleted_without_report_batch_item_failures() -> None:
    """Trap E13: Lambda ignores the answer. The log says so."""

    async def scenario() -> None:
        async with mapped(Function(reporting("a")), ORDERS) as world:
            world.send("a", "b")
            await asyncio.sleep(1)
            assert world.orders.counts() == (0, 0, 0)
            assert "Fix: write FunctionResponseTypes: [ReportBatchItemFailures]" in world.deliveries[0].note

    lived(scenario())


def test_polling_backs_off_after_function_errors() -> None:
    async def scenario() -> None:
        function = Function(fail)
        async with mapped(function, replace(ORDERS, batch_size=1), receives=1) as world:
            world.send(*"abcdefghij")
            await asyncio.sleep(60)
            assert function.times == [0, 0, 0, 0, 0, 1, 3, 7, 15, 23]
            assert BACK_OFF == (1, 2, 4, 8)

    lived(scenario())


def test_polling_does_not_back_off_with_report_batch_item_failures() -> None:
    async def scenario() -> None:
        function = Function(fail)
        async with mapped(function, replace(REPORTING, batch_size=1)) as world:
            world.send(*"abcdef")
            await asyncio.sleep(1)
            assert len(function.calls) == 6

    lived(scenario())


def test_polling_goes_on_at_once_after_a_success() -> None:
    async def scenario() -> None:
        broken = True

        async def handler(_records: Records) -> object:
            if broken:
                raise FunctionError
            return None

        function = Function(handler)
        async with mapped(function, replace(ORDERS, batch_size=1)) as world:
            world.send("a")
            await asyncio.sleep(1)
            broken = False
            await asyncio.sleep(60)
            world.send("b", "c")
            await asyncio.sleep(0.5)
            assert function.calls[-2:] == [["b"], ["c"]]

    lived(scenario())


# ---- throttles and refusals -----------------------------------------------------------------------------------------


def test_throttled_invocation_is_repeated_and_the_message_is_received_once() -> None:
    async def scenario() -> None:
        tries = 0

        async def handler(_records: Records) -> object:
            nonlocal tries
            tries += 1
            if tries < 4:
                raise THROTTLED
            return None

        function = Function(handler)
        async with mapped(function) as world:
            world.send("a")
            await asyncio.sleep(20)
            assert function.times == [0.0, 0.5, 1.5, 3.5]
            assert [message.receives for message in world.deliveries[0].batch.messages] == [1]
            assert world.orders.counts() == (0, 0, 0)

    lived(scenario())


def test_throttles_end_with_the_visibility_timeout() -> None:
    async def scenario() -> None:
        async def handler(_records: Records) -> object:
            raise THROTTLED

        async with mapped(Function(handler), receives=2) as world:
            world.send("a")
            await asyncio.sleep(29.9)
            assert [one.error for one in world.deliveries] == ["Rate Exceeded"]
            await asyncio.sleep(120)
            assert world.dead() == ["a"]

    lived(scenario())


def test_invocation_that_lambda_refuses_fails_the_batch() -> None:
    """As an isolated function without a router: Lambda refuses an Invoke without a tenant id."""

    async def scenario() -> None:
        async def handler(_records: Records) -> object:
            raise LambdaError(400, "InvalidParameterValueException", MISSING)

        async with mapped(Function(handler), receives=2) as world:
            world.send("a")
            await asyncio.sleep(120)
            assert {one.error for one in world.deliveries} == {MISSING}
            assert "Fix: map the queue to a bridge" in world.deliveries[0].note
            assert world.dead() == ["a"]

    lived(scenario())


def test_unexpected_error_does_not_end_the_mapping(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        broken = True

        async def handler(_records: Records) -> object:
            if broken:
                raise ZeroDivisionError("secret")
            return None

        function = Function(handler)
        async with mapped(function) as world:
            world.send("a")
            await asyncio.sleep(1)
            broken = False
            await asyncio.sleep(60)
            assert world.orders.counts() == (0, 0, 0)

    lived(scenario())
    assert "ZeroDivisionError" in caplog.text


def test_queue_that_refuses_a_receive_does_not_end_the_mapping(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        function = Function(taking(40))
        async with mapped(function, replace(ORDERS, batch_size=1), in_flight=2) as world:
            world.send("a", "b", "c")
            await asyncio.sleep(20)
            assert function.calls == [["a"], ["b"]]
            await asyncio.sleep(200)
            assert ["c"] in function.calls

    lived(scenario())
    assert "in flight" in caplog.text


def test_message_that_was_visible_before_the_answer_is_delivered_again() -> None:
    """The function is slower than the visibility timeout: an expired handle deletes no message of a FIFO queue."""

    async def scenario() -> None:
        async with mapped(Function(taking(40)), STEPS) as world:
            world.step("a", "a1")
            await asyncio.sleep(41)
            assert "make it at least 6 times the function's Timeout" in world.deliveries[0].note
            assert world.deliveries[0].failed

    lived(scenario())


# ---- filters --------------------------------------------------------------------------------------------------------

BY_KIND = ({"body": {"kind": ["order"]}},)


def test_message_that_no_filter_takes_is_deleted() -> None:
    async def scenario() -> None:
        function = Function(succeed)
        async with mapped(function, replace(ORDERS, filters=BY_KIND)) as world:
            order = json.dumps({"kind": "order"})
            world.send('{"kind": "invoice"}', order, "not JSON")
            await asyncio.sleep(1)
            assert function.calls == [[order]]
            assert world.orders.counts() == (0, 0, 0)

    lived(scenario())
