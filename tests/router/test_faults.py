"""A record that fails: it is reported, or stored in the quarantine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lattice_bridge.errors import (
    BackendFailed,
    BridgeError,
    LoopDetected,
    Misconfigured,
    TimedOut,
    TooLarge,
    Unavailable,
)
from lattice_bridge.invoke.call import DidNotRun
from tests.support.lifetime import outlives
from tests.support.records import (
    ARN,
    BLUE_ARN,
    BY_ATTRIBUTE,
    FIFO,
    QUARANTINE,
    REGION,
    SHOP,
    STORED,
    STORED_IN_ORDER,
    Context,
    Functions,
    World,
    id_of,
    record,
    source,
    text_attribute,
)

QUIET = source(BY_ATTRIBUTE, STORED)


def note(hops: object, **more: object) -> dict[str, Any]:
    """Our attribute of a record that comes from the quarantine."""
    return {"lattice-bridge": text_attribute(json.dumps({"hops": hops, **more}))}


# ---- the function's answer ------------------------------------------------------------------------------------------

DONE = [
    "null",
    '""',
    "[]",
    "{}",
    " { } ",
    '{"batchItemFailures":[]}',
    '{"batchItemFailures":null}',
    '{"statusCode":500}',
    '{"batchItemFailures": [], "more": [1, 2]}',
]


@pytest.mark.parametrize("answer", DONE)
def test_answer_that_aws_reads_as_success_is_one(answer: str) -> None:
    assert World(functions=Functions(default=answer.encode()))(record(1, "blue")) == []


UNREADABLE = [
    "",
    "no JSON",
    '"done"',
    "[1]",
    "0",
    "1",
    "true",
    "false",
    "NaN",
    '{"batchItemFailures":{}}',
    '{"batchItemFailures":false}',
    '{"batchItemFailures":""}',
    '{"batchItemFailures":[{}]}',
    '{"batchItemFailures":[null]}',
    '{"batchItemFailures":[{"itemIdentifier":""}]}',
    '{"batchItemFailures":[{"itemIdentifier":null}]}',
    '{"batchItemFailures":[{"itemIdentifier":"another"}]}',
    f'{{"batchItemFailures":[{{"itemIdentifier":"{id_of(2)}"}}]}}',
    f'{{"batchItemFailures":[{{"itemIdentifier":"{id_of(1)}"}},{{"itemIdentifier":"{id_of(2)}"}}]}}',
    '{"batchItemFailures":[],"batchItemFailures":[{"itemIdentifier":"x"}]}',
    "[" * 100_000,
    "\udcff",
    "\ufeffnull",
    "n\0u\0l\0l\0",
    f'{{"BatchItemFailures":[{{"ItemIdentifier":"{id_of(1)}"}}]}}',
    f'{{"batch_item_failures":[{{"itemIdentifier":"{id_of(1)}"}}]}}',
    '{"batchitemfailures":[]}',
    "[" + "{}," * 100_000 + "{}]",
]


@pytest.mark.parametrize("answer", UNREADABLE)
def test_answer_that_is_not_understood_deletes_nothing_and_reports_no_other_record(answer: str) -> None:
    """Trap E12: an id that is not in the batch would fail every record. UTF-16 and other spellings are not understood
    either: AWS would take `BatchItemFailures` for a success. An answer of many small parts would use up the memory."""
    world = World(QUIET, functions=Functions({1: answer.encode("utf-8", "surrogateescape")}))
    assert world(record(1, "blue"), record(2, "blue")) == [1]
    assert world.reasons == {1: ("failed", "backend_unreadable"), 2: ("done", "ok")}
    assert world.sqs.sent == []


@pytest.mark.parametrize("count", [1, 2])
def test_function_that_reports_its_record_has_it_reported(count: int) -> None:
    """Trap E12."""
    answer = json.dumps({"batchItemFailures": [{"itemIdentifier": id_of(1)}] * count}).encode()
    world = World(QUIET, functions=Functions({1: answer}))
    assert world(record(1, "blue"), record(2, "blue")) == [1]
    assert world.reasons[1] == ("failed", "backend_reported")


# ---- transient faults -----------------------------------------------------------------------------------------------

TRANSIENT: list[BridgeError] = [
    DidNotRun("throttled", ""),
    BackendFailed("backend_raised", ""),
    BackendFailed("connection_lost", ""),
    TimedOut("backend_timeout", ""),
    Unavailable("unreachable", ""),
    Misconfigured("function_not_found", ""),
    Misconfigured("access_denied", ""),
    Misconfigured("tenancy_mismatch", ""),
    LoopDetected("loop", ""),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: error.reason)
def test_fault_that_may_pass_is_reported_and_never_quarantined(error: BridgeError) -> None:
    """Trap E16: also a function error, in every form. A wrong deployment must not drain a queue."""
    world = World(QUIET, functions=Functions({1: error}))
    assert world(record(1, "blue"), record(2, "blue")) == [1]
    assert (len(world.functions.calls), world.sqs.sent) == (2, [])
    assert world.reasons[1] == ("failed", error.reason)


def test_bug_is_reported_and_its_message_is_not_logged() -> None:
    """Trap E24."""
    world = World(QUIET, functions=Functions({1: KeyError("secret")}))
    assert world(record(1, "blue")) == [1]
    assert world.reasons[1] == ("failed", "internal")
    assert "secret" not in "".join(world.written)


@pytest.mark.parametrize("error", [KeyError("x"), BackendFailed("backend_raised", "")], ids=["bug", "fault"])
def test_record_does_not_outlive_its_batch(error: Exception) -> None:
    """Trap D9: an error is kept here, as by a frame that refers to it, and its traceback had the record."""
    world = World(QUIET, functions=Functions({1: error}))
    assert not outlives(world, record(1, "blue"))
    assert world.reasons[1][0] == "failed"


# ---- permanent faults -----------------------------------------------------------------------------------------------


def test_permanent_fault_without_a_quarantine_is_reported() -> None:
    """Trap E6: it reaches the queue's own dead-letter queue."""
    world = World(source(BY_ATTRIBUTE))
    assert world(record(1, "red")) == [1]
    assert world.reasons[1] == ("failed", "tenant_not_allowed")


def test_copy_has_all_of_the_message_and_the_reason_beside_it() -> None:
    """Trap E25: sent back to its queue, it is decided again by the same evidence."""
    world = World(QUIET)
    attributes = {
        "count": {"dataType": "Number.int", "stringValue": "7", "stringListValues": [], "binaryListValues": []},
        "blob": {"dataType": "Binary.png", "binaryValue": "AP8=", "stringListValues": [], "binaryListValues": []},
    }
    assert world(record(1, "red", body='{"a": "é"}', attributes=attributes, group="g 1")) == []
    [sent] = world.sqs.sent
    assert sent == {
        "QueueUrl": f"https://sqs.{REGION}.amazonaws.com/111122223333/orders-quarantine",
        "MessageBody": '{"a": "é"}',
        "MessageAttributes": {
            "tenant": {"DataType": "String", "StringValue": "red"},
            "count": {"DataType": "Number.int", "StringValue": "7"},
            "blob": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"},
            "lattice-bridge": sent["MessageAttributes"]["lattice-bridge"],
        },
        "MessageGroupId": "g 1",
    }
    expected = {"source": ARN, "id": id_of(1), "group": "g 1", "reason": "tenant_not_allowed", "tenant": None}
    assert world.sqs.notes == [{**expected, "hops": 1}]
    assert world.regions == [REGION]


def test_copy_in_a_fifo_quarantine_keeps_the_group_and_is_stored_once() -> None:
    """A message that is delivered again has the same deduplication id, and another one has another."""
    world = World(source(BY_ATTRIBUTE, STORED_IN_ORDER, arn=FIFO))
    for message in (record(1, "red", arn=FIFO, group="a"), record(2, "red", arn=FIFO, group="a")):
        assert world(message) == world(message) == []
    assert {sent["MessageGroupId"] for sent in world.sqs.sent} == {"a"}
    one, again, other, _ = (sent["MessageDeduplicationId"] for sent in world.sqs.sent)
    assert one == again != other


def test_copy_of_a_record_without_a_group_is_a_group_of_its_own_in_a_fifo_quarantine() -> None:
    world = World(source(BY_ATTRIBUTE, STORED_IN_ORDER, arn=FIFO))
    assert world(record(1, "blue", arn=FIFO)) == []
    assert world.sqs.sent[0]["MessageGroupId"] == id_of(1)
    assert world.sqs.notes[0]["reason"] == "malformed_event"


def test_copy_in_another_region_is_sent_there() -> None:
    world = World(source(BY_ATTRIBUTE, STORED.replace(REGION, "us-east-1")))
    world(record(1, "red"), record(2, "red"))
    assert set(world.regions) == {"us-east-1"}


def test_record_too_large_for_lambda_is_quarantined_with_its_tenant() -> None:
    world = World(source(BY_ATTRIBUTE, STORED, 'invocation = "async"'))
    assert world(record(1, "blue", body="x" * (1024 * 1024 - 400))) == []
    assert [(one["reason"], one["tenant"]) for one in world.sqs.notes] == [("request_too_large", "blue")]


def test_record_is_sent_without_escapes_which_would_make_it_too_large() -> None:
    """Trap E6: SQS counts two bytes for such a letter, and an escape has six."""
    world = World(source(BY_ATTRIBUTE, STORED, 'invocation = "async"'))
    assert world(record(1, "blue", body="é" * 400_000)) == []
    assert world.reasons == {1: ("done", "ok")}
    assert len(world.functions.calls[0].payload) < 810_000


def test_record_with_half_a_character_is_sent_with_escapes() -> None:
    """Only a hand-made event has one: it cannot be encoded as UTF-8."""
    world = World()
    assert world(record(1, "blue", body="é\ud800")) == []
    assert json.loads(world.functions.calls[0].payload)["Records"][0]["body"] == "é\ud800"


def test_record_that_lambda_finds_too_large_is_quarantined() -> None:
    world = World(QUIET, functions=Functions({1: TooLarge("request_too_large")}))
    assert world(record(1, "blue")) == []
    assert world.reasons == {1: ("quarantined", "request_too_large")}


class Refused(Exception):
    """As botocore raises it."""

    def __init__(self) -> None:
        super().__init__("secret")
        self.response = {"Error": {"Code": "AccessDenied", "Message": "secret"}}


@pytest.mark.parametrize("failure", [Refused(), TimeoutError("secret"), KeyError("secret")])
def test_copy_that_is_not_known_to_be_stored_leaves_the_record_reported(failure: Exception) -> None:
    """Trap E7."""
    world = World(QUIET, failure=failure)
    assert world(record(1, "red"), record(2, "blue")) == [1]
    assert world.reasons[1] == ("failed", "quarantine_failed")
    [detail] = [line["detail"] for line in world.lines if line["reason"] == "quarantine_failed"]
    assert detail.startswith("after tenant_not_allowed: ")
    assert "secret" not in "".join(world.written)


@pytest.mark.parametrize(
    "answer",
    [{}, {"MessageId": ""}, {"MessageId": None}, {"MessageId": "copy", "MD5OfMessageBody": "0" * 32}],
)
def test_success_that_does_not_confirm_the_copy_leaves_the_record_reported(answer: dict[str, Any]) -> None:
    """Trap E7: it is not an answer of SQS, or SQS has stored another body."""
    world = World(QUIET)
    world.sqs.answer = answer
    assert world(record(1, "red")) == [1]
    assert world.reasons[1] == ("failed", "quarantine_failed")


def test_success_with_the_digest_of_the_body_confirms_the_copy() -> None:
    world = World(QUIET)
    world.sqs.answer = {"MessageId": "copy", "MD5OfMessageBody": "99914b932bd37a50b983c5e7c90ae93b"}
    assert world(record(1, "red", body="{}")) == []


def test_copy_that_fails_ends_its_group() -> None:
    """Trap E7, trap E9."""
    world = World(source(BY_ATTRIBUTE, STORED_IN_ORDER, arn=FIFO), failure=TimeoutError())
    assert world(*(record(n, tenant, arn=FIFO, group="a") for n, tenant in ((1, "red"), (2, "blue")))) == [1, 2]
    assert world.functions.calls == []


ATTRIBUTES = {f"a{number}": text_attribute("x") for number in range(9)}


def test_copy_with_ten_attributes_is_stored_and_one_with_more_is_reported() -> None:
    """Trap E7: SQS takes ten."""
    world = World(QUIET)
    assert world(record(1, attributes=ATTRIBUTES), record(2, "red", attributes=ATTRIBUTES)) == [2]
    assert world.reasons == {1: ("quarantined", "claim_missing"), 2: ("failed", "quarantine_full")}
    assert "with our attribute, the copy has over 10 attributes" in "".join(world.written)


def test_copy_of_one_mebibyte_is_stored_and_one_byte_more_is_reported() -> None:
    """Trap E7: SQS counts bytes, of attributes too."""
    world = World(QUIET)
    world(record(1, "red"))
    ours = len(world.sqs.sent[0]["MessageAttributes"]["lattice-bridge"]["StringValue"])
    room = 1024 * 1024 - len("lattice-bridge" + "String") - ours - len("tenant" + "String" + "red")
    assert world(record(1, "red", body="é" + "x" * (room - 2)), record(2, "red", body="é" + "x" * (room - 1))) == [2]
    assert world.reasons[2] == ("failed", "quarantine_full")
    assert "the copy has 1,048,577 bytes, and SQS takes 1,048,576" in "".join(world.written)


@pytest.mark.parametrize(
    "change", [{"body": ""}, {"messageAttributes": {"a": {"dataType": "Binary", "binaryValue": "?"}}}]
)
def test_record_that_cannot_be_copied_is_reported(change: dict[str, Any]) -> None:
    """Trap E6, trap E7."""
    world = World(QUIET)
    answer = world.router({"Records": [{**record(1), **change}]}, Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": id_of(1)}]}
    assert world.reasons[1] == ("failed", "quarantine_failed")


# ---- loops ----------------------------------------------------------------------------------------------------------


def test_copy_counts_how_often_the_record_was_in_a_quarantine() -> None:
    """Trap E28."""
    world = World(QUIET)
    assert world(record(1, "red", attributes=note(4, reason="no_rule"))) == []
    assert world.sqs.notes[0]["hops"] == 5
    assert len(world.sqs.sent[0]["MessageAttributes"]) == 2


@pytest.mark.parametrize("tenant", ["blue", "red"])
def test_record_that_went_round_too_often_is_reported_and_neither_invoked_nor_stored(tenant: str) -> None:
    """Trap E28."""
    world = World(QUIET)
    assert world(record(1, tenant, attributes=note(5))) == [1]
    assert (world.functions.calls, world.sqs.sent) == ([], [])
    assert world.reasons[1] == ("failed", "loop")


@pytest.mark.parametrize("value", ["", "[]", "{}", '{"hops":"5"}', '{"hops":null}', '{"hops":-9}', "[" * 100_000])
def test_attribute_that_is_not_ours_counts_no_hops_and_grants_nothing(value: str) -> None:
    """Trap E25: any sender can write it."""
    world = World(QUIET)
    ours = {"lattice-bridge": text_attribute(value)}
    assert world(record(1, "blue", attributes=ours), record(2, "red", attributes=ours)) == []
    assert world.functions.ran == [(1, "blue")]
    assert [one["hops"] for one in world.sqs.notes] == [1]


def test_message_that_is_sent_back_from_the_quarantine_is_decided_again() -> None:
    """Trap E25: by its sender of now, not by the tenant in our attribute."""
    world = World(QUIET)
    back = note(1, tenant="green", source=ARN)
    assert world(record(1, "green", sender="AROAOPERATOR12345678:ann", attributes=back)) == []
    assert world.functions.calls == []
    assert world.reasons[1] == ("quarantined", "no_rule")


def test_copy_that_is_sent_to_another_queue_is_reported_and_neither_invoked_nor_stored() -> None:
    """Trap E25: a shared quarantine is redriven to one queue. The rule `blue-queue` would run every message as blue,
    and a second copy would name that queue as the one where the message belongs."""
    world = World(source(STORED, arn=BLUE_ARN), source(BY_ATTRIBUTE))
    sources = ((1, ARN), (2, None), (3, BLUE_ARN))
    assert world(*(record(n, arn=BLUE_ARN, attributes=note(1, source=one)) for n, one in sources)) == [1, 2]
    assert world.reasons[1] == world.reasons[2] == ("failed", "wrong_queue")
    assert (world.functions.ran, world.sqs.sent) == ([(3, "blue")], [])


# ---- log and metric lines -------------------------------------------------------------------------------------------


def test_lines_contain_ids_and_reasons_and_no_content() -> None:
    """Trap E24: neither bodies, attributes, groups, receipt handles, senders' sessions nor claims."""
    written = []
    for claim in (BY_ATTRIBUTE, 'claim = { from = "body", path = ["secret-value"] }'):
        world = World(source(claim.replace("secret-value", "tenant"), STORED), failure=Refused())
        sent = record(
            1,
            "secret-claim",
            sender=f"{SHOP}:secret-session",
            group="secret-group",
            body='{"tenant": "secret-claim"}',
            attributes={"secret-name": text_attribute("secret-value")},
        )
        assert world(sent) == [1]
        written += world.written
    assert "secret" not in "".join(written)


def test_line_of_a_record_has_these_fields() -> None:
    """Trap E24."""
    world = World(QUIET, functions=Functions({2: BackendFailed("backend_raised", "errorType KeyError")}))
    world(record(1, "blue"), record(2, "green", system={"ApproximateReceiveCount": "3"}), record(3, "red"))
    done, raised, stored = sorted(world.lines, key=lambda line: line["id"])
    common = {"timestamp", "level", "message", "requestId", "source", "id", "status", "reason", "rule"}
    common |= {"receiveCount", "milliseconds", "map"}
    assert set(done) == common | {"tenant"}
    assert set(raised) == common | {"tenant", "detail", "function"}
    assert set(stored) == common | {"detail", "callerKey"}
    assert stored["callerKey"] == SHOP
    assert [line["level"] for line in (done, raised, stored)] == ["INFO", "ERROR", "WARN"]
    assert (raised["receiveCount"], raised["function"], raised["source"]) == (3, "orders-worker:live", "orders")
    assert set(done["milliseconds"]) == {"decide", "encode", "invoke", "total"}


def test_metrics_of_a_batch_have_a_line_for_each_reason_and_no_tenant() -> None:
    world = World(QUIET, functions=Functions({2: BackendFailed("backend_raised")}))
    world(record(1, "blue"), record(2, "green"), record(3, "red"), record(4, "blue"))
    found = {line["Reason"]: line for line in world.metrics}
    assert {reason: (line["Records"], line["Failed"], line["Quarantined"]) for reason, line in found.items()} == {
        "ok": (2, 0, 0),
        "backend_raised": (1, 1, 0),
        "tenant_not_allowed": (1, 0, 1),
    }
    assert {line["Source"] for line in world.metrics} == {"orders"}
    assert [("Latency" in line, "Overhead" in line) for line in world.metrics] == [(True, True)] + [(False, False)] * 2
    for line in world.metrics:
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert directive["Dimensions"] == [["Source"], ["Source", "Reason"]]
        assert all(metric["Name"] in line for metric in directive["Metrics"])
        assert '"tenant"' not in json.dumps(line)


@pytest.mark.parametrize(("level", "count"), [("INFO", 3), ("WARN", 2), ("ERROR", 1), ("FATAL", 0)])
def test_log_level_filters_lines_of_records_and_no_metrics(level: str, count: int) -> None:
    world = World(QUIET, functions=Functions({2: BackendFailed("backend_raised")}), log_level=level)
    world(record(1, "blue"), record(2, "blue"), record(3, "red"))
    assert (len(world.lines), len(world.metrics)) == (count, 3)


def test_log_that_cannot_be_written_fails_no_record() -> None:
    def full(_: str) -> None:
        raise OSError

    assert World(write=full)(record(1, "blue"), record(2, "red")) == [2]


def test_each_line_is_written_whole_as_its_record_ends() -> None:
    """Trap D11: lines of threads do not interleave."""
    world = World()
    world(*(record(number, "blue") for number in range(1, 41)))
    assert len(world.written) == 41
    assert all(text.count("\n") == 1 and text.endswith("}\n") for text in world.written)


@pytest.mark.parametrize("quarantine", [QUARANTINE])
def test_nothing_is_connected_to_the_quarantine_before_the_first_fault(quarantine: str) -> None:
    world = World(source(BY_ATTRIBUTE, f'quarantine = "{quarantine}"'))
    world(record(1, "blue"))
    assert world.regions == []
