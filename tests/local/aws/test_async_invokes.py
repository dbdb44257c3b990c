"""The queue of asynchronous invocations on virtual time: retries, ages, records, and what is lost."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from itertools import accumulate

import pytest

from lattice_bridge.local.aws.async_invokes import RUNNING, Ended, Event
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.plan.model import EventInvokeConfig
from tests.support.async_world import (
    ARN,
    BROKEN,
    DONE,
    FAILED,
    QUEUE,
    REQUEST,
    THROTTLED,
    Answer,
    World,
    one_after_the_other,
    waiting,
)
from tests.support.virtual_time import BEGIN, lived

DAY = 86_400.0
TO_QUEUE = EventInvokeConfig(on_failure=QUEUE)


def run(*answers: Answer, config: EventInvokeConfig = TO_QUEUE, request: InvokeRequest = REQUEST) -> World:
    """What has happened a day after one event was accepted."""

    async def scenario() -> World:
        async with waiting(one_after_the_other(*answers), config) as (world, events):
            events.accept(request, ARN)
            await asyncio.sleep(DAY)
            return world

    return lived(scenario())


# ---- retries --------------------------------------------------------------------------------------------------------


def test_function_that_fails_is_tried_after_one_and_two_minutes() -> None:
    world = run(FAILED)
    assert world.times == [0, 60, 180]
    assert [one.pause for one in world.tries] == [60, 120, None]
    assert world.conditions == ["", "", "RetriesExhausted"]


def test_function_that_fails_twice_and_then_succeeds_has_succeeded() -> None:
    world = run(FAILED, FAILED, DONE, config=EventInvokeConfig(on_success=QUEUE, on_failure="arn:other"))
    assert world.conditions == ["", "", "Success"]
    ((target, record),) = world.records
    assert (target, record["requestContext"]["approximateInvokeCount"]) == (QUEUE, 3)


def test_failure_without_a_message_is_a_failure() -> None:
    """A custom runtime may report an error with an empty body."""
    world = run(InvocationResult(b"", "Unhandled"))
    assert world.conditions == ["", "", "RetriesExhausted"]
    assert world.tries[0].error == "the function failed without a message"


@pytest.mark.parametrize(("retries", "times"), [(0, [0]), (1, [0, 60])])
def test_number_of_retries_is_the_configured_one(retries: int, times: list[int]) -> None:
    assert run(FAILED, config=EventInvokeConfig(retries=retries)).times == times


@pytest.mark.parametrize("refusal", [THROTTLED, BROKEN, ValueError("a bug of the stack")])
def test_throttle_and_service_error_are_repeated_without_counting(refusal: Exception) -> None:
    world = run(*[refusal] * 11, FAILED)
    pauses = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 60, 120]
    assert world.times == [0, *accumulate(pauses)]
    assert [one.number for one in world.tries] == [1] * 12 + [2, 3]
    assert world.records[0][1]["requestContext"]["approximateInvokeCount"] == 3


def test_throttled_event_is_given_up_after_six_hours() -> None:
    world = run(THROTTLED)
    assert 6 * 3600 - 300 <= world.times[-1] <= 6 * 3600
    assert world.conditions[-1] == "EventAgeExceeded"
    ((_, record),) = world.records
    assert record["requestContext"] == {
        "requestId": "id-1",
        "functionArn": f"{ARN}:$LATEST",
        "condition": "EventAgeExceeded",
        "approximateInvokeCount": 0,
    }
    assert "responseContext" not in record


@pytest.mark.parametrize(("age", "times"), [(60, [0, 60]), (90, [0, 60]), (179, [0, 60]), (180, [0, 60, 180])])
def test_event_is_given_up_if_its_next_try_would_be_too_late(age: int, times: list[int]) -> None:
    world = run(FAILED, config=replace(TO_QUEUE, max_age=age))
    assert world.times == times
    ended = "RetriesExhausted" if age == 180 else "EventAgeExceeded"
    assert world.records[0][1]["requestContext"]["condition"] == ended
    assert world.records[0][1]["responseContext"]["functionError"] == "Unhandled"


def test_slow_function_leaves_no_time_for_a_retry() -> None:
    async def scenario() -> None:
        async def fail_slowly(_request: InvokeRequest) -> Answer:
            await asyncio.sleep(1)
            return FAILED

        async with waiting(fail_slowly, replace(TO_QUEUE, max_age=60)) as (world, events):
            events.accept(REQUEST, ARN)
            await asyncio.sleep(DAY)
        assert world.conditions == ["EventAgeExceeded"]

    lived(scenario())


def test_event_that_waited_too_long_is_not_run() -> None:
    async def scenario() -> None:
        async def take_long(_request: InvokeRequest) -> Answer:
            await asyncio.sleep(100)
            return DONE

        async with waiting(take_long, replace(TO_QUEUE, max_age=60)) as (world, events):
            for number in range(RUNNING + 1):
                events.accept(replace(REQUEST, request_id=f"id-{number}"), ARN)
            await asyncio.sleep(DAY)
        assert len(world.requests) == RUNNING
        assert world.conditions == ["Success"] * RUNNING + ["EventAgeExceeded"]

    lived(scenario())


def test_every_try_is_the_same_invocation_for_the_same_tenant() -> None:
    """Trap E1: a retry runs as the tenant of its event. Lambda passes no client context to these invocations."""
    world = run(FAILED, THROTTLED, DONE, request=replace(REQUEST, client_context='{"custom": {}}', trace_id=None))
    assert len(world.requests) == 3
    (trace,) = {request.trace_id for request in world.requests}
    assert trace is not None
    assert set(world.requests) == {replace(REQUEST, type="RequestResponse", trace_id=trace)}


def test_events_of_one_function_run_side_by_side_up_to_a_limit() -> None:
    async def scenario() -> None:
        async def hang(request: InvokeRequest) -> Answer:
            await asyncio.sleep(0 if request.function == "quick" else DAY)
            return DONE

        async with waiting(hang) as (world, events):
            world.functions["quick"] = replace(world.functions["orders"], name="quick")
            for _ in range(RUNNING + 5):
                events.accept(REQUEST, ARN)
            await asyncio.sleep(1)
            assert len(world.requests) == RUNNING
            events.accept(replace(REQUEST, function="quick"), ARN.replace("orders", "quick"))
            await asyncio.sleep(1)
            assert [one.function for one in world.tries] == ["quick"]

    lived(scenario())


def test_configuration_is_that_of_the_qualifier() -> None:
    async def scenario() -> None:
        config = EventInvokeConfig(retries=0, on_failure=QUEUE)
        async with waiting(one_after_the_other(FAILED), config, qualifier="live") as (world, events):
            events.accept(replace(REQUEST, function="orders:live"), f"{ARN}:live")
            await asyncio.sleep(DAY)
            assert (world.times, len(world.records)) == ([0], 1)
            assert world.records[0][1]["requestContext"]["functionArn"] == f"{ARN}:live"
            events.accept(REQUEST, ARN)
            await asyncio.sleep(DAY)
            assert (len(world.times), len(world.records)) == (1 + 3, 1)

    lived(scenario())


def test_changed_template_applies_to_an_event_that_waits() -> None:
    async def scenario() -> None:
        gone = LambdaError(404, "ResourceNotFoundException", "Function not found")
        async with waiting(one_after_the_other(FAILED, gone), TO_QUEUE) as (world, events):
            events.accept(REQUEST, ARN)
            await asyncio.sleep(1)
            world.functions.clear()
            await asyncio.sleep(DAY)
        assert world.times == [0, 60]
        assert world.tries[-1].is_lost
        assert world.tries[-1].error == "Function not found"

    lived(scenario())


# ---- destinations ---------------------------------------------------------------------------------------------------


def test_record_of_a_failure_is_the_one_that_lambda_sends() -> None:
    """As recorded on AWS. It has no tenant id."""
    world = run(FAILED)
    assert world.records == [
        (
            QUEUE,
            {
                "version": "1.0",
                "timestamp": "2026-09-21T14:16:20.000Z",
                "requestContext": {
                    "requestId": "id-1",
                    "functionArn": f"{ARN}:$LATEST",
                    "condition": "RetriesExhausted",
                    "approximateInvokeCount": 3,
                },
                "requestPayload": {"n": 1.5},
                "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
                "responsePayload": {"errorType": "ValueError", "errorMessage": "no"},
            },
        )
    ]


def test_record_of_a_success_has_no_error() -> None:
    world = run(DONE, config=EventInvokeConfig(on_success=QUEUE))
    ((_, record),) = world.records
    assert record["requestContext"]["condition"] == "Success"
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert record["responsePayload"] == {"done": 1.5}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"n": 1e400, "d": 0.10}', '{"n": 1e400, "d": 0.10}'),
        (b"\xff not JSON", '"\\ufffd not JSON"'),
        (b"[NaN]", '"[NaN]"'),
        (b"", "null"),
    ],
)
def test_record_has_the_payloads_as_they_are(payload: bytes, expected: str) -> None:
    event = Event(replace(REQUEST, payload=b""), f"{ARN}:$LATEST", BEGIN, 1, 0, InvocationResult(payload))
    record = Ended(event, "Success", BEGIN).record
    assert record.endswith(f'"responsePayload": {expected}}}')
    assert '"requestPayload": {},' in record


def test_event_that_is_given_up_reaches_the_destination_and_the_dead_letter_queue() -> None:
    async def scenario() -> None:
        dead = QUEUE.replace("failures", "dead")
        config = replace(TO_QUEUE, retries=0)
        async with waiting(one_after_the_other(FAILED), config, dead_letters=dead) as (world, events):
            events.accept(REQUEST, ARN)
            await asyncio.sleep(1)
        ((target, letter),) = world.letters
        assert (target, letter.error_code, letter.error_message) == (dead, 200, "no")
        assert [delivery.arn for delivery in world.tries[0].deliveries] == [QUEUE, dead]
        assert not world.tries[0].is_lost

    lived(scenario())


def test_success_is_no_dead_letter() -> None:
    async def scenario() -> None:
        async with waiting(one_after_the_other(DONE), dead_letters=QUEUE) as (world, events):
            events.accept(REQUEST, ARN)
            await asyncio.sleep(1)
        assert (world.letters, world.records) == ([], [])

    lived(scenario())


def test_dead_letter_has_the_beginning_of_the_message() -> None:
    message = json.dumps({"errorType": "E", "errorMessage": "\x1b[2Jé" + "é" * 2000}).encode()
    event = Event(REQUEST, ARN, BEGIN, 1, 0, InvocationResult(message, "Unhandled"))
    found = Ended(event, "RetriesExhausted", BEGIN).error_message
    assert found.startswith("\\x1b[2Jé")
    assert 1020 <= len(found.encode()) <= 1024


def test_dead_letter_of_a_throttled_event_has_the_status() -> None:
    event = Event(REQUEST, ARN, BEGIN, error=THROTTLED)
    ended = Ended(event, "EventAgeExceeded", BEGIN)
    assert (ended.error_code, ended.error_message) == (429, "Rate Exceeded")


@pytest.mark.parametrize(("config", "faults"), [(TO_QUEUE, ["no such queue"]), (EventInvokeConfig(), [])])
def test_event_that_nothing_takes_is_lost(config: EventInvokeConfig, faults: list[str]) -> None:
    async def scenario() -> None:
        async with waiting(one_after_the_other(FAILED), config) as (world, events):
            world.refused.add(QUEUE)
            events.accept(REQUEST, ARN)
            await asyncio.sleep(DAY)
        assert world.tries[-1].is_lost
        assert [delivery.fault for delivery in world.tries[-1].deliveries] == faults

    lived(scenario())


# ---- memory and the end ---------------------------------------------------------------------------------------------


def test_events_take_a_bounded_memory() -> None:
    async def scenario() -> None:
        async with waiting(one_after_the_other(DONE), memory=2 * 1024**2) as (_, events):
            large = replace(REQUEST, payload=b"1" * 900_000)
            for _ in range(3):  # the memory of events that have ended is free again
                events.accept(large, ARN)
                events.accept(large, ARN)
                with pytest.raises(LambdaError, match="2 asynchronous invocations are waiting") as refused:
                    events.accept(large, ARN)
                assert refused.value.status == 429
                await asyncio.sleep(1)

    lived(scenario())


def test_end_of_the_stack_counts_the_events_that_are_lost(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with waiting(one_after_the_other(DONE, FAILED)) as (_, events):
            for name in ("orders", "orders", "orders:live", "orders:live"):
                events.accept(replace(REQUEST, function=name), f"{ARN}{name.removeprefix('orders')}")
            await asyncio.sleep(1)
            await events.close()
            with pytest.raises(LambdaError, match="the stack stops"):
                events.accept(REQUEST, ARN)

    lived(scenario())
    (line,) = [record.getMessage() for record in caplog.records]
    lost = "3 asynchronous invocations are lost, because the stack stops"
    assert line == f"{lost}: 1 of orders, 2 of orders:live"


def test_end_of_the_stack_without_events_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    run(DONE)
    assert caplog.records == []
