"""A lane of a shard as Lambda runs it, on virtual time: batches, checkpoints, retries, ages, throttles, filters."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.local.aws.invoke_checks import MISSING, LambdaError
from lattice_bridge.local.aws.stream import StreamRecord
from lattice_bridge.local.sources.shard_lane import BLOCKED_AFTER
from tests.support.fake_stream import (
    ARN,
    CLICKS,
    REPORTING,
    FakeShard,
    FakeStream,
    StreamFunction,
    failing_with,
    reporting,
    streamed,
)
from tests.support.mapped import THROTTLED, FunctionError, Records, answering, fail, succeed, taking
from tests.support.virtual_time import lived

# ---- batches --------------------------------------------------------------------------------------------------------


def test_records_of_a_shard_are_batches_in_their_order() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, replace(CLICKS, batch_size=2)) as world:
            world.shard.put(*"abcde")
            await asyncio.sleep(1)
            assert function.calls == [["a", "b"], ["c", "d"], ["e"]]

    lived(scenario())


def test_event_has_the_records_as_the_stream_has_them() -> None:
    async def scenario() -> None:
        seen: Records = []

        async def keep(records: Records) -> object:
            seen.extend(records)
            return None

        async with streamed(StreamFunction(keep)) as world:
            world.shard.put("ö")
            await asyncio.sleep(1)
            assert seen == [dict(record.content) for record in world.shard.records]

    lived(scenario())


def test_default_batch_has_one_hundred_records() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function) as world:
            world.shard.put(*map(str, range(250)))
            await asyncio.sleep(1)
            assert [len(call) for call in function.calls] == [100, 100, 50]

    lived(scenario())


def test_read_has_no_more_records_than_a_batch_can_have() -> None:
    """A stream makes the content of each record that is read."""

    class Counting(FakeShard):
        reads = 0

        def after(self, number: int, limit: int) -> list[StreamRecord]:
            found = super().after(number, limit)
            self.reads += len(found)
            return found

    async def scenario() -> None:
        shard = Counting("shard-0")
        async with streamed(StreamFunction(succeed), replace(CLICKS, batch_size=10), stream=FakeStream([shard])):
            shard.put(*map(str, range(1000)))
            await asyncio.sleep(1)
            assert shard.reads == 1000

    lived(scenario())


def test_window_collects_records_until_it_ends() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, replace(CLICKS, window=5)) as world:
            await asyncio.sleep(7)
            world.shard.put("a")
            await asyncio.sleep(3)
            world.shard.put("b")
            await asyncio.sleep(3)
            assert (function.calls, function.times) == ([["a", "b"]], [12.0])

    lived(scenario())


def test_full_batch_does_not_wait_for_the_window() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, replace(CLICKS, batch_size=3, window=300)) as world:
            world.shard.put(*"abc")
            await asyncio.sleep(1)
            assert function.calls == [["a", "b", "c"]]

    lived(scenario())


def test_event_has_six_megabytes_at_most() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function) as world:
            world.shard.put(*("x" * 1_000_000 for _ in range(6)))
            await asyncio.sleep(1)
            assert max(function.sizes) <= SYNC_LIMIT
            assert [len(call) for call in function.calls] == [4, 2]

    lived(scenario())


def test_one_batch_of_a_shard_is_in_flight() -> None:
    async def scenario() -> None:
        function = StreamFunction(taking(5))
        async with streamed(function, replace(CLICKS, batch_size=1)) as world:
            world.shard.put(*"abc")
            await asyncio.sleep(60)
            assert (function.most, function.times) == (1, [0.0, 5.0, 10.0])

    lived(scenario())


def test_lanes_run_side_by_side_and_each_key_keeps_its_order() -> None:
    """Trap E11: `ParallelizationFactor` keeps the order of a key, also while a record of another key is retried."""

    async def scenario() -> None:
        function = StreamFunction(failing_with("0.0"))
        async with streamed(function, replace(CLICKS, batch_size=1, lanes=10)) as world:
            for number in range(3):
                for key in range(20):
                    world.shard.put(f"{key}.{number}", key=f"key-{key}")
            await asyncio.sleep(100)
            done = [data for (data,) in function.calls]
            for key in range(20):
                seen = [data for data in done if data.startswith(f"{key}.")]
                assert seen == sorted(seen)
            assert "0.1" not in done
            assert len({data.partition(".")[0] for data in done if data.endswith(".2")}) > 15

    lived(scenario())


def test_lanes_are_in_flight_at_the_same_time() -> None:
    async def scenario() -> None:
        function = StreamFunction(taking(5))
        async with streamed(function, replace(CLICKS, lanes=4)) as world:
            for number in range(40):
                world.shard.put(str(number), key=str(number))
            await asyncio.sleep(1)
            assert function.running == 4

    lived(scenario())


# ---- the answer -----------------------------------------------------------------------------------------------------


def test_retries_start_anew_after_a_checkpoint_moved() -> None:
    """Trap E30: captured on AWS. With three retries, the last of three records is seen five times, and its record in
    the destination counts four invocations."""

    async def scenario() -> None:
        function = StreamFunction(reporting("f"))
        mapping = replace(CLICKS, batch_size=3, window=1, maximum_retries=3, reports_failures=True)
        async with streamed(function, mapping) as world:
            world.shard.put(*"abcdef")
            await asyncio.sleep(100)
            assert function.calls == [["a", "b", "c"], ["d", "e", "f"], ["f"], ["f"], ["f"], ["f"]]
            (record,) = world.failed()
            assert record["requestContext"]["approximateInvokeCount"] == 4
            assert record["KinesisBatchInfo"]["batchSize"] == 1

    lived(scenario())


def test_retries_before_a_checkpoint_moved_do_not_count_for_the_remainder() -> None:
    """Trap E30: two failures of the whole batch, and then four of its last record."""

    async def scenario() -> None:
        tries = 0

        async def handler(records: Records) -> object:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise FunctionError
            return await reporting("c")(records)

        function = StreamFunction(handler)
        async with streamed(function, replace(REPORTING, maximum_retries=3)) as world:
            world.shard.put(*"abc")
            await asyncio.sleep(100)
            assert function.calls == [list("abc")] * 3 + [["c"]] * 4
            assert [one["requestContext"]["approximateInvokeCount"] for one in world.failed()] == [4]

    lived(scenario())


def test_everything_from_the_lowest_failed_record_is_delivered_again() -> None:
    """Trap E11: numbers are compared as numbers, 9 below 10. What succeeded after the checkpoint is delivered again."""

    async def scenario() -> None:
        broken = True

        async def handler(records: Records) -> object:
            return await reporting("j", "i")(records) if broken else None

        function = StreamFunction(handler)
        async with streamed(function, REPORTING) as world:
            world.shard.put(*"abcdefghijk")
            await asyncio.sleep(0.1)
            broken = False
            await asyncio.sleep(1)
            assert function.calls == [list("abcdefghijk"), ["i", "j", "k"]]
            (partial, whole) = world.deliveries
            assert (partial.failed, partial.checkpoint, partial.retry_in) == (3, "9", 0.5)
            assert (whole.failed, whole.checkpoint) == (0, "11")

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
        ({"batchItemFailures": [{"itemIdentifier": 2}]}, False),
        ({"batchItemFailures": [{"itemIdentifier": "123"}]}, False),
        ({"batchItemFailures": [{"itemIdentifier": "2"}, {"itemIdentifier": "x"}]}, False),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, False),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, False),
        ({"batchItemFailures": [{"foo": "2"}]}, False),
        ("ok", False),
        (b"{", False),
    ],
    ids=str,
)
def test_answer_is_read_as_lambda_reads_it(answer: object, succeeds: bool) -> None:
    """Trap E12: an id that is not in the batch, empty or null moves no checkpoint."""

    async def scenario() -> None:
        function = StreamFunction(answering(answer))
        async with streamed(function, replace(REPORTING, maximum_retries=1)) as world:
            world.shard.put("a", "b")
            await asyncio.sleep(10)
            assert function.calls == [["a", "b"]] * (1 if succeeds else 2)
            assert len(world.failed()) == (0 if succeeds else 1)
            assert bool(world.deliveries[0].error) is not succeeds

    lived(scenario())


def test_reported_failures_count_as_done_without_report_batch_item_failures() -> None:
    """Trap E13: Lambda ignores the answer. The log says so."""

    async def scenario() -> None:
        function = StreamFunction(reporting("a"))
        async with streamed(function) as world:
            world.shard.put("a", "b")
            await asyncio.sleep(10)
            assert function.calls == [["a", "b"]]
            assert "Fix: write FunctionResponseTypes: [ReportBatchItemFailures]" in world.deliveries[0].note

    lived(scenario())


# ---- retries --------------------------------------------------------------------------------------------------------


def test_function_error_fails_the_whole_batch_and_nothing_behind_it_is_delivered() -> None:
    """Trap E16: a function error is a failure, also with ReportBatchItemFailures."""

    async def scenario() -> None:
        broken = True

        async def handler(_records: Records) -> object:
            if broken:
                raise FunctionError
            return None

        function = StreamFunction(handler)
        async with streamed(function, replace(REPORTING, batch_size=2)) as world:
            world.shard.put(*"abc")
            await asyncio.sleep(1)
            assert function.calls == [["a", "b"], ["a", "b"]]
            assert (world.deliveries[0].error, world.deliveries[0].failed) == ("ValueError: no", 2)
            broken = False
            await asyncio.sleep(10)
            assert function.calls[2:] == [["a", "b"], ["c"]]

    lived(scenario())


def test_batch_without_retries_left_is_discarded_and_its_record_is_in_the_destination() -> None:
    async def scenario() -> None:
        function = StreamFunction(failing_with("a"))
        async with streamed(function, replace(CLICKS, batch_size=2, maximum_retries=2)) as world:
            world.shard.put(*"abc")
            await asyncio.sleep(10)
            assert function.calls == [["a", "b"], ["a", "b"], ["a", "b"], ["c"]]
            (record,) = world.failed()
            assert record == {
                "requestContext": {
                    "requestId": world.deliveries[2].batch.request_id,
                    "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:worker",
                    "condition": "RetryAttemptsExhausted",
                    "approximateInvokeCount": 3,
                },
                "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
                "version": "1.0",
                "timestamp": "2026-09-21T14:13:21.500Z",
                "KinesisBatchInfo": {
                    "shardId": "shard-0",
                    "startSequenceNumber": "1",
                    "endSequenceNumber": "2",
                    "approximateArrivalOfFirstRecord": "2026-09-21T14:13:20.000Z",
                    "approximateArrivalOfLastRecord": "2026-09-21T14:13:20.000Z",
                    "batchSize": 2,
                    "streamArn": ARN,
                },
            }
            ended = world.deliveries[2]
            assert (ended.condition, ended.destination, ended.failed) == ("RetryAttemptsExhausted", "failed", 2)

    lived(scenario())


def test_record_of_a_table_s_batch_has_the_members_of_dynamodb() -> None:
    """Captured on AWS: another member, times without milliseconds, and `functionError` null after a partial answer."""

    async def scenario() -> None:
        table = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000"
        mapping = replace(REPORTING, stream=table, maximum_retries=0)
        stream = FakeStream([FakeShard("shard-0")], table)
        async with streamed(StreamFunction(reporting("a")), mapping, stream=stream) as world:
            world.shard.put("a")
            await asyncio.sleep(1)
            (record,) = world.failed()
            assert record["responseContext"]["functionError"] is None
            assert record["DDBStreamBatchInfo"]["approximateArrivalOfFirstRecord"] == "2026-09-21T14:13:20Z"
            assert world.deliveries[0].batch.stream == "orders"

    lived(scenario())


def test_failed_batch_is_delivered_in_halves_and_splits_use_up_no_retry() -> None:
    """Trap E22: one poison record takes no neighbour with it."""

    async def scenario() -> None:
        function = StreamFunction(failing_with("d"))
        async with streamed(function, replace(CLICKS, bisects=True, maximum_retries=1)) as world:
            world.shard.put(*"abcdef")
            await asyncio.sleep(10)
            assert function.calls == [
                *(list("abcdef"), list("abc"), list("def")),
                *(["d"], ["d"], ["e", "f"]),
            ]
            (record,) = world.failed()
            assert record["KinesisBatchInfo"]["startSequenceNumber"] == "4"
            assert record["requestContext"]["approximateInvokeCount"] == 2

    lived(scenario())


def test_batch_with_a_checkpoint_is_split_there_and_not_in_halves() -> None:
    async def scenario() -> None:
        function = StreamFunction(reporting("e"))
        async with streamed(function, replace(REPORTING, bisects=True, maximum_retries=1)) as world:
            world.shard.put(*"abcdef")
            await asyncio.sleep(10)
            assert function.calls == [list("abcdef"), ["e", "f"], ["e", "f"]]
            (record,) = world.failed()
            assert record["KinesisBatchInfo"]["batchSize"] == 2

    lived(scenario())


def test_function_error_is_split_in_halves_also_with_report_batch_item_failures() -> None:
    async def scenario() -> None:
        function = StreamFunction(failing_with("a"))
        async with streamed(function, replace(REPORTING, bisects=True, maximum_retries=0)) as world:
            world.shard.put(*"abcd")
            await asyncio.sleep(10)
            assert function.calls == [list("abcd"), ["a", "b"], ["a"], ["b"], ["c", "d"]]
            assert [record["KinesisBatchInfo"]["batchSize"] for record in world.failed()] == [1]

    lived(scenario())


def test_batch_without_a_limit_blocks_its_shard_until_it_expires_and_the_log_says_so_once() -> None:
    """Trap E22: the default of Lambda. What is no longer in the stream is discarded."""

    async def scenario() -> None:
        function = StreamFunction(failing_with("a"))
        stream = FakeStream([FakeShard("shard-0", retention=3600)])
        async with streamed(function, replace(CLICKS, batch_size=1), stream=stream) as world:
            world.shard.put("a")
            await asyncio.sleep(1800)
            world.shard.put("b")
            await asyncio.sleep(1780)
            assert {data for (data,) in function.calls} == {"a"}
            noted = [index for index, one in enumerate(world.deliveries) if one.note]
            assert noted == [BLOCKED_AFTER - 1]
            assert "Fix: write MaximumRetryAttempts and an OnFailure destination" in world.deliveries[noted[0]].note
            await asyncio.sleep(60)
            assert function.calls[-1] == ["b"]
            assert [one["requestContext"]["condition"] for one in world.failed()] == ["RecordAgeExceeded"]

    lived(scenario())


def test_batch_of_a_mapping_with_a_limit_is_not_called_blocked() -> None:
    async def scenario() -> None:
        for limited in (replace(CLICKS, maximum_retries=9), replace(CLICKS, maximum_age=3600)):
            async with streamed(StreamFunction(fail), limited) as world:
                world.shard.put("a")
                await asyncio.sleep(60)
                assert {one.note for one in world.deliveries} == {""}

    lived(scenario())


# ---- ages -----------------------------------------------------------------------------------------------------------


def test_record_that_grows_too_old_between_retries_is_discarded() -> None:
    """Captured on AWS: a limit of a minute gives eight invocations, and no `responseContext`."""

    async def scenario() -> None:
        function = StreamFunction(fail)
        async with streamed(function, replace(CLICKS, maximum_age=60)) as world:
            world.shard.put("a")
            await asyncio.sleep(200)
            (record,) = world.failed()
            assert len(function.calls) == 8
            assert record["requestContext"]["condition"] == "RecordAgeExceeded"
            assert record["requestContext"]["approximateInvokeCount"] == 8
            assert "responseContext" not in record

    lived(scenario())


def test_record_that_is_too_old_is_never_delivered_and_those_after_it_are() -> None:
    """Captured on AWS: the record of the destination counts one invocation, and there was none."""

    async def scenario() -> None:
        function = StreamFunction(succeed)
        mapping = replace(CLICKS, maximum_age=60, maximum_retries=0)
        async with streamed(function, replace(mapping, enabled=False)) as world:
            world.shard.put("old")
            await asyncio.sleep(80)
            world.shard.put(*"abcde")
            world.sources.replace([mapping])
            await asyncio.sleep(1)
            assert function.calls == [list("abcde")]
            (record,) = world.failed()
            assert record["requestContext"]["condition"] == "RecordAgeExceeded"
            assert record["requestContext"]["approximateInvokeCount"] == 1
            assert record["KinesisBatchInfo"]["batchSize"] == 1
            assert (world.deliveries[0].condition, world.deliveries[0].failed) == ("RecordAgeExceeded", 1)

    lived(scenario())


# ---- throttles and refusals -----------------------------------------------------------------------------------------


def test_throttled_invocation_is_repeated_and_is_no_retry() -> None:
    async def scenario() -> None:
        tries = 0

        async def handler(_records: Records) -> object:
            nonlocal tries
            tries += 1
            if tries < 20:
                raise THROTTLED
            raise FunctionError

        function = StreamFunction(handler)
        async with streamed(function, replace(CLICKS, maximum_retries=1)) as world:
            world.shard.put("a")
            await asyncio.sleep(200)
            assert len(function.calls) == 21
            (record,) = world.failed()
            assert record["requestContext"]["approximateInvokeCount"] == 2
            assert [one.error for one in world.deliveries] == ["Rate Exceeded", "ValueError: no", "ValueError: no"]
            assert [one.batch.request_id for one in world.deliveries] == world.begun

    lived(scenario())


def test_pauses_of_throttles_begin_anew_after_an_invocation_that_ran() -> None:
    async def scenario() -> None:
        failures = iter([THROTTLED, THROTTLED, FunctionError(), THROTTLED])

        async def handler(_records: Records) -> object:
            if (failure := next(failures, None)) is not None:
                raise failure
            return None

        function = StreamFunction(handler)
        async with streamed(function) as world:
            world.shard.put("a")
            await asyncio.sleep(10)
            assert function.times == [0.0, 0.5, 1.5, 2.0, 2.5]

    lived(scenario())


def test_throttles_end_with_the_age_of_each_record() -> None:
    async def scenario() -> None:
        async def handler(_records: Records) -> object:
            raise THROTTLED

        function = StreamFunction(handler)
        async with streamed(function, replace(CLICKS, window=40, maximum_retries=0, maximum_age=60)) as world:
            world.shard.put("a")
            await asyncio.sleep(30)
            world.shard.put("b")
            await asyncio.sleep(40)
            assert (function.calls[0], function.calls[-1]) == (["a", "b"], ["b"])
            await asyncio.sleep(30)
            assert [one["KinesisBatchInfo"]["startSequenceNumber"] for one in world.failed()] == ["1", "2"]

    lived(scenario())


def test_invocation_that_lambda_refuses_blocks_the_shard_and_is_shown_once() -> None:
    """As an isolated function without a router: Lambda refuses an Invoke without a tenant id. That is no retry."""

    async def scenario() -> None:
        async def handler(_records: Records) -> object:
            raise LambdaError(400, "InvalidParameterValueException", MISSING)

        function = StreamFunction(handler)
        async with streamed(function, replace(CLICKS, maximum_retries=0)) as world:
            world.shard.put("a")
            await asyncio.sleep(600)
            assert len(function.calls) > 100
            (shown,) = world.deliveries
            assert shown.error == MISSING
            assert "Fix: map the stream to a bridge" in shown.note
            assert world.failed() == []

    lived(scenario())


def test_unexpected_error_does_not_end_the_mapping(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        broken = True

        async def handler(_records: Records) -> object:
            if broken:
                raise ZeroDivisionError("secret")
            return None

        function = StreamFunction(handler)
        async with streamed(function) as world:
            world.shard.put("a")
            await asyncio.sleep(1)
            broken = False
            await asyncio.sleep(60)
            assert world.deliveries[-1].failed == 0

    lived(scenario())
    assert "ZeroDivisionError" in caplog.text


def test_stream_that_refuses_a_read_does_not_end_the_mapping(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(FakeShard):
        reads = 0

        def after(self, number: int, limit: int) -> list[StreamRecord]:
            self.reads += 1
            if self.reads == 1:
                raise ValueError("odd")
            return super().after(number, limit)

    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, stream=FakeStream([Odd("shard-0")])) as world:
            world.shard.put("a")
            await asyncio.sleep(5)
            assert function.calls == [["a"]]

    lived(scenario())
    assert "M: ValueError: odd" in caplog.text


# ---- filters --------------------------------------------------------------------------------------------------------


def test_record_that_no_filter_takes_is_skipped_and_does_not_come_again() -> None:
    async def scenario() -> None:
        order, broken = json.dumps({"kind": "order"}), True

        async def handler(_records: Records) -> object:
            if broken:
                raise FunctionError
            return None

        function = StreamFunction(handler)
        async with streamed(function, replace(CLICKS, filters=({"data": {"kind": ["order"]}},))) as world:
            world.shard.put('{"kind": "invoice"}', order, "not JSON", '"order"', order, "not JSON")
            await asyncio.sleep(0.1)
            broken = False
            await asyncio.sleep(10)
            assert function.calls == [[order, order]] * 2
            assert world.deliveries[-1].checkpoint == "5"

    lived(scenario())
